//! Hard links: which entries of the list are names of one inode, and which
//! entries differ in nothing but that.
//!
//! A group is the names of one inode in one tree. What is compared is how the
//! names are grouped, not the inodes' numbers, which mean nothing across trees.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};

use super::walk::{look_up, size_of};
use super::{Aspect, Change, Comparison, Kind, What};
use crate::error::Result;
use crate::tree::visit;

/// A device and an inode number.
type Inode = (u64, u64);

/// A name of an inode that has several, in one of the trees at least.
#[derive(Debug, Clone)]
pub(super) struct Linked {
    path: PathBuf,
    /// The inode and how many names it has, in each tree that has the entry.
    from: Option<(Inode, u64)>,
    to: Option<(Inode, u64)>,
    /// Whether it is in the list already.
    listed: bool,
}

impl Linked {
    pub(super) fn of(path: &Path, from: Option<&Stat>, to: Option<&Stat>, listed: bool) -> Self {
        let inode = |stat: &Stat| ((stat.st_dev, stat.st_ino), stat.st_nlink);
        Self { path: path.to_owned(), from: from.map(inode), to: to.map(inode), listed }
    }
}

/// Adds entries that differ in their links alone, and says of each entry in the
/// list which other name it has. `changes` is in order and stays so.
pub(super) fn sort_out(trees: Comparison<'_>, changes: &mut Vec<Change>, linked: Vec<Linked>) -> Result<()> {
    let mut names: BTreeMap<PathBuf, Linked> = BTreeMap::new();
    for found in linked {
        match names.get_mut(&found.path) {
            // It went as one type and came as another.
            Some(known) => {
                known.from = known.from.or(found.from);
                known.to = known.to.or(found.to);
            }
            None => drop(names.insert(found.path.clone(), found)),
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    complete(trees, &mut names)?;
    let mut fresh = Vec::new();
    // The names of a group that did not change must have been, and must stay, one group.
    for by in [|name: &Linked| (name.to, name.from), |name: &Linked| (name.from, name.to)] {
        let group_of = |name: &Linked| {
            let (inode, partner) = by(name);
            Some((inode?.0, partner.map(|(inode, _)| inode))).filter(|_| !name.listed)
        };
        let most = partners(names.values().filter_map(group_of));
        for (path, name) in &mut names {
            if let Some((inode, partner)) = group_of(name)
                && most.get(&inode) != Some(&partner)
            {
                name.listed = true;
                fresh.push(path.clone());
            }
        }
    }
    for path in fresh {
        let found =
            look_up(trees.to, &path).map_err(|failure| failure.into_error(&Path::new("/").join(&path)))?;
        // Gone since it was compared, in a tree that is being changed.
        let Some(stat) = found else { continue };
        let kind = Kind::Modified(What::NOTHING.and(Aspect::Links));
        let size = size_of(&stat);
        let at = changes.partition_point(|change| change.path < path);
        let file_type = FileType::from_raw_mode(stat.st_mode);
        changes.insert(at, Change { path, kind, file_type, size, size_before: size, link: None });
    }
    name_others(changes, &names);
    Ok(())
}

/// For each group the one on the other side to which most of its names belong,
/// the first of several: moving the others is the least to be told.
fn partners(names: impl Iterator<Item = (Inode, Option<Inode>)>) -> HashMap<Inode, Option<Inode>> {
    let mut counts: HashMap<Inode, Vec<(Option<Inode>, usize)>> = HashMap::new();
    for (inode, partner) in names {
        let counts = counts.entry(inode).or_default();
        match counts.iter_mut().find(|(known, _)| *known == partner) {
            Some((_, count)) => *count += 1,
            None => counts.push((partner, 1)),
        }
    }
    let most = |counts: Vec<(Option<Inode>, usize)>| {
        // Of equals `max_by_key` takes the last.
        counts.into_iter().rev().max_by_key(|(_, count)| *count).and_then(|(partner, _)| partner)
    };
    counts.into_iter().map(|(inode, counts)| (inode, most(counts))).collect()
}

/// Says of each entry in the list by which other name its inode is there when
/// its turn comes.
fn name_others(changes: &mut [Change], names: &BTreeMap<PathBuf, Linked>) {
    let mut leaders: HashMap<Inode, &Path> = HashMap::new();
    // Those that are not in the list are there from the beginning.
    for listed in [false, true] {
        for (path, name) in names.iter().filter(|(_, name)| name.listed == listed) {
            if let Some((inode, _)) = name.to {
                leaders.entry(inode).or_insert(path);
            }
        }
    }
    for change in changes.iter_mut().filter(|change| change.kind != Kind::Deleted) {
        let Some((inode, _)) = names.get(&change.path).and_then(|name| name.to) else { continue };
        change.link =
            leaders.get(&inode).filter(|leader| **leader != change.path).map(|leader| (*leader).into());
    }
}

/// Finds the names of inodes that have more of them than were looked at: those
/// in a directory that was moved, or those that an overlay did not copy up.
fn complete(trees: Comparison<'_>, names: &mut BTreeMap<PathBuf, Linked>) -> Result<()> {
    let incomplete = |of: fn(&Linked) -> Option<(Inode, u64)>, names: &BTreeMap<PathBuf, Linked>| {
        let mut known: HashMap<Inode, (u64, u64)> = HashMap::new();
        for (inode, count) in names.values().filter_map(of) {
            let entry = known.entry(inode).or_insert((0, count));
            entry.0 += 1;
        }
        known
            .into_iter()
            .filter(|(_, (known, count))| known < count)
            .map(|(inode, _)| inode)
            .collect::<HashSet<_>>()
    };
    let sides = [(Some(trees.to), true), (trees.from, false)];
    for (tree, is_to) in sides {
        let wanted = incomplete(if is_to { |name| name.to } else { |name| name.from }, names);
        let (Some(tree), false) = (tree, wanted.is_empty()) else { continue };
        crate::story!("looking through a whole tree for the other names of {} files", wanted.len());
        for path in find(tree, &wanted)? {
            if names.contains_key(&path) {
                continue;
            }
            // It was no candidate, and so it is the same in both, unless it went with a directory.
            let look = |side: BorrowedFd<'_>| {
                look_up(side, &path).map_err(|failure| failure.into_error(&Path::new("/").join(&path)))
            };
            let from = trees.from.map(look).transpose()?.flatten();
            let to = look(trees.to)?;
            let listed = from.is_none() || to.is_none();
            names.insert(path.clone(), Linked::of(&path, from.as_ref(), to.as_ref(), listed));
        }
    }
    Ok(())
}

/// All names of these inodes in a tree.
fn find(top: BorrowedFd<'_>, wanted: &HashSet<Inode>) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    visit(top, |visited| {
        let inode = (visited.stat.st_dev, visited.stat.st_ino);
        if visited.directory.is_none() && wanted.contains(&inode) {
            found.push(visited.path.to_owned());
        }
        Ok(())
    })?;
    Ok(found)
}
