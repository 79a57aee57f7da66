//! Owners, modes, extended attributes and times.
//!
//! In this order: changing the owner clears set-id bits and capabilities, an
//! ACL changes the mode, and everything changes the times.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Gid, Mode, Stat, Uid, XattrFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::tree::attributes::{attributes_of_entry, attributes_of_file, entry_path, same_metadata};
use crate::tree::failure::{Failure, during};
use crate::tree::leave_out::times;

/// Bits of a mode that a change of owner clears.
const SET_ID: u32 = 0o6000;

/// The process's umask. Read, not set: setting it would be felt by every
/// thread.
pub(super) fn umask() -> Result<u32> {
    let failed = |error| Error::io("cannot read the umask", error);
    let status = std::fs::read_to_string("/proc/self/status").map_err(failed)?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    // Linux 4.7 and later have the line; without it every mode is simply set.
    Ok(line.and_then(|text| u32::from_str_radix(text.trim(), 8).ok()).unwrap_or(0o777))
}

/// Gives a directory whose contents are complete everything of its source. One
/// that has it all is not touched.
pub(super) fn finish_directory(directory: &super::Directory) -> std::result::Result<(), Failure> {
    let super::Directory { source, destination, merging, .. } = directory;
    if *merging {
        let look = |side| rustix::fs::fstat(side).map_err(during("look at"));
        let ours = look(source)?;
        if same_metadata(&ours, &look(destination)?)
            && attributes_of_file(source)? == attributes_of_file(destination)?
        {
            return Ok(());
        }
        forget_attributes(source, destination)?;
        // Not made by us, so it may belong to anybody.
        let (uid, gid) = (Uid::from_raw(ours.st_uid), Gid::from_raw(ours.st_gid));
        rustix::fs::fchown(destination, Some(uid), Some(gid)).map_err(during("set the owner of"))?;
    }
    copy_to_directory(source, destination, |_| false)
}

/// Removes the attributes that the source does not have.
fn forget_attributes(source: &OwnedFd, destination: &OwnedFd) -> std::result::Result<(), Failure> {
    let wanted = attributes_of_file(source)?;
    for name in attributes_of_file(destination)?.into_keys().filter(|name| !wanted.contains_key(name)) {
        match rustix::fs::fremovexattr(destination, &name) {
            Ok(()) | Err(Errno::NODATA) => {}
            Err(errno) => return Err(Failure::Attribute(name, errno)),
        }
    }
    Ok(())
}

/// Gives a directory, which was made with mode 0700, everything of another but
/// the attributes whose names `but_not` is true of.
pub(super) fn copy_to_directory(
    source: &OwnedFd,
    destination: &OwnedFd,
    but_not: fn(&[u8]) -> bool,
) -> std::result::Result<(), Failure> {
    let stat = rustix::fs::fstat(source).map_err(during("look at"))?;
    set_owner(destination, &stat)?;
    rustix::fs::fchmod(destination, mode_of(&stat)).map_err(during("set the mode of"))?;
    copy_attributes(source, destination, but_not)?;
    rustix::fs::futimens(destination, &times(&stat)).map_err(during("set the times of"))
}

/// Gives a file, which was made with the permission bits of `stat` less the
/// umask, everything that `stat` and the source's attributes say.
pub(super) fn copy_to_file(
    source: &OwnedFd,
    destination: &OwnedFd,
    stat: &Stat,
    umask: u32,
) -> std::result::Result<(), Failure> {
    set_owner(destination, stat)?;
    if stat.st_mode & (umask | 0o7000) != 0 {
        rustix::fs::fchmod(destination, mode_of(stat)).map_err(during("set the mode of"))?;
    }
    copy_attributes(source, destination, |_| false)?;
    rustix::fs::futimens(destination, &times(stat)).map_err(during("set the times of"))
}

fn set_owner(destination: &OwnedFd, stat: &Stat) -> std::result::Result<(), Failure> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    if (stat.st_uid, stat.st_gid) == (uid.as_raw(), gid.as_raw()) && stat.st_mode & SET_ID == 0 {
        return Ok(());
    }
    rustix::fs::fchown(destination, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
        .map_err(during("set the owner of"))
}

pub(super) fn mode_of(stat: &Stat) -> Mode {
    Mode::from_raw_mode(stat.st_mode & 0o7777)
}

fn copy_attributes(
    source: &OwnedFd,
    destination: &OwnedFd,
    but_not: fn(&[u8]) -> bool,
) -> std::result::Result<(), Failure> {
    for (name, value) in attributes_of_file(source)? {
        if !but_not(name.to_bytes()) {
            rustix::fs::fsetxattr(destination, &name, &value, XattrFlags::empty())
                .map_err(|errno| Failure::Attribute(name, errno))?;
        }
    }
    Ok(())
}

/// As [`copy_to_file`], for what cannot be opened: symlinks, devices, FIFOs
/// and sockets. Both are reached as entries of their directories.
pub(super) fn copy_to_entry(
    source: BorrowedFd<'_>,
    destination: BorrowedFd<'_>,
    name: &CStr,
    stat: &Stat,
) -> std::result::Result<(), Failure> {
    let nofollow = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(destination, name, Some(uid), Some(gid), nofollow)
        .map_err(during("set the owner of"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        // A symlink has no mode of its own. The entry was made by us just now, so following is safe.
        rustix::fs::chmodat(destination, name, mode_of(stat), rustix::fs::AtFlags::empty())
            .map_err(during("set the mode of"))?;
    }
    for (attribute, value) in attributes_of_entry(source, name)? {
        rustix::fs::lsetxattr(entry_path(destination, name), &attribute, &value, XattrFlags::empty())
            .map_err(|errno| Failure::Attribute(attribute, errno))?;
    }
    rustix::fs::utimensat(destination, name, &times(stat), nofollow).map_err(during("set the times of"))
}

/// Borrows both sides for one call.
pub(super) fn sides(directory: &super::Directory) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
    (directory.source.as_fd(), directory.destination.as_fd())
}
