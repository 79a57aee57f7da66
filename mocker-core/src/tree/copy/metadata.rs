//! Owners, modes, extended attributes and times.
//!
//! In this order: changing the owner clears set-id bits and capabilities, an
//! ACL changes the mode, and everything changes the times.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags};
use rustix::io::Errno;

use super::{Failure, during};
use crate::error::{Error, Result};
use crate::tree::leave_out::times;

/// The most that the names of all attributes, or the value of one, can take
/// (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX` of linux/limits.h).
const MOST: usize = 64 << 10;

/// What fits in nearly every case, without asking for the size first.
const USUALLY: usize = 1 << 10;

/// Names and values of extended attributes.
pub(super) type Attributes = BTreeMap<CString, Vec<u8>>;

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

/// Opens something of the source without changing its access time, where that
/// is allowed.
pub(super) fn open_quietly(at: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    match rustix::fs::openat(at, name, flags | OFlags::NOATIME, Mode::empty()) {
        // It belongs to somebody else, and we may only read it (open(2)).
        Err(Errno::PERM) => rustix::fs::openat(at, name, flags, Mode::empty()),
        outcome => outcome,
    }
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

/// Whether type, mode, owner and modification time are the same.
pub(super) fn same_metadata(one: &Stat, other: &Stat) -> bool {
    let known = |stat: &Stat| (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_mtime, stat.st_mtime_nsec);
    known(one) == known(other)
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

/// The extended attributes of an open file.
pub(super) fn attributes_of_file(file: &OwnedFd) -> std::result::Result<Attributes, Failure> {
    collect(
        |buffer| rustix::fs::flistxattr(file, buffer),
        |name, buffer| rustix::fs::fgetxattr(file, name, buffer),
    )
}

/// The extended attributes of an entry, which is not followed.
pub(super) fn attributes_of_entry(
    directory: BorrowedFd<'_>,
    name: &CStr,
) -> std::result::Result<Attributes, Failure> {
    let path = entry_path(directory, name);
    collect(
        |buffer| rustix::fs::llistxattr(&path, buffer),
        |name, buffer| rustix::fs::lgetxattr(&path, name, buffer),
    )
}

fn collect(
    list: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>,
    get: impl Fn(&CStr, &mut [u8]) -> rustix::io::Result<usize>,
) -> std::result::Result<Attributes, Failure> {
    let names = sized(list).or_else(none_if_unsupported).map_err(during("list the attributes of"))?;
    let mut found = Attributes::new();
    // xfs shows its ACLs a second time by these names. Elsewhere they would be attributes that nobody set.
    for name in split(&names).into_iter().filter(|name| !name.to_bytes().starts_with(b"trusted.SGI_")) {
        match sized(|buffer| get(&name, buffer)) {
            Ok(value) => {
                found.insert(name, value);
            }
            // It went away after the list was made.
            Err(Errno::NODATA) => {}
            Err(errno) => return Err(Failure::Attribute(name, errno)),
        }
    }
    Ok(found)
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

/// A path to an entry of an open directory, for the calls that know no
/// descriptors: the magic link leads to the directory itself, and the last
/// component is not followed by the `l` forms.
fn entry_path(directory: BorrowedFd<'_>, name: &CStr) -> CString {
    let mut path = format!("/proc/self/fd/{}/", std::os::fd::AsRawFd::as_raw_fd(&directory)).into_bytes();
    path.extend(name.to_bytes());
    // No NUL in it: digits, slashes and the bytes of a C string.
    CString::new(path).unwrap_or_default()
}

/// Calls with a buffer that is usually enough, and again with the largest.
fn sized(mut call: impl FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0; USUALLY];
    let length = match call(&mut buffer) {
        Err(Errno::RANGE) => {
            buffer.resize(MOST, 0);
            call(&mut buffer)?
        }
        outcome => outcome?,
    };
    buffer.truncate(length);
    Ok(buffer)
}

/// A file system without attributes has none to lose.
fn none_if_unsupported(errno: Errno) -> rustix::io::Result<Vec<u8>> {
    if errno == Errno::OPNOTSUPP { Ok(Vec::new()) } else { Err(errno) }
}

fn split(names: &[u8]) -> Vec<CString> {
    let ended = names.split_inclusive(|byte| *byte == 0);
    ended.filter_map(|name| CStr::from_bytes_with_nul(name).ok()).map(CStr::to_owned).collect()
}

/// Borrows both sides for one call.
pub(super) fn sides(directory: &super::Directory) -> (BorrowedFd<'_>, BorrowedFd<'_>) {
    (directory.source.as_fd(), directory.destination.as_fd())
}
