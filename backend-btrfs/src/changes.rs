//! Where a tree may differ from another one that it has its beginnings in
//! common with, from what was written since.
//!
//! btrfs never writes over a block, and each has the number of the transaction
//! that wrote it; so has each inode. One search hands out the items in all blocks
//! that are newer than the other tree, and passes by the rest unread. An inode in
//! them that is newer itself was changed, and every name of it is a candidate. Of
//! a directory that was changed, the entries are compared with those of the same
//! directory in the other tree: that shows what went, what came, and names that
//! lead to something else now. What is beneath such a name may differ as a whole.
//!
//! Nothing else can differ: follow a path from the top in both trees. As long as
//! it leads to the same inodes it is no other place; where it no longer does, the
//! directory was changed, and the name is a candidate with all beneath it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use linux_raw_sys::btrfs as raw;
use mocker_core::backend::Candidate;

use crate::error::Failure;
use crate::items::{Entry, Inode, LAST, TOP, names};
use crate::paths::Paths;
use crate::search::{Item, Search, Source};
use crate::sys::{SearchKey, SubvolumeInfo};

/// The candidates of `tree` relative to `since`; `None` where that is no help,
/// because it is newer or has nothing in common with it.
///
/// Both must be on the disk, or in the kernel's trees: what waits in the page
/// cache to be written is not seen. The trees must not change meanwhile.
pub(crate) fn find(
    source: &dyn Source,
    tree: &SubvolumeInfo,
    since: &SubvolumeInfo,
) -> Result<Option<Vec<Candidate>>, Failure> {
    let mut found = Vec::new();
    let mut sides = [Side::of(source, tree.id), Side::of(source, since.id)];
    // Where only one of the two has an inode is seen in its directories, and so what was made since
    // need not be named.
    if tree.parent_uuid == since.uuid {
        // It was made of the other as that is: whatever is newer was written here.
        sides[0].gather(tree.otransid, tree.otransid, &mut found)?;
    } else {
        // They went apart when the other was made, or later, by what was done to that until it was
        // read-only: something left out, or flattened. Whatever that was, `tree` may have it too.
        let [one, other] = &mut sides;
        let is_older = tree.read_only && tree.otransid < since.otransid;
        if is_older || one.paths.inode(TOP)?.map(origin) != other.paths.inode(TOP)?.map(origin) {
            return Ok(None);
        }
        one.gather(since.otransid, since.otransid, &mut found)?;
        other.gather(since.otransid, u64::MAX, &mut found)?;
    }
    compare_directories(&mut sides, &mut found)?;
    Ok(Some(found))
}

/// What snapshots of snapshots still have of the first tree: when its top was made.
fn origin(top: Inode) -> (u64, (u64, u32)) {
    (top.generation, top.made)
}

/// One of the two trees.
struct Side<'a> {
    source: &'a dyn Source,
    tree: u64,
    paths: Paths<'a>,
    /// The directories that were changed since the trees went apart, with their
    /// generations.
    directories: BTreeMap<u64, u64>,
}

/// A changed inode, of which so many names are still to come. Those that came are
/// the last of what was found, from here on.
struct Pending {
    inode: u64,
    names: u32,
    is_directory: bool,
    found: usize,
}

impl Pending {
    fn of(number: u64, inode: &Inode, found: &[Candidate]) -> Self {
        Self { inode: number, names: inode.links, is_directory: inode.is_directory, found: found.len() }
    }
}

impl<'a> Side<'a> {
    fn of(source: &'a dyn Source, tree: u64) -> Self {
        Self { source, tree, paths: Paths::of(source, tree), directories: BTreeMap::new() }
    }

    /// Adds every name of the inodes that a transaction after `transid` changed,
    /// and that one up to `made` made.
    fn gather(&mut self, transid: u64, made: u64, found: &mut Vec<Candidate>) -> Result<(), Failure> {
        let key = SearchKey {
            tree: self.tree,
            objects: (TOP, LAST),
            types: (0, u8::MAX.into()),
            offsets: (0, u64::MAX),
            min_transid: transid.saturating_add(1),
        };
        let mut search = Search::new(self.source, key);
        let mut pending = None;
        let mut last = None;
        while let Some(item) = search.next()? {
            match item.kind {
                raw::BTRFS_INODE_ITEM_KEY => {
                    self.complete(pending.take(), found)?;
                    let inode = self.changed(&item, transid, made)?;
                    if item.object == TOP {
                        found.extend(inode.map(|_| Candidate::at("")));
                    } else {
                        pending = inode.map(|inode| Pending::of(item.object, &inode, found));
                    }
                }
                raw::BTRFS_INODE_REF_KEY | raw::BTRFS_INODE_EXTREF_KEY => {
                    if let Some(pending) = pending.as_mut().filter(|pending| pending.inode == item.object) {
                        for name in names(&item) {
                            let (directory, name) = name?;
                            if pending.is_directory {
                                self.paths.learn(pending.inode, (directory, name));
                            }
                            self.name(&mut last, directory, name, found)?;
                            pending.names = pending.names.saturating_sub(1);
                        }
                    }
                }
                _ => {}
            }
        }
        self.complete(pending, found)
    }

    fn changed(&mut self, item: &Item<'_>, transid: u64, made: u64) -> Result<Option<Inode>, Failure> {
        let inode = Inode::of(item)?;
        if inode.transid <= transid || inode.generation > made || inode.links == 0 {
            return Ok(None);
        }
        if inode.is_directory {
            self.directories.insert(item.object, inode.generation);
        }
        Ok(Some(inode))
    }

    /// Adds the names of an inode of which not all were met: the others are in a
    /// block that is older.
    fn complete(&mut self, pending: Option<Pending>, found: &mut Vec<Candidate>) -> Result<(), Failure> {
        let Some(pending) = pending.filter(|pending| pending.names > 0) else { return Ok(()) };
        found.truncate(pending.found);
        let mut last = None;
        for (directory, name) in self.paths.places(pending.inode)? {
            self.name(&mut last, directory, &name, found)?;
        }
        Ok(())
    }

    /// Adds a name. `last` is the directory of the one before, with its path: many
    /// often lie in one.
    fn name(
        &mut self,
        last: &mut Option<(u64, Option<PathBuf>)>,
        directory: u64,
        name: &[u8],
        found: &mut Vec<Candidate>,
    ) -> Result<(), Failure> {
        if last.as_ref().is_none_or(|(inode, _)| *inode != directory) {
            *last = Some((directory, self.paths.directory(directory)?));
        }
        if let Some((_, Some(path))) = last {
            found.push(Candidate::at(path.join(OsStr::from_bytes(name))));
        }
        Ok(())
    }
}

/// Adds what differs in the entries of the directories that are in both trees and
/// were changed in one of them.
fn compare_directories(sides: &mut [Side<'_>; 2], found: &mut Vec<Candidate>) -> Result<(), Failure> {
    let [one, other] = sides;
    let mut ours = Search::new(one.source, entries(one.tree, TOP));
    let mut theirs = Search::new(other.source, entries(other.tree, TOP));
    let mut wanted = Vec::new();
    for (inode, generation) in &one.directories {
        let is_same = |found: Inode| found.generation == *generation;
        if other.paths.inode(*inode)?.is_some_and(is_same) {
            wanted.push(*inode);
        }
    }
    for (inode, generation) in &other.directories {
        let is_same = |found: Inode| found.generation == *generation;
        if !one.directories.contains_key(inode) && one.paths.inode(*inode)?.is_some_and(is_same) {
            wanted.push(*inode);
        }
    }
    for inode in wanted {
        // Where its path is another one in the two trees, that is a candidate with all beneath it.
        let Some(path) = one.paths.directory(inode)? else { continue };
        ours.begin(entries(one.tree, inode));
        theirs.begin(entries(other.tree, inode));
        for (name, is_moved) in differing(&mut ours, &mut theirs)? {
            let path = path.join(OsStr::from_bytes(&name.name));
            if is_moved && same_inode(one, other, name.object)? {
                found.push(Candidate::at(path));
            } else {
                if name.is_subvolume {
                    mocker_core::story!(
                        "/{} is a subvolume, of which a snapshot shows nothing",
                        path.display()
                    );
                }
                found.push(Candidate::beneath(path));
            }
        }
    }
    Ok(())
}

fn same_inode(one: &mut Side<'_>, other: &mut Side<'_>, inode: u64) -> Result<bool, Failure> {
    let generation = |side: &mut Side<'_>| Ok(side.paths.inode(inode)?.map(|inode| inode.generation));
    Ok(generation(one)? == generation(other)?)
}

/// The entries of a directory, in the order in which they were made.
fn entries(tree: u64, directory: u64) -> SearchKey {
    const KIND: u32 = raw::BTRFS_DIR_INDEX_KEY;
    SearchKey {
        tree,
        objects: (directory, directory),
        types: (KIND, KIND),
        offsets: (0, u64::MAX),
        min_transid: 0,
    }
}

/// An entry that only one of two directories has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Differing {
    name: Box<[u8]>,
    object: u64,
    is_subvolume: bool,
}

impl Differing {
    fn of(item: &Item<'_>) -> Result<Self, Failure> {
        let Entry { object, is_subvolume, name } = Entry::of(item)?;
        Ok(Self { name: name.into(), object, is_subvolume })
    }
}

/// The entries that are not in both directories as they are, one for each name;
/// and whether both have it for an inode of the same number, which then lost the
/// name and got it again.
///
/// An entry that was not touched has its place and all its bytes in both.
fn differing(ours: &mut Search<'_>, theirs: &mut Search<'_>) -> Result<Vec<(Differing, bool)>, Failure> {
    let mut found = Vec::new();
    let (mut here, mut there) = (ours.next()?, theirs.next()?);
    loop {
        match (here, there) {
            (None, None) => break,
            (Some(one), Some(other)) if (one.offset, one.data) == (other.offset, other.data) => {
                (here, there) = (ours.next()?, theirs.next()?);
            }
            (Some(one), other) if other.is_none_or(|other| one.offset <= other.offset) => {
                found.push(Differing::of(&one)?);
                here = ours.next()?;
            }
            (_, other) => {
                found.extend(other.as_ref().map(Differing::of).transpose()?);
                there = theirs.next()?;
            }
        }
    }
    found.sort_unstable();
    let same_name = |one: &Differing, other: &Differing| one.name == other.name;
    let one_of = |same: &[Differing]| {
        let is_moved = matches!(same, [one, other] if one == other && !one.is_subvolume);
        same.first().cloned().map(|entry| (entry, is_moved))
    };
    Ok(found.chunk_by(same_name).filter_map(one_of).collect())
}
