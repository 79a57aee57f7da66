//! Comparing one entry that is in both trees.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, OFlags, Stat};

use super::{Aspect, Comparison, What};
use crate::tree::attributes::{attributes_of_entry, attributes_of_file, open_quietly};
use crate::tree::contents::{Data, same_bytes};
use crate::tree::failure::{Failure, during};

/// An entry of a directory, and what stat(2) says of it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) directory: BorrowedFd<'a>,
    pub(super) name: &'a CStr,
    pub(super) stat: &'a Stat,
}

impl Place<'_> {
    pub(super) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

/// In what two entries of one type differ, hard links aside. Of a directory it
/// is the directory itself that is compared.
pub(super) fn differs(one: Place<'_>, other: Place<'_>, trees: &Comparison<'_>) -> Result<What, Failure> {
    let (a, b) = (one.stat, other.stat);
    let what = What::NOTHING
        .and_if(Aspect::Mode, a.st_mode != b.st_mode)
        .and_if(Aspect::Owner, (a.st_uid, a.st_gid) != (b.st_uid, b.st_gid))
        .and_if(Aspect::Mtime, (a.st_mtime, a.st_mtime_nsec) != (b.st_mtime, b.st_mtime_nsec));
    match one.file_type() {
        FileType::RegularFile => file(one, other, trees, what),
        FileType::Symlink => {
            let target = |place: Place<'_>| {
                rustix::fs::readlinkat(place.directory, place.name, Vec::new())
                    .map_err(during("read the link"))
            };
            entry(one, other, what.and_if(Aspect::Content, target(one)? != target(other)?))
        }
        FileType::CharacterDevice | FileType::BlockDevice => {
            entry(one, other, what.and_if(Aspect::Content, a.st_rdev != b.st_rdev))
        }
        _ => entry(one, other, what),
    }
}

/// What cannot be opened, or need not be.
fn entry(one: Place<'_>, other: Place<'_>, what: What) -> Result<What, Failure> {
    let attributes = |place: Place<'_>| attributes_of_entry(place.directory, place.name);
    Ok(what.and_if(Aspect::Xattr, attributes(one)? != attributes(other)?))
}

fn file(one: Place<'_>, other: Place<'_>, trees: &Comparison<'_>, what: What) -> Result<What, Failure> {
    let open = |place: Place<'_>| {
        // Something else may have taken its place meanwhile: a FIFO must not block.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        open_quietly(place.directory, place.name, flags).map_err(during("open"))
    };
    let (left, right) = (open(one)?, open(other)?);
    let what = what.and_if(Aspect::Xattr, attributes_of_file(&left)? != attributes_of_file(&right)?);
    if one.stat.st_size != other.stat.st_size {
        return Ok(what.and(Aspect::Content));
    }
    let size = one.stat.st_size.unsigned_abs();
    let (data, other_data) = (Data::of(&left, size)?, Data::of(&right, size)?);
    let same = same_bytes(size, (&left, &data), (&right, &other_data), trees.one_file_system)?;
    // Another content says more than that it lies elsewhere.
    Ok(what.and_if(Aspect::Content, !same).and_if(Aspect::Holes, same && trees.holes && data != other_data))
}
