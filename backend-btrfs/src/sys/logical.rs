//! The kernel call that tells which trees have an extent.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use linux_raw_sys::btrfs as raw;

use super::{MAGIC, checked};

nix::ioctl_readwrite!(logical_ino_v2, MAGIC, 59, raw::btrfs_ioctl_logical_ino_args);

/// Room for the answer at first, and the most that the kernel takes.
const ROOM: usize = 64 << 10;
const MOST: usize = 16 << 20;

/// Words of `struct btrfs_data_container` before the answer: bytes left and
/// missing, elements there and missed, of 32 bits each.
const HEAD: usize = 2;

/// The trees in which anything refers to the extent that begins here, or to a
/// part of it. Needs CAP_SYS_ADMIN.
pub(crate) fn trees_with(on: BorrowedFd<'_>, start: u64) -> io::Result<BTreeSet<u64>> {
    let mut room = ROOM;
    loop {
        let mut memory = vec![0u64; room / size_of::<u64>()];
        let mut args = raw::btrfs_ioctl_logical_ino_args {
            logical: start,
            size: room as u64,
            reserved: [0; 3],
            flags: raw::BTRFS_LOGICAL_INO_ARGS_IGNORE_OFFSET.into(),
            inodes: memory.as_mut_ptr().expose_provenance() as u64,
        };
        // SAFETY: `args` is whole and initialised; the kernel writes at most `size` bytes to where `inodes` points,
        // which `memory` holds.
        checked(unsafe { logical_ino_v2(on.as_raw_fd(), &raw mut args) })?;
        let missing = memory[0] >> 32;
        if missing > 0 && room < MOST {
            room *= 16;
            continue;
        }
        let count = usize::try_from(memory[1] & u64::from(u32::MAX)).unwrap_or(0);
        // Inode, offset and tree of each.
        return Ok(memory[HEAD..].iter().take(count).skip(2).step_by(3).copied().collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_opcode_and_the_sizes_are_those_of_the_kernel_headers() {
        assert_eq!(size_of::<raw::btrfs_ioctl_logical_ino_args>(), 56);
        let opcode = nix::request_code_readwrite!(MAGIC, 59, size_of::<raw::btrfs_ioctl_logical_ino_args>());
        assert_eq!(u64::from(linux_raw_sys::ioctl::BTRFS_IOC_LOGICAL_INO_V2), opcode);
        assert_eq!(std::mem::offset_of!(raw::btrfs_data_container, val), HEAD * size_of::<u64>());
    }
}
