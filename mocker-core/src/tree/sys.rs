//! The two calls on trees that no crate here wraps.
#![expect(unsafe_code, reason = "raw ioctls; each block says why it is sound")]

use std::os::fd::BorrowedFd;

use rustix::io::Result;
use rustix::ioctl::{Opcode, Setter, Updater, ioctl, opcode};

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

/// `FS_IOC_FIEMAP` of include/uapi/linux/fs.h; its size is that of the head
/// alone.
const FIEMAP: Opcode = opcode::read_write::<FiemapHead>(b'f', 11);

/// `struct fiemap` without its extents (include/uapi/linux/fiemap.h).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct FiemapHead {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    room: u32,
    reserved: u32,
}

/// `struct fiemap_extent`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extent {
    /// The place in the file, in bytes.
    pub(super) logical: u64,
    /// The place on the file system, in bytes.
    pub(super) physical: u64,
    pub(super) length: u64,
    reserved: [u64; 2],
    /// `FIEMAP_EXTENT_…`.
    pub(super) flags: u32,
    reserved_too: [u32; 3],
}

/// `FIEMAP_FLAG_SYNC`.
const SYNC: u32 = 1;

/// Extents that are asked for at once.
const EXTENTS: usize = 256;

#[repr(C)]
struct Fiemap {
    head: FiemapHead,
    extents: [Extent; EXTENTS],
}

/// The extents of a file from a place on, as many as fit. What is not on the disk
/// yet is written there first: of bytes that are to replace shared ones btrfs and
/// xfs else tell the place of those.
///
/// # Errors
/// `EOPNOTSUPP` or `ENOTTY` on file systems that do not tell.
pub(super) fn extents(file: BorrowedFd<'_>, start: u64) -> Result<Vec<Extent>> {
    let head = FiemapHead {
        start,
        length: u64::MAX - start,
        flags: SYNC,
        room: EXTENTS as u32,
        ..FiemapHead::default()
    };
    let mut map = Fiemap { head, extents: [Extent::default(); EXTENTS] };
    // SAFETY: the kernel reads the head and writes at most `room` extents behind it, which are there.
    let call = unsafe { Updater::<FIEMAP, Fiemap>::new(&mut map) };
    // SAFETY: the call is the one that the opcode and its argument belong to.
    unsafe { ioctl(file, call) }?;
    let found = usize::try_from(map.head.mapped).unwrap_or(0).min(EXTENTS);
    Ok(map.extents[..found].to_vec())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_opcodes_are_those_of_the_headers() {
        assert_eq!(super::SUBVOL_SETFLAGS, 0x4008_941A);
        assert_eq!(super::FIEMAP, 0xC020_660B);
        assert_eq!((size_of::<super::FiemapHead>(), size_of::<super::Extent>()), (32, 56));
    }
}
