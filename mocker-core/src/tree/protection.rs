//! The flags with which chattr(1) protects files and directories: immutable and
//! append-only. Even root cannot remove what has one, nor what is in it
//! (`may_delete` of fs/namei.c, Linux 6.18), so they are taken off what is
//! deleted anyway.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, IFlags, Mode, OFlags, openat, statat};
use rustix::io::{Errno, Result};

const PROTECTION: IFlags = IFlags::IMMUTABLE.union(IFlags::APPEND);

/// Whether a file or a directory is protected.
///
/// # Errors
/// Those of asking for the flags; a file system that has none is no error.
pub fn is_protected(file: impl AsFd) -> Result<bool> {
    Ok(flags(file)?.intersects(PROTECTION))
}

fn flags(file: impl AsFd) -> Result<IFlags> {
    match rustix::fs::ioctl_getflags(file) {
        Err(Errno::NOTTY | Errno::OPNOTSUPP) => Ok(IFlags::empty()),
        outcome => outcome,
    }
}

/// Takes the protection off an entry of a directory; answers whether it had any.
/// Only files and directories can, and nothing else is opened.
///
/// # Errors
/// Those of setting the flags: `EPERM` without `CAP_LINUX_IMMUTABLE`.
pub fn unprotect_entry(directory: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
    let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile | FileType::Directory => {}
        _ => return Ok(false),
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    unprotect(openat(directory, name, flags, Mode::empty())?)
}

/// Takes the protection off an open file or directory; answers whether it had
/// any.
///
/// # Errors
/// As [`unprotect_entry`].
pub fn unprotect(file: impl AsFd) -> Result<bool> {
    let flags = flags(&file)?;
    if flags.intersects(PROTECTION) {
        rustix::fs::ioctl_setflags(&file, flags.difference(PROTECTION))?;
    }
    Ok(flags.intersects(PROTECTION))
}
