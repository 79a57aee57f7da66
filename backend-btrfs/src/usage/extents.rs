//! The extents that the files of one tree refer to.

use linux_raw_sys::btrfs as raw;

use crate::error::Failure;
use crate::items::{Inode, TOP};
use crate::search::{Item, Search, Source, u64_at};
use crate::sys::SearchKey;

/// A piece of the disk that a file refers to, or a part of it, or what of a file
/// lies in the tree itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) inode: u64,
    pub(super) offset: u64,
    /// Where it begins on the file system; `None` where it lies in the tree.
    pub(super) start: Option<u64>,
    /// What it takes: all of it, as it is stored, however much of it is referred to.
    pub(super) bytes: u64,
    /// The transaction that wrote it.
    pub(super) made: u64,
}

/// Hands on every extent in the inodes `inodes` of a tree, from the blocks that
/// were written in the transaction `from` or later.
pub(super) fn each(
    source: &dyn Source,
    tree: u64,
    inodes: (u64, u64),
    from: u64,
    mut each: impl FnMut(&Extent),
) -> Result<(), Failure> {
    let key = SearchKey {
        tree,
        objects: inodes,
        types: (0, u8::MAX.into()),
        offsets: (0, u64::MAX),
        min_transid: from,
    };
    let mut search = Search::new(source, key);
    while let Some(item) = search.next()? {
        if item.kind == raw::BTRFS_EXTENT_DATA_KEY
            && let Some(extent) = extent(&item)?
        {
            each(&extent);
        }
    }
    Ok(())
}

/// What the top directory of a tree is known by, which snapshots keep.
pub(super) fn top(source: &dyn Source, tree: u64) -> Result<Option<Inode>, Failure> {
    let types = (raw::BTRFS_INODE_ITEM_KEY, raw::BTRFS_INODE_ITEM_KEY);
    let key = SearchKey { tree, objects: (TOP, TOP), types, offsets: (0, 0), min_transid: 0 };
    Search::new(source, key).next()?.map(|item| Inode::of(&item)).transpose()
}

/// `struct btrfs_file_extent_item` (`linux/btrfs_tree.h`): generation and size
/// in memory (8 bytes each), compression, encryption (1 each), other encoding
/// (2), type (1); then, unless inline, place and length on disk (8 each).
/// Nothing for a hole.
fn extent(item: &Item<'_>) -> Result<Option<Extent>, Failure> {
    const TYPE: usize = 20;
    const INLINE: u8 = raw::BTRFS_FILE_EXTENT_INLINE as u8;
    let kind = *item.data.get(TYPE).ok_or(Failure::Search("an extent is cut off"))?;
    let made = u64_at(item.data, 0)?;
    let (start, bytes) = if kind == INLINE {
        (None, item.data.len() as u64)
    } else {
        (Some(u64_at(item.data, TYPE + 1)?), u64_at(item.data, TYPE + 9)?)
    };
    let Item { object: inode, offset, .. } = *item;
    Ok((start != Some(0)).then_some(Extent { inode, offset, start, bytes, made }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(data: &[u8]) -> Item<'_> {
        Item { object: 257, kind: raw::BTRFS_EXTENT_DATA_KEY, offset: 4096, data }
    }

    fn bytes(kind: u8, numbers: &[u64]) -> Vec<u8> {
        let mut bytes = [7u64.to_le_bytes(), 9u64.to_le_bytes()].concat();
        bytes.extend([0, 0, 0, 0, kind]);
        numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes
    }

    #[test]
    fn an_extent_is_what_the_disk_holds_of_it_and_a_hole_is_none() {
        let regular = bytes(1, &[1 << 20, 8192, 4096, 4096]);
        let expected = Extent { inode: 257, offset: 4096, start: Some(1 << 20), bytes: 8192, made: 7 };
        assert_eq!(extent(&item(&regular)).unwrap(), Some(expected));
        assert_eq!(extent(&item(&bytes(1, &[0, 0, 0, 4096]))).unwrap(), None);
        let mut inline = bytes(0, &[]);
        inline.extend(b"text");
        assert_eq!(extent(&item(&inline)).unwrap(), Some(Extent { start: None, bytes: 25, ..expected }));
    }

    #[test]
    fn an_extent_that_is_cut_off_is_an_error() {
        let whole = bytes(1, &[1 << 20, 8192]);
        for cut in 0..whole.len() {
            assert!(extent(&item(&whole[..cut])).is_err(), "{cut}");
        }
    }
}
