//! Reading the trees of the file system: items by key, as bounded bytes.
//!
//! The kernel hands out packed structures at any alignment. Nothing here
//! trusts a length: whatever does not fit is an error, never a panic.

use std::os::fd::BorrowedFd;

use crate::error::Failure;
use crate::sys::{self, SearchKey};

/// `struct btrfs_ioctl_search_header` (`linux/btrfs.h`): transid, objectid,
/// offset (8 bytes each), type, length (4 bytes each).
const HEADER: usize = 32;

/// One item of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) object: u64,
    pub(crate) offset: u64,
    pub(crate) kind: u32,
    pub(crate) data: Vec<u8>,
}

/// Hands every item in the bounds of `key` to `each`, in order of their keys,
/// until it returns `false`.
///
/// The kernel compares object, type and offset as one number, so items of
/// other types come along when the bounds span several objects.
pub(crate) fn each_item(
    on: BorrowedFd<'_>,
    mut key: SearchKey,
    mut each: impl FnMut(Item) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    loop {
        let (count, buffer) = sys::tree_search(on, &key).map_err(|source| Failure::Kernel {
            operation: "search the tree of",
            path: format!("tree {}", key.tree).into(),
            source,
        })?;
        if count == 0 {
            return Ok(());
        }
        let mut last = None;
        for item in parse(count, &buffer)? {
            last = Some((item.object, item.kind, item.offset));
            if !each(item)? {
                return Ok(());
            }
        }
        let Some(next) = last.and_then(successor) else { return Ok(()) };
        (key.objects.0, key.types.0, key.offsets.0) = next;
    }
}

/// The smallest key above this one.
fn successor((object, kind, offset): (u64, u32, u64)) -> Option<(u64, u32, u64)> {
    // Item types are one byte on disk.
    if let Some(offset) = offset.checked_add(1) {
        Some((object, kind, offset))
    } else if kind < u32::from(u8::MAX) {
        Some((object, kind + 1, 0))
    } else {
        object.checked_add(1).map(|object| (object, 0, 0))
    }
}

/// Takes the kernel's answer apart.
fn parse(count: u32, mut bytes: &[u8]) -> Result<Vec<Item>, Failure> {
    let mut items = Vec::new();
    for _ in 0..count {
        let (header, rest) = bytes.split_at_checked(HEADER).ok_or(Failure::Search("a header is cut off"))?;
        let length =
            usize::try_from(u32_at(header, 28)?).map_err(|_| Failure::Search("a length is absurd"))?;
        let (data, rest) = rest.split_at_checked(length).ok_or(Failure::Search("an item is cut off"))?;
        items.push(Item {
            object: u64_at(header, 8)?,
            offset: u64_at(header, 16)?,
            kind: u32_at(header, 24)?,
            data: data.to_vec(),
        });
        bytes = rest;
    }
    Ok(items)
}

/// A little-endian number at a place in an item. (The header is in the order
/// of the machine; btrfs runs on little-endian ones in all but name, and a
/// big-endian build is refused below.)
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Failure> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

/// As [`u64_at`], of 32 bits.
fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Failure> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

/// As [`u64_at`], of 16 bits.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Failure> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

#[cfg(target_endian = "big")]
compile_error!("search headers are read as little-endian");

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Failure> {
    at.checked_add(N)
        .and_then(|end| bytes.get(at..end))
        .and_then(|slice| slice.try_into().ok())
        .ok_or(Failure::Search("an item is too short"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(object: u64, kind: u32, offset: u64, length: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = 7u64.to_le_bytes().to_vec();
        bytes.extend(object.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn items_are_taken_apart_at_any_alignment() {
        let bytes = [answer(1, 2, 3, 1, b"x"), answer(4, 5, 6, 3, b"abc")].concat();
        let items = parse(2, &bytes).unwrap();
        assert_eq!((items[0].object, items[0].kind, items[0].offset), (1, 2, 3));
        assert_eq!((items[1].object, items[1].data.as_slice()), (4, b"abc".as_slice()));
    }

    #[test]
    fn an_answer_that_is_cut_off_or_lies_is_an_error() {
        let whole = answer(1, 2, 3, 3, b"abc");
        for cut in 0..whole.len() {
            assert!(parse(1, &whole[..cut]).is_err(), "{cut}");
        }
        assert!(parse(1, &answer(1, 2, 3, u32::MAX, b"abc")).is_err());
        assert!(parse(u32::MAX, &whole).is_err());
    }

    #[test]
    fn the_search_goes_on_behind_the_last_item() {
        assert_eq!(successor((1, 2, 3)), Some((1, 2, 4)));
        assert_eq!(successor((1, 2, u64::MAX)), Some((1, 3, 0)));
        assert_eq!(successor((1, 255, u64::MAX)), Some((2, 0, 0)));
        assert_eq!(successor((u64::MAX, 255, u64::MAX)), None);
    }
}
