//! What describes an entry besides its content: reading it without leaving a
//! trace, and comparing it.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::tree::failure::{Failure, during};

/// The most that the names of all attributes, or the value of one, can take
/// (`XATTR_LIST_MAX`, `XATTR_SIZE_MAX` of linux/limits.h).
const MOST: usize = 64 << 10;

/// What fits in nearly every case, without asking for the size first.
const USUALLY: usize = 1 << 10;

/// Names and values of extended attributes.
pub(crate) type Attributes = BTreeMap<CString, Vec<u8>>;

/// Opens something of the source without changing its access time, where that
/// is allowed.
pub(crate) fn open_quietly(at: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    match rustix::fs::openat(at, name, flags | OFlags::NOATIME, Mode::empty()) {
        // It belongs to somebody else, and we may only read it (open(2)).
        Err(Errno::PERM) => rustix::fs::openat(at, name, flags, Mode::empty()),
        outcome => outcome,
    }
}

/// Whether type, mode, owner and modification time are the same.
pub(crate) fn same_metadata(one: &Stat, other: &Stat) -> bool {
    let known = |stat: &Stat| (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_mtime, stat.st_mtime_nsec);
    known(one) == known(other)
}

/// The extended attributes of an open file.
pub(crate) fn attributes_of_file(file: &OwnedFd) -> std::result::Result<Attributes, Failure> {
    collect(
        |buffer| rustix::fs::flistxattr(file, buffer),
        |name, buffer| rustix::fs::fgetxattr(file, name, buffer),
    )
}

/// The extended attributes of an entry, which is not followed.
pub(crate) fn attributes_of_entry(
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

/// A path to an entry of an open directory, for the calls that know no
/// descriptors: the magic link leads to the directory itself, and the last
/// component is not followed by the `l` forms.
pub(crate) fn entry_path(directory: BorrowedFd<'_>, name: &CStr) -> CString {
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
