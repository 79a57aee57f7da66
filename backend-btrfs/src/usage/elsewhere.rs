//! Extents that something holds which is no node: mostly the directory that an
//! image was made of by reflink. Their space does not come back with the node.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashSet};
use std::os::fd::BorrowedFd;

use linux_raw_sys::btrfs as raw;
use rustix::io::Errno;

use crate::error::Failure;
use crate::nested;
use crate::search::{Item, Search, u64_at};
use crate::sys::{self, SearchKey};

/// Extents that lie closer together than this are looked up by one search.
const CLOSE: u64 = 8 << 20;

/// Those of some extents, given by their places in order, that are in a tree
/// which is not one of `ours`. All of them are in one of ours too.
pub(super) fn find(
    on: BorrowedFd<'_>,
    places: &[u64],
    ours: &BTreeSet<u64>,
) -> Result<HashSet<u64>, Failure> {
    let mut found = HashSet::new();
    // What was deleted and is not cleaned up yet keeps nothing from coming back.
    let dying = OnceCell::new();
    for place in referred_to_often(on, places)? {
        let trees = match sys::trees_with(on, place) {
            // It went meanwhile.
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => continue,
            trees => trees.map_err(|source| Failure::Kernel {
                operation: "look up who has the extent at",
                path: place.to_string().into(),
                source,
            })?,
        };
        for tree in trees.into_iter().filter(|tree| !ours.contains(tree)) {
            if dying.get().is_none() {
                drop(dying.set(nested::deleted(on)?));
            }
            if !dying.get().is_some_and(|dying: &BTreeSet<u64>| dying.contains(&tree)) {
                found.insert(place);
            }
        }
    }
    Ok(found)
}

/// Those that more than one item refers to: one reference is the one by which it
/// was found.
fn referred_to_often(on: BorrowedFd<'_>, places: &[u64]) -> Result<Vec<u64>, Failure> {
    let mut found = Vec::new();
    let mut search = None;
    for close in places.chunk_by(|one, next| next - one < CLOSE) {
        let ([first, .., last] | [first @ last]) = close else { continue };
        let key = SearchKey {
            tree: raw::BTRFS_EXTENT_TREE_OBJECTID.into(),
            objects: (*first, *last),
            types: (0, u8::MAX.into()),
            offsets: (0, u64::MAX),
            min_transid: 0,
        };
        let search = search.get_or_insert_with(|| Search::new(&on, key));
        search.begin(key);
        while let Some(item) = search.next()? {
            if references(&item)?.is_some_and(|count| count > 1) && close.binary_search(&item.object).is_ok()
            {
                found.push(item.object);
            }
        }
    }
    Ok(found)
}

/// How often an extent is referred to: `struct btrfs_extent_item` begins with it.
/// Nothing for other items, such as those that say by whom.
fn references(item: &Item<'_>) -> Result<Option<u64>, Failure> {
    let is_one = item.kind == raw::BTRFS_EXTENT_ITEM_KEY;
    is_one.then(|| u64_at(item.data, std::mem::offset_of!(raw::btrfs_extent_item, refs))).transpose()
}
