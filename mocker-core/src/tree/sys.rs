//! The one call on trees that no crate here wraps.
#![expect(unsafe_code, reason = "a raw ioctl; the block says why it is sound")]

use std::os::fd::BorrowedFd;

use rustix::io::Result;
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

/// `BTRFS_IOC_SUBVOL_SETFLAGS` of include/uapi/linux/btrfs.h.
const SUBVOL_SETFLAGS: Opcode = opcode::write::<u64>(0x94, 26);

/// Takes the read-only flag off a subvolume, of which `top` is the top
/// directory.
///
/// # Errors
/// `EINVAL` for any other directory of btrfs, `ENOTTY` elsewhere, `EPERM` where
/// it belongs to somebody else.
pub(super) fn make_writable(top: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the opcode takes a pointer to an integer of 64 bits, the new flags, and only reads it.
    let set = unsafe { Setter::<SUBVOL_SETFLAGS, u64>::new(0) };
    // SAFETY: the call is the one that the opcode and its argument belong to.
    unsafe { ioctl(top, set) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_opcode_is_that_of_the_header() {
        assert_eq!(super::SUBVOL_SETFLAGS, 0x4008_941A);
    }
}
