//! What is in the items of a tree of files (`linux/btrfs_tree.h`): inodes, their
//! names, and the entries of directories. Packed structures, read field by field.

use linux_raw_sys::btrfs as raw;

use crate::error::Failure;
use crate::search::{Item, u16_at, u32_at, u64_at};

/// The top directory of every tree of files.
pub(crate) const TOP: u64 = raw::BTRFS_FIRST_FREE_OBJECTID as u64;

/// The greatest number of an inode, or of a subvolume (`BTRFS_LAST_FREE_OBJECTID`).
pub(crate) const LAST: u64 = u64::MAX - 255;

/// `struct btrfs_inode_item`, the fields that are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inode {
    /// The transaction that made it. With its number it is known by it: when a
    /// number is used again, the generation is another one. A snapshot keeps both.
    pub(crate) generation: u64,
    /// The transaction that changed it last.
    pub(crate) transid: u64,
    /// How many names it has.
    pub(crate) links: u32,
    pub(crate) is_directory: bool,
    /// When it was made: seconds and nanoseconds.
    pub(crate) made: (u64, u32),
}

impl Inode {
    pub(crate) fn of(item: &Item<'_>) -> Result<Self, Failure> {
        const MODE: usize = std::mem::offset_of!(raw::btrfs_inode_item, mode);
        const MADE: usize = std::mem::offset_of!(raw::btrfs_inode_item, otime);
        Ok(Self {
            generation: u64_at(item.data, std::mem::offset_of!(raw::btrfs_inode_item, generation))?,
            transid: u64_at(item.data, std::mem::offset_of!(raw::btrfs_inode_item, transid))?,
            links: u32_at(item.data, std::mem::offset_of!(raw::btrfs_inode_item, nlink))?,
            is_directory: u32_at(item.data, MODE)? & libc::S_IFMT == libc::S_IFDIR,
            made: (u64_at(item.data, MADE)?, u32_at(item.data, MADE + 8)?),
        })
    }
}

/// A name of an inode: the directory, and the name there.
pub(crate) type Name<'a> = (u64, &'a [u8]);

/// The names in an `INODE_REF`, all in one directory, or in an `INODE_EXTREF`,
/// which takes those for which that has no room. Other items have none.
pub(crate) fn names<'a>(item: &Item<'a>) -> impl Iterator<Item = Result<Name<'a>, Failure>> {
    let Item { kind, offset, mut data, .. } = *item;
    std::iter::from_fn(move || {
        let length = match kind {
            // struct btrfs_inode_ref: index (8 bytes), name_len (2), then the name.
            raw::BTRFS_INODE_REF_KEY => 8,
            // struct btrfs_inode_extref: parent, index (8 bytes each), name_len (2), then the name.
            raw::BTRFS_INODE_EXTREF_KEY => 16,
            _ => return None,
        };
        if data.is_empty() {
            return None;
        }
        let directory = if length == 16 { u64_at(data, 0) } else { Ok(offset) };
        let name = name_at(data, length);
        data = name.as_ref().map_or(&[], |name| &data[length + 2 + name.len()..]);
        Some(directory.and_then(|directory| Ok((directory, name?))))
    })
}

/// A name behind its length, which is at a place in an item.
fn name_at(data: &[u8], length: usize) -> Result<&[u8], Failure> {
    let begin = length + 2;
    let end = begin + usize::from(u16_at(data, length)?);
    let name = data.get(begin..end).ok_or(Failure::Search("a name is cut off"))?;
    checked(name)
}

/// `struct btrfs_dir_item`, of a `DIR_INDEX`: location (object 8 bytes, type 1,
/// offset 8), transid (8), data_len, name_len (2 each), type (1), then the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    /// The inode, or the tree of a subvolume.
    pub(crate) object: u64,
    /// Whether it is a subvolume's tree.
    pub(crate) is_subvolume: bool,
    pub(crate) name: &'a [u8],
}

impl<'a> Entry<'a> {
    pub(crate) fn of(item: &Item<'a>) -> Result<Self, Failure> {
        let kind = *item.data.get(8).ok_or(Failure::Search("a directory entry is cut off"))?;
        let length = usize::from(u16_at(item.data, 27)?);
        let name = item.data.get(30..30 + length).ok_or(Failure::Search("a name is cut off"))?;
        Ok(Self {
            object: u64_at(item.data, 0)?,
            is_subvolume: u32::from(kind) == raw::BTRFS_ROOT_ITEM_KEY,
            name: checked(name)?,
        })
    }
}

/// `struct btrfs_root_ref`: the directory, a sequence (8 bytes each), name_len
/// (2), then the name.
pub(crate) fn root_reference<'a>(item: &Item<'a>) -> Result<Name<'a>, Failure> {
    Ok((u64_at(item.data, 0)?, name_at(item.data, 16)?))
}

/// Refuses what cannot be one component of a path: paths are made of names.
fn checked(name: &[u8]) -> Result<&[u8], Failure> {
    let is_name =
        !name.is_empty() && !name.contains(&b'/') && !name.contains(&0) && name != b"." && name != b"..";
    if is_name { Ok(name) } else { Err(Failure::Search("a name is none")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: u32, data: &[u8]) -> Item<'_> {
        Item { object: 300, kind, offset: 256, data }
    }

    fn reference(name: &[u8]) -> Vec<u8> {
        let mut data = 7u64.to_le_bytes().to_vec();
        data.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        data.extend(name);
        data
    }

    fn all<'a>(item: &Item<'a>) -> Result<Vec<Name<'a>>, Failure> {
        names(item).collect()
    }

    #[test]
    fn an_item_has_several_names() {
        let data = [reference(b"one"), reference(b"\xff\n")].concat();
        let found = all(&item(raw::BTRFS_INODE_REF_KEY, &data)).unwrap();
        assert_eq!(found, [(256, b"one".as_slice()), (256, b"\xff\n")]);
        let extended = [257u64.to_le_bytes().to_vec(), reference(b"two")].concat();
        assert_eq!(all(&item(raw::BTRFS_INODE_EXTREF_KEY, &extended)).unwrap(), [(257, b"two".as_slice())]);
        assert_eq!(all(&item(raw::BTRFS_INODE_ITEM_KEY, &data)).unwrap(), []);
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let data = [reference(b"one"), reference(b"two")].concat();
        for cut in (1..data.len()).filter(|cut| *cut != data.len() / 2) {
            assert!(all(&item(raw::BTRFS_INODE_REF_KEY, &data[..cut])).is_err(), "{cut}");
        }
        let whole = [vec![0; 27], vec![3, 0, 1], b"abc".to_vec()].concat();
        assert_eq!(Entry::of(&item(raw::BTRFS_DIR_INDEX_KEY, &whole)).unwrap().name, b"abc");
        for cut in 0..whole.len() {
            assert!(Entry::of(&item(raw::BTRFS_DIR_INDEX_KEY, &whole[..cut])).is_err(), "{cut}");
        }
        assert!(Inode::of(&item(raw::BTRFS_INODE_ITEM_KEY, &[0; 155])).is_err());
    }

    #[test]
    fn what_is_no_name_is_an_error() {
        for bad in [b"".as_slice(), b".", b"..", b"a/b", b"/", b"a\0"] {
            assert!(all(&item(raw::BTRFS_INODE_REF_KEY, &reference(bad))).is_err(), "{bad:?}");
        }
    }
}
