//! The kernel calls of btrfs, as safe functions; those of loop devices are in
//! `pool/sys.rs`, and nowhere else is anything `unsafe`.
//!
//! Every function takes borrowed descriptors and plain values, and every
//! structure is the kernel's own, from `linux-raw-sys`; the tests compare each
//! opcode that is computed here with the value in the kernel's headers. What an
//! errno means is said by the callers, who know the subject.

#![expect(unsafe_code, reason = "ioctl(2) takes raw pointers; this is the place for it")]

use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use linux_raw_sys::btrfs as raw;
use linux_raw_sys::ioctl;

mod logical;
mod search;

pub(crate) use logical::trees_with;
#[cfg(test)]
pub(crate) use search::ROOM;
pub(crate) use search::{Answer, SearchKey, tree_search};

/// Every btrfs ioctl has this type byte (`linux/btrfs.h`).
const MAGIC: u8 = raw::BTRFS_IOCTL_MAGIC as u8;

nix::ioctl_write_ptr!(snap_create_v2, MAGIC, 23, raw::btrfs_ioctl_vol_args_v2);
nix::ioctl_write_ptr!(subvol_create_v2, MAGIC, 24, raw::btrfs_ioctl_vol_args_v2);
nix::ioctl_write_ptr!(snap_destroy_v2, MAGIC, 63, raw::btrfs_ioctl_vol_args_v2);
nix::ioctl_write_ptr!(resize_device, MAGIC, 3, raw::btrfs_ioctl_vol_args);
nix::ioctl_read!(get_subvol_info, MAGIC, 60, raw::btrfs_ioctl_get_subvol_info_args);
nix::ioctl_read!(get_fs_info, MAGIC, 31, raw::btrfs_ioctl_fs_info_args);
nix::ioctl_readwrite!(ino_lookup, MAGIC, 18, raw::btrfs_ioctl_ino_lookup_args);
// The opcode counts the head alone, not the buffer behind it.
nix::ioctl_readwrite_bad!(space_info, ioctl::BTRFS_IOC_SPACE_INFO, SpaceArgs);
nix::ioctl_read!(subvol_getflags, MAGIC, 25, u64);
nix::ioctl_write_ptr!(subvol_setflags, MAGIC, 26, u64);
nix::ioctl_none!(sync_fs, MAGIC, 8);

/// More than there are kinds of chunks: data, metadata and system in nine
/// profiles each, and the global reserve.
const SPACES: usize = 32;

/// `struct btrfs_ioctl_space_args`, with its buffer.
#[repr(C)]
#[derive(Debug)]
struct SpaceArgs {
    space_slots: u64,
    total_spaces: u64,
    spaces: [raw::btrfs_ioctl_space_info; SPACES],
}

/// What the kernel says of one kind of chunks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Space {
    /// The kind, and its profile, as bits (`BTRFS_BLOCK_GROUP_…`).
    pub(crate) kind: u64,
    /// Bytes of all its chunks.
    pub(crate) total: u64,
    /// Bytes in use.
    pub(crate) used: u64,
}

/// What the kernel says of a subvolume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SubvolumeInfo {
    /// The number of its tree.
    pub(crate) id: u64,
    /// The transaction that made it.
    pub(crate) otransid: u64,
    /// What it is known by, whatever its number.
    pub(crate) uuid: [u8; 16],
    /// What it was made a snapshot of; all zeros where it was not.
    pub(crate) parent_uuid: [u8; 16],
    /// Whether it is read-only.
    pub(crate) read_only: bool,
}

pub(crate) fn checked(result: nix::Result<i32>) -> io::Result<i32> {
    result.map_err(io::Error::from)
}

fn zeroed_vol_args() -> raw::btrfs_ioctl_vol_args_v2 {
    // SAFETY: the structure is integers, a pointer and byte arrays; all zeros is a value of each.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

/// Arguments that name an entry of the directory that the ioctl is made on.
fn vol_args(name: &OsStr) -> io::Result<raw::btrfs_ioctl_vol_args_v2> {
    let mut args = zeroed_vol_args();
    let bytes = name.as_bytes();
    // SAFETY: both variants of the union are plain bytes and integers, valid whatever they hold.
    let field = unsafe { &mut args.__bindgen_anon_2.name };
    if bytes.len() >= field.len() || bytes.contains(&0) || bytes.contains(&b'/') || bytes.is_empty() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in field.iter_mut().zip(bytes) {
        *to = (*from).cast_signed();
    }
    Ok(args)
}

/// Makes an empty subvolume.
pub(crate) fn create_subvolume(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let args = vol_args(name)?;
    // SAFETY: `args` is a whole, initialised structure of the type that the opcode is for.
    checked(unsafe { subvol_create_v2(directory.as_raw_fd(), &raw const args) }).map(drop)
}

/// Makes a snapshot of the subvolume that `source` lies at the top of. Waits
/// for a transaction commit.
pub(crate) fn create_snapshot(
    directory: BorrowedFd<'_>,
    name: &OsStr,
    source: BorrowedFd<'_>,
    read_only: bool,
) -> io::Result<()> {
    let mut args = vol_args(name)?;
    args.fd = source.as_raw_fd().into();
    if read_only {
        args.flags = raw::BTRFS_SUBVOL_RDONLY.into();
    }
    // SAFETY: as above; `source` stays open during the call.
    checked(unsafe { snap_create_v2(directory.as_raw_fd(), &raw const args) }).map(drop)
}

/// Deletes a subvolume by its name in a directory.
pub(crate) fn destroy_subvolume(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let args = vol_args(name)?;
    // SAFETY: `args` is a whole, initialised structure of the type that the opcode is for.
    checked(unsafe { snap_destroy_v2(directory.as_raw_fd(), &raw const args) }).map(drop)
}

/// What the kernel says of the subvolume that `inside` lies in.
pub(crate) fn subvolume_info(inside: BorrowedFd<'_>) -> io::Result<SubvolumeInfo> {
    let mut info = MaybeUninit::<raw::btrfs_ioctl_get_subvol_info_args>::zeroed();
    // SAFETY: the pointer is to memory of the size that the opcode says.
    checked(unsafe { get_subvol_info(inside.as_raw_fd(), info.as_mut_ptr()) })?;
    // SAFETY: zeroed before, filled by the kernel; integers and bytes only.
    let info = unsafe { info.assume_init() };
    Ok(SubvolumeInfo {
        id: info.treeid,
        otransid: info.otransid,
        uuid: info.uuid,
        parent_uuid: info.parent_uuid,
        // The flag of the root item, not of the ioctl: bit 0 (`BTRFS_ROOT_SUBVOL_RDONLY`).
        read_only: info.flags & 1 != 0,
    })
}

/// The number of the transaction that runs now, or at least that of the last one
/// that was committed.
pub(crate) fn generation(on: BorrowedFd<'_>) -> io::Result<u64> {
    let mut info = MaybeUninit::<raw::btrfs_ioctl_fs_info_args>::zeroed();
    // SAFETY: zeroed memory is a value of this structure of integers.
    let info = unsafe { info.assume_init_mut() };
    info.flags = raw::BTRFS_FS_INFO_FLAG_GENERATION.into();
    // SAFETY: `info` is a whole, initialised structure of the type that the opcode is for.
    checked(unsafe { get_fs_info(on.as_raw_fd(), &raw mut *info) })?;
    // Kernels before 5.10 do not tell: then everything counts as new.
    Ok(if info.flags & u64::from(raw::BTRFS_FS_INFO_FLAG_GENERATION) == 0 { 0 } else { info.generation })
}

/// The path of a directory inode, from the top of its subvolume, with a slash
/// at its end; empty for the top itself.
pub(crate) fn inode_path(on: BorrowedFd<'_>, tree: u64, inode: u64) -> io::Result<Vec<u8>> {
    let mut args = MaybeUninit::<raw::btrfs_ioctl_ino_lookup_args>::zeroed();
    // SAFETY: zeroed memory is a value of this structure of integers.
    let args = unsafe { args.assume_init_mut() };
    args.treeid = tree;
    args.objectid = inode;
    // SAFETY: `args` is a whole, initialised structure of the type that the opcode is for.
    checked(unsafe { ino_lookup(on.as_raw_fd(), &raw mut *args) })?;
    Ok(args.name.iter().take_while(|byte| **byte != 0).map(|byte| byte.cast_unsigned()).collect())
}

/// Opens a directory by its number in a tree, however deep it lies: the kernel
/// gives no path that is longer than 4 KiB. Needs CAP_DAC_READ_SEARCH.
pub(crate) fn open_directory_inode(on: BorrowedFd<'_>, tree: u64, inode: u64) -> io::Result<OwnedFd> {
    /// `struct file_handle` with a `struct btrfs_fid` without its optional part
    /// (linux/fs.h, fs/btrfs/export.h); packed, because the 64-bit numbers
    /// begin at an offset of 8 and end at one of 28.
    #[repr(C, packed)]
    struct Handle {
        length: u32,
        kind: i32,
        inode: u64,
        tree: u64,
        generation: u32,
    }
    /// `FILEID_BTRFS_WITHOUT_PARENT` of linux/exportfs.h.
    const KIND: i32 = 0x4d;
    const { assert!(size_of::<Handle>() == 28) };
    // Generation 0 is not compared (btrfs_get_dentry of fs/btrfs/export.c).
    let mut handle = Handle { length: 20, kind: KIND, inode, tree, generation: 0 };
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the kernel reads the head and `length` bytes behind it, which `handle` holds.
    let opened = unsafe {
        libc::open_by_handle_at(on.as_raw_fd(), (&raw mut handle).cast::<libc::file_handle>(), flags)
    };
    if opened == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was opened just now, and that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(opened) })
}

/// The read-only flag of the subvolume that `top` is the top of.
pub(crate) fn set_read_only(top: BorrowedFd<'_>, read_only: bool) -> io::Result<()> {
    let mut flags = 0u64;
    // SAFETY: the pointer is to an integer of the size that the opcode says.
    checked(unsafe { subvol_getflags(top.as_raw_fd(), &raw mut flags) })?;
    let bit = u64::from(raw::BTRFS_SUBVOL_RDONLY);
    let flags = if read_only { flags | bit } else { flags & !bit };
    // SAFETY: as above.
    checked(unsafe { subvol_setflags(top.as_raw_fd(), &raw const flags) }).map(drop)
}

/// Writes out all data and waits for a transaction commit; wakes the cleaner.
pub(crate) fn sync(on: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the opcode takes no argument.
    checked(unsafe { sync_fs(on.as_raw_fd()) }).map(drop)
}

/// The kinds of chunks of a file system, as `btrfs filesystem df` reads them.
pub(crate) fn spaces(on: BorrowedFd<'_>) -> io::Result<Vec<Space>> {
    let none = raw::btrfs_ioctl_space_info { flags: 0, total_bytes: 0, used_bytes: 0 };
    let mut args = SpaceArgs { space_slots: SPACES as u64, total_spaces: 0, spaces: [none; SPACES] };
    // SAFETY: the kernel writes at most `space_slots` entries behind the head, which `spaces` holds.
    checked(unsafe { space_info(on.as_raw_fd(), &raw mut args) })?;
    let found = args.spaces.iter().take(usize::try_from(args.total_spaces).unwrap_or(SPACES));
    Ok(found
        .map(|space| Space { kind: space.flags, total: space.total_bytes, used: space.used_bytes })
        .collect())
}

/// Makes a mounted file system fill its device.
pub(crate) fn resize_to_device(on: BorrowedFd<'_>) -> io::Result<()> {
    let mut args = MaybeUninit::<raw::btrfs_ioctl_vol_args>::zeroed();
    // SAFETY: zeroed memory is a value of this structure of integers.
    let args = unsafe { args.assume_init_mut() };
    for (to, from) in args.name.iter_mut().zip(b"1:max") {
        *to = from.cast_signed();
    }
    // SAFETY: `args` is a whole, initialised structure of the type that the opcode is for.
    checked(unsafe { resize_device(on.as_raw_fd(), &raw const *args) }).map(drop)
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use super::*;

    #[test]
    fn opcodes_are_those_of_the_kernel_headers() {
        let computed = [
            (
                nix::request_code_write!(MAGIC, 23, size_of::<raw::btrfs_ioctl_vol_args_v2>()),
                ioctl::BTRFS_IOC_SNAP_CREATE_V2,
            ),
            (
                nix::request_code_write!(MAGIC, 24, size_of::<raw::btrfs_ioctl_vol_args_v2>()),
                ioctl::BTRFS_IOC_SUBVOL_CREATE_V2,
            ),
            (
                nix::request_code_write!(MAGIC, 63, size_of::<raw::btrfs_ioctl_vol_args_v2>()),
                ioctl::BTRFS_IOC_SNAP_DESTROY_V2,
            ),
            (
                nix::request_code_write!(MAGIC, 3, size_of::<raw::btrfs_ioctl_vol_args>()),
                ioctl::BTRFS_IOC_RESIZE,
            ),
            (
                nix::request_code_read!(MAGIC, 60, size_of::<raw::btrfs_ioctl_get_subvol_info_args>()),
                ioctl::BTRFS_IOC_GET_SUBVOL_INFO,
            ),
            (
                nix::request_code_readwrite!(MAGIC, 18, size_of::<raw::btrfs_ioctl_ino_lookup_args>()),
                ioctl::BTRFS_IOC_INO_LOOKUP,
            ),
            (
                nix::request_code_read!(MAGIC, 31, size_of::<raw::btrfs_ioctl_fs_info_args>()),
                ioctl::BTRFS_IOC_FS_INFO,
            ),
            (nix::request_code_read!(MAGIC, 25, size_of::<u64>()), ioctl::BTRFS_IOC_SUBVOL_GETFLAGS),
            (nix::request_code_write!(MAGIC, 26, size_of::<u64>()), ioctl::BTRFS_IOC_SUBVOL_SETFLAGS),
            (nix::request_code_none!(MAGIC, 8), ioctl::BTRFS_IOC_SYNC),
            (
                nix::request_code_readwrite!(MAGIC, 20, std::mem::offset_of!(SpaceArgs, spaces)),
                ioctl::BTRFS_IOC_SPACE_INFO,
            ),
        ];
        for (ours, kernels) in computed {
            assert_eq!(u64::from(kernels), ours, "{kernels:#x}");
        }
    }

    #[test]
    fn structures_have_the_sizes_of_the_kernel_headers() {
        // Read off linux/btrfs.h of Linux 6.1 by a C program.
        assert_eq!(size_of::<raw::btrfs_ioctl_vol_args>(), 4096);
        assert_eq!(size_of::<raw::btrfs_ioctl_vol_args_v2>(), 4096);
        assert_eq!(size_of::<raw::btrfs_ioctl_get_subvol_info_args>(), 504);
        assert_eq!(size_of::<raw::btrfs_ioctl_fs_info_args>(), 1024);
        assert_eq!(size_of::<raw::btrfs_ioctl_ino_lookup_args>(), 4096);
        assert_eq!(size_of::<raw::btrfs_ioctl_space_info>(), 24);
        assert_eq!(std::mem::offset_of!(SpaceArgs, spaces), 16);
    }

    #[test]
    fn a_name_that_is_a_path_is_refused_before_the_kernel_sees_it() {
        for bad in ["", "a/b", "a\0b", &"x".repeat(5000)] {
            assert!(vol_args(OsStr::new(bad)).is_err(), "{bad:?}");
        }
    }
}
