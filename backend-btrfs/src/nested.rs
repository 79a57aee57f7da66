//! Subvolumes inside a subvolume.
//!
//! Anybody who may write to a directory can make one there. In a snapshot it
//! is an empty directory (inode 2), so a tree that holds one must not become a
//! layer unnoticed.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use linux_raw_sys::btrfs as raw;

use crate::error::Failure;
use crate::items::{Entry, LAST, root_reference};
use crate::search::{each_item, u64_at};
use crate::sys::{self, SearchKey};

/// A subvolume inside another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nested {
    /// The number of its tree.
    pub(crate) id: u64,
    /// The tree that it lies in, and the directory there.
    pub(crate) parent: (u64, u64),
    /// Its name in that directory.
    pub(crate) name: OsString,
    /// Its path, from the top of the outermost one.
    pub(crate) path: PathBuf,
}

/// All subvolumes inside the tree `top`, at any depth, outer ones first.
pub(crate) fn find(on: BorrowedFd<'_>, top: u64) -> Result<Vec<Nested>, Failure> {
    let mut found = children(on, top, &PathBuf::new())?;
    let mut next = 0;
    while let Some(Nested { id, path, .. }) = found.get(next).cloned() {
        found.extend(children(on, id, &path)?);
        next += 1;
    }
    Ok(found)
}

/// The subvolumes directly inside a tree, from the `ROOT_REF` items of the tree
/// of tree roots, which are there as soon as a subvolume is.
fn children(on: BorrowedFd<'_>, tree: u64, at: &std::path::Path) -> Result<Vec<Nested>, Failure> {
    let key = SearchKey {
        tree: raw::BTRFS_ROOT_TREE_OBJECTID.into(),
        objects: (tree, tree),
        types: (raw::BTRFS_ROOT_REF_KEY, raw::BTRFS_ROOT_REF_KEY),
        offsets: (0, u64::MAX),
        min_transid: 0,
    };
    let mut references = Vec::new();
    each_item(on, key, |item| {
        let (directory, name) = root_reference(&item)?;
        references.push((item.offset, directory, OsStr::from_bytes(name).to_owned()));
        Ok(true)
    })?;
    let place = |(id, directory, name): (u64, u64, OsString)| {
        let path = at.join(shown_directory(on, tree, directory)).join(&name);
        Nested { id, parent: (tree, directory), name, path }
    };
    Ok(references.into_iter().map(place).collect())
}

/// The path of a directory in its tree, for people. The kernel tells none that
/// is longer than 4 KiB, nor that of one which is gone by now.
fn shown_directory(on: BorrowedFd<'_>, tree: u64, directory: u64) -> PathBuf {
    match sys::inode_path(on, tree, directory) {
        Ok(path) => PathBuf::from(OsStr::from_bytes(&path)),
        Err(_) => PathBuf::from("…"),
    }
}

/// The places in the snapshot `tree` where a subvolume was nested when the
/// snapshot was taken, looking only at what was written since `min_transid`.
///
/// This sees what [`find`] on the source cannot: one that came and went
/// between two looks. A snapshot's directory entry still points to the tree of
/// the nested one (its location is a `ROOT_ITEM`), although the kernel shows an
/// empty directory there.
pub(crate) fn placeholders(on: BorrowedFd<'_>, tree: u64, min_transid: u64) -> Result<Vec<PathBuf>, Failure> {
    let key = SearchKey {
        tree,
        objects: (raw::BTRFS_FIRST_FREE_OBJECTID.into(), u64::MAX),
        types: (0, u8::MAX.into()),
        offsets: (0, u64::MAX),
        min_transid,
    };
    let mut found = Vec::new();
    each_item(on, key, |item| {
        if item.kind != raw::BTRFS_DIR_INDEX_KEY {
            return Ok(true);
        }
        let entry = Entry::of(&item)?;
        if entry.is_subvolume {
            found.push((item.object, OsStr::from_bytes(entry.name).to_owned()));
        }
        Ok(true)
    })?;
    let place = |(directory, name)| shown_directory(on, tree, directory).join(name);
    Ok(found.into_iter().map(place).collect())
}

/// Whether a subvolume other than `but` was made in the transaction `since` or
/// later, anywhere in this file system.
pub(crate) fn any_made_since(on: BorrowedFd<'_>, but: u64, since: u64) -> Result<bool, Failure> {
    let key = SearchKey {
        tree: raw::BTRFS_ROOT_TREE_OBJECTID.into(),
        objects: (raw::BTRFS_FIRST_FREE_OBJECTID.into(), LAST),
        types: (raw::BTRFS_ROOT_ITEM_KEY, raw::BTRFS_ROOT_ITEM_KEY),
        offsets: (0, u64::MAX),
        min_transid: since,
    };
    let mut found = false;
    each_item(on, key, |item| {
        if item.kind == raw::BTRFS_ROOT_ITEM_KEY && item.object != but {
            let made = u64_at(item.data, std::mem::offset_of!(raw::btrfs_root_item, otransid))?;
            found = made >= since;
        }
        Ok(!found)
    })?;
    Ok(found)
}

/// The deleted subvolumes that the kernel still has to clean up.
pub(crate) fn deleted(on: BorrowedFd<'_>) -> Result<BTreeSet<u64>, Failure> {
    let orphans = i64::from(raw::BTRFS_ORPHAN_OBJECTID).cast_unsigned();
    let key = SearchKey {
        tree: raw::BTRFS_ROOT_TREE_OBJECTID.into(),
        objects: (orphans, orphans),
        types: (raw::BTRFS_ORPHAN_ITEM_KEY, raw::BTRFS_ORPHAN_ITEM_KEY),
        offsets: (0, u64::MAX),
        min_transid: 0,
    };
    let mut found = BTreeSet::new();
    each_item(on, key, |item| {
        found.insert(item.offset);
        Ok(true)
    })?;
    Ok(found)
}
