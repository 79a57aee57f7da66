//! Where the inodes of a tree lie, from the items that name them.
//!
//! The kernel tells paths too (`INO_LOOKUP`, `INO_PATHS`), but none that is longer
//! than 4 KiB, and of a file with many names only as many as fit. The items say
//! it all, and reading one costs as much as asking for a path.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use linux_raw_sys::btrfs as raw;

use crate::error::Failure;
use crate::items::{Inode, TOP, names};
use crate::search::{Search, Source};
use crate::sys::SearchKey;

/// A directory, and a name in it.
pub(crate) type Place = (u64, Box<[u8]>);

/// The paths of one tree. What was found once is kept: one name for each
/// directory on the way to what was asked for.
pub(crate) struct Paths<'a> {
    tree: u64,
    search: Search<'a>,
    known: HashMap<u64, Option<Place>>,
}

impl<'a> Paths<'a> {
    pub(crate) fn of(source: &'a dyn Source, tree: u64) -> Self {
        let search = Search::new(source, key(tree, TOP, (0, 0)));
        Self { tree, search, known: HashMap::new() }
    }

    /// An inode; `None` where the tree has none of that number.
    pub(crate) fn inode(&mut self, inode: u64) -> Result<Option<Inode>, Failure> {
        const KIND: u32 = raw::BTRFS_INODE_ITEM_KEY;
        self.search.begin(key(self.tree, inode, (KIND, KIND)));
        self.search.next()?.map(|item| Inode::of(&item)).transpose()
    }

    /// All names of an inode.
    pub(crate) fn places(&mut self, inode: u64) -> Result<Vec<Place>, Failure> {
        self.search.begin(key(self.tree, inode, (raw::BTRFS_INODE_REF_KEY, raw::BTRFS_INODE_EXTREF_KEY)));
        let mut found = Vec::new();
        while let Some(item) = self.search.next()? {
            for name in names(&item) {
                let (directory, name) = name?;
                found.push((directory, name.into()));
            }
        }
        Ok(found)
    }

    /// The path of a directory; `None` for one that was removed and that somebody
    /// still has open.
    pub(crate) fn directory(&mut self, inode: u64) -> Result<Option<PathBuf>, Failure> {
        let mut above = Vec::new();
        let mut here = inode;
        while here != TOP {
            if !self.known.contains_key(&here) {
                // It has one name.
                let place = self.places(here)?.pop();
                self.known.insert(here, place);
            }
            // More steps than there are directories lead in a circle.
            if above.len() > self.known.len() {
                return Err(Failure::Search("a directory lies in itself"));
            }
            let Some(Some((parent, _))) = self.known.get(&here) else { return Ok(None) };
            above.push(here);
            here = *parent;
        }
        let mut path = PathBuf::new();
        let places = above.iter().rev().filter_map(|inode| self.known.get(inode)?.as_ref());
        path.extend(places.map(|(_, name)| OsStr::from_bytes(name)));
        Ok(Some(path))
    }

    /// Keeps the name of a directory that was met.
    pub(crate) fn learn(&mut self, inode: u64, (directory, name): (u64, &[u8])) {
        self.known.entry(inode).or_insert_with(|| Some((directory, name.into())));
    }
}

/// The items of one inode of these types.
fn key(tree: u64, inode: u64, types: (u32, u32)) -> SearchKey {
    SearchKey { tree, objects: (inode, inode), types, offsets: (0, u64::MAX), min_transid: 0 }
}
