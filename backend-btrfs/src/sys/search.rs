//! The kernel call that reads trees, with room for its answer.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use linux_raw_sys::btrfs as raw;
use linux_raw_sys::ioctl;

use super::checked;

/// `struct btrfs_ioctl_search_args_v2` without the buffer behind it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct SearchHead {
    key: raw::btrfs_ioctl_search_key,
    buf_size: u64,
}

// The opcode counts the head alone, not the buffer behind it.
nix::ioctl_readwrite_bad!(tree_search_v2, ioctl::BTRFS_IOC_TREE_SEARCH_V2, SearchHead);

/// Room for the items of one call. An item fits into a block of the tree, of
/// which the largest has 64 KiB; more room would cost more than it saves, because
/// for each block that it reads the kernel touches every page of what is left.
pub(crate) const ROOM: usize = 64 << 10;

const HEAD: usize = size_of::<SearchHead>();

/// What to look for in a tree; every bound is inclusive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SearchKey {
    /// The tree; 0 means the one that the descriptor lies in.
    pub(crate) tree: u64,
    /// Objects, from and to.
    pub(crate) objects: (u64, u64),
    /// Item types, from and to.
    pub(crate) types: (u32, u32),
    /// Offsets, from and to.
    pub(crate) offsets: (u64, u64),
    /// Only items in leaves written by this transaction or a later one.
    pub(crate) min_transid: u64,
}

/// What the kernel answered to a search: so many items, as it lays them out (a
/// header, then the item, unaligned). Made once and used for many searches.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The head and the room behind it; numbers, so that both are aligned.
    memory: Box<[u64]>,
    count: u32,
}

impl Answer {
    /// Room, and nothing in it.
    pub(crate) fn new() -> Self {
        Self { memory: vec![0; (HEAD + ROOM) / size_of::<u64>()].into(), count: 0 }
    }

    /// How many items there are.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The items, and whatever lies behind the last of them.
    pub(crate) fn bytes(&self) -> &[u8] {
        let room = &self.memory[HEAD / size_of::<u64>()..];
        // SAFETY: numbers are bytes, all initialised, at any alignment; the borrow is that of `self`.
        unsafe { std::slice::from_raw_parts(room.as_ptr().cast::<u8>(), size_of_val(room)) }
    }

    /// An answer that no kernel gave.
    #[cfg(test)]
    pub(crate) fn fill(&mut self, count: u32, bytes: &[u8]) {
        let room = &mut self.memory[HEAD / size_of::<u64>()..];
        for (to, from) in room.iter_mut().zip(bytes.chunks(8)) {
            let mut number = [0; 8];
            number[..from.len()].copy_from_slice(from);
            *to = u64::from_ne_bytes(number);
        }
        self.count = count;
    }
}

/// Items of a tree, as many as fit.
pub(crate) fn tree_search(on: BorrowedFd<'_>, key: &SearchKey, answer: &mut Answer) -> io::Result<()> {
    let key = raw::btrfs_ioctl_search_key {
        tree_id: key.tree,
        min_objectid: key.objects.0,
        max_objectid: key.objects.1,
        min_offset: key.offsets.0,
        max_offset: key.offsets.1,
        min_transid: key.min_transid,
        max_transid: u64::MAX,
        min_type: key.types.0,
        max_type: key.types.1,
        nr_items: u32::MAX,
        unused: 0,
        unused1: 0,
        unused2: 0,
        unused3: 0,
        unused4: 0,
    };
    answer.count = 0;
    let head = answer.memory.as_mut_ptr().cast::<SearchHead>();
    // SAFETY: the memory is larger than a head, aligned for one, and nobody else's.
    unsafe { head.write(SearchHead { key, buf_size: ROOM as u64 }) };
    // SAFETY: the kernel writes the head and at most `buf_size` bytes behind it, which `memory` holds.
    checked(unsafe { tree_search_v2(on.as_raw_fd(), head) })?;
    // SAFETY: the head was written above, and perhaps once more by the kernel; it is numbers.
    answer.count = unsafe { head.read() }.key.nr_items;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::MAGIC;
    use super::*;

    #[test]
    fn the_opcode_and_the_sizes_are_those_of_the_kernel_headers() {
        // Read off linux/btrfs.h of Linux 6.1 by a C program.
        assert_eq!(size_of::<raw::btrfs_ioctl_search_key>(), 104);
        assert_eq!(HEAD, 112);
        let opcode = nix::request_code_readwrite!(MAGIC, 17, HEAD);
        assert_eq!(u64::from(ioctl::BTRFS_IOC_TREE_SEARCH_V2), opcode);
    }

    #[test]
    fn room_is_behind_the_head() {
        let mut answer = Answer::new();
        assert_eq!((answer.count(), answer.bytes().len()), (0, ROOM));
        answer.fill(1, b"123456789");
        assert_eq!((answer.count(), &answer.bytes()[..10]), (1, b"123456789\0".as_slice()));
    }
}
