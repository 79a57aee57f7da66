//! Changes of a tree as values, which do the same to any directory: to a plain
//! one, to a subvolume, or to what an overlay shows.
//!
//! What an edit does is the same on every side, its refusal included, so that
//! two sides can be compared step by step:
//!
//! - Paths are relative, are resolved beneath the top, and lead through no
//!   symlink (`ELOOP`); `.` is the top itself.
//! - Data is written to regular files only (`EINVAL`). Whoever opens a device
//!   or a FIFO opens what it stands for, which is no part of a tree.
//! - A rename onto a directory that is not empty is refused before the kernel is
//!   asked (`ENOTEMPTY`). XFS says `EEXIST`; and ext4 beneath an overlay changes
//!   the time of the directory that the source is in when it refuses, because it
//!   takes a whiteout back there (`ext4_resetent` of fs/ext4/namei.c, Linux 6.18).
//! - An ACL that is not there cannot be removed (`ENODATA`), like any attribute.
//!   File systems say yes to that, an overlay says no.
//! - A file loses its capability when a hole is made in it, as by a write. On btrfs
//!   it keeps that where there is a hole already (`btrfs_punch_hole` of
//!   fs/btrfs/file.c), but not through an overlay (`ovl_fallocate`).
//! - The modification times that an edit makes the kernel set are set again, to
//!   a time that follows from the number of the step. A clock would give two
//!   sides two times; like this every nanosecond can be compared. Times that an
//!   edit must leave alone are not touched, and so a change of them shows. A
//!   directory that moves is one that it may change: it has another `..` then,
//!   which XFS notes beneath an overlay (`xfs_cross_rename`) and others do not.
//!
//! The file mode mask of the process applies, as to everybody.
//!
//! An edit is one line of text too, which `text.rs` writes and reads back.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FallocateFlags, FileType, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::{Errno, Result};

mod place;
#[cfg(test)]
mod tests;
mod text;
pub(crate) mod words;

use place::Place;
pub use place::stamp;

/// One change of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the system calls")]
pub enum Edit {
    /// Makes an empty file where nothing is.
    Create { path: PathBuf, mode: u32 },
    /// Writes the same byte so many times.
    Write { path: PathBuf, at: u64, length: usize, byte: u8 },
    /// Writes behind the end.
    Append { path: PathBuf, length: usize, byte: u8 },
    /// Sets the length; what comes new is a hole.
    Truncate { path: PathBuf, size: u64 },
    /// Removes a name of anything but a directory.
    Unlink { path: PathBuf },
    /// Makes a directory.
    MakeDirectory { path: PathBuf, mode: u32 },
    /// Removes an empty directory.
    RemoveDirectory { path: PathBuf },
    /// Gives anything another name, in place of what has that.
    Rename { from: PathBuf, to: PathBuf },
    /// Gives anything but a directory one more name.
    Link { from: PathBuf, to: PathBuf },
    /// Makes a symlink.
    Symlink { path: PathBuf, target: PathBuf },
    /// Sets all twelve bits of the mode; not of a symlink, which has none.
    Chmod { path: PathBuf, mode: u32 },
    /// Sets owner and group.
    Chown { path: PathBuf, uid: u32, gid: u32 },
    /// Sets an extended attribute, as an ACL is one too.
    SetAttribute { path: PathBuf, name: String, value: Vec<u8> },
    /// Removes an extended attribute.
    RemoveAttribute { path: PathBuf, name: String },
    /// Makes a FIFO, a socket, or a device with this number.
    MakeNode { path: PathBuf, kind: FileType, mode: u32, device: u64 },
    /// Sets the modification time, in nanoseconds since 1970.
    SetTime { path: PathBuf, nanoseconds: i64 },
    /// Takes blocks for a range of a file, which then reads as zeros where nothing
    /// was; the file becomes as long as that.
    Allocate { path: PathBuf, at: u64, length: u64 },
    /// Makes a hole of a range of a file, whose length stays.
    PunchHole { path: PathBuf, at: u64, length: u64 },
    /// Makes the content of a file that of another by sharing its data, where the
    /// file system can (`EOPNOTSUPP`).
    Clone { from: PathBuf, to: PathBuf },
    /// Makes an empty file without a name, and gives it one where nothing is.
    CreateUnnamed { path: PathBuf, mode: u32 },
}

impl Edit {
    /// Does it to the tree below `top`, as step `step` of whatever it belongs
    /// to.
    ///
    /// # Errors
    /// What the kernel answers; the tree is as it was then.
    pub fn apply(&self, top: BorrowedFd<'_>, step: u64) -> Result<()> {
        match self {
            Self::Create { path, mode } => {
                let place = Place::of(top, path)?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                rustix::fs::openat(&place.parent, place.name, flags, Mode::from_raw_mode(*mode))?;
                place.stamp_both(step)
            }
            Self::Write { path, at, length, byte } => write(top, path, step, Some(*at), *length, *byte),
            Self::Append { path, length, byte } => write(top, path, step, None, *length, *byte),
            Self::Truncate { path, size } => {
                let place = Place::of(top, path)?;
                rustix::fs::ftruncate(place.open_file(OFlags::WRONLY)?, *size)?;
                place.stamp(step)
            }
            Self::Unlink { path } => {
                let place = Place::of(top, path)?;
                rustix::fs::unlinkat(&place.parent, place.name, AtFlags::empty())?;
                place.stamp_parent(step)
            }
            Self::MakeDirectory { path, mode } => {
                let place = Place::of(top, path)?;
                rustix::fs::mkdirat(&place.parent, place.name, Mode::from_raw_mode(*mode))?;
                place.stamp_both(step)
            }
            Self::RemoveDirectory { path } => {
                let place = Place::of(top, path)?;
                rustix::fs::unlinkat(&place.parent, place.name, AtFlags::REMOVEDIR)?;
                place.stamp_parent(step)
            }
            Self::Rename { from, to } => {
                let (from, to) = (Place::of(top, from)?, Place::of(top, to)?);
                let is_directory = from.kind()? == FileType::Directory;
                if is_directory && to.is_full_directory()? {
                    return Err(Errno::NOTEMPTY);
                }
                rustix::fs::renameat(&from.parent, from.name, &to.parent, to.name)?;
                if is_directory {
                    to.stamp(step)?;
                }
                from.stamp_parent(step)?;
                to.stamp_parent(step)
            }
            Self::Link { from, to } => {
                let (from, to) = (Place::of(top, from)?, Place::of(top, to)?);
                rustix::fs::linkat(&from.parent, from.name, &to.parent, to.name, AtFlags::empty())?;
                to.stamp_parent(step)
            }
            Self::Symlink { path, target } => {
                let place = Place::of(top, path)?;
                rustix::fs::symlinkat(target, &place.parent, place.name)?;
                place.stamp_both(step)
            }
            Self::Chmod { path, mode } => {
                let place = Place::of(top, path)?;
                if place.kind()? == FileType::Symlink {
                    return Err(Errno::OPNOTSUPP);
                }
                rustix::fs::chmodat(&place.parent, place.name, Mode::from_raw_mode(*mode), AtFlags::empty())
            }
            Self::Chown { path, uid, gid } => {
                let place = Place::of(top, path)?;
                let (uid, gid) = (Uid::from_raw(*uid), Gid::from_raw(*gid));
                rustix::fs::chownat(
                    &place.parent,
                    place.name,
                    Some(uid),
                    Some(gid),
                    AtFlags::SYMLINK_NOFOLLOW,
                )
            }
            Self::SetAttribute { path, name, value } => {
                let place = Place::of(top, path)?;
                rustix::fs::lsetxattr(place.by_path(), name.as_str(), value, XattrFlags::empty())
            }
            Self::RemoveAttribute { path, name } => {
                let place = Place::of(top, path)?;
                rustix::fs::lgetxattr(place.by_path(), name.as_str(), &mut [0; 0])?;
                rustix::fs::lremovexattr(place.by_path(), name.as_str())
            }
            Self::MakeNode { path, kind, mode, device } => {
                let place = Place::of(top, path)?;
                let mode = Mode::from_raw_mode(*mode);
                rustix::fs::mknodat(&place.parent, place.name, *kind, mode, *device)?;
                place.stamp_both(step)
            }
            Self::SetTime { path, nanoseconds } => Place::of(top, path)?.set_time(*nanoseconds),
            Self::Allocate { path, at, length } => {
                space(top, path, step, FallocateFlags::empty(), *at, *length)
            }
            Self::PunchHole { path, at, length } => {
                let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                space(top, path, step, hole, *at, *length)
            }
            Self::Clone { from, to } => {
                let (from, to) = (Place::of(top, from)?, Place::of(top, to)?);
                let source = from.open_file(OFlags::RDONLY)?;
                let target = to.open_file(OFlags::WRONLY)?;
                rustix::fs::ioctl_ficlone(&target, &source)?;
                rustix::fs::ftruncate(target, rustix::fs::fstat(source)?.st_size.unsigned_abs())?;
                to.stamp(step)
            }
            Self::CreateUnnamed { path, mode } => {
                let place = Place::of(top, path)?;
                let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
                let file = rustix::fs::openat(&place.parent, ".", flags, Mode::from_raw_mode(*mode))?;
                rustix::fs::linkat(file, "", &place.parent, place.name, AtFlags::EMPTY_PATH)?;
                place.stamp_both(step)
            }
        }
    }

    /// What is changed itself, of everything but directories: its content, its
    /// attributes, or how many names it has.
    pub fn subject(&self) -> Option<&Path> {
        match self {
            Self::Write { path, .. }
            | Self::Append { path, .. }
            | Self::Truncate { path, .. }
            | Self::Chmod { path, .. }
            | Self::Chown { path, .. }
            | Self::SetAttribute { path, .. }
            | Self::RemoveAttribute { path, .. }
            | Self::SetTime { path, .. }
            | Self::Allocate { path, .. }
            | Self::PunchHole { path, .. }
            | Self::Clone { to: path, .. }
            | Self::Rename { from: path, .. }
            | Self::Link { from: path, .. } => Some(path),
            Self::Create { .. }
            | Self::CreateUnnamed { .. }
            | Self::Unlink { .. }
            | Self::MakeDirectory { .. }
            | Self::RemoveDirectory { .. }
            | Self::Symlink { .. }
            | Self::MakeNode { .. } => None,
        }
    }
}

fn space(
    top: BorrowedFd<'_>,
    path: &Path,
    step: u64,
    how: FallocateFlags,
    at: u64,
    length: u64,
) -> Result<()> {
    let place = Place::of(top, path)?;
    rustix::fs::fallocate(place.open_file(OFlags::WRONLY)?, how, at, length)?;
    match rustix::fs::lremovexattr(place.by_path(), "security.capability") {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => place.stamp(step),
        Err(errno) => Err(errno),
    }
}

fn write(
    top: BorrowedFd<'_>,
    path: &Path,
    step: u64,
    at: Option<u64>,
    length: usize,
    byte: u8,
) -> Result<()> {
    let place = Place::of(top, path)?;
    let file =
        place.open_file(if at.is_none() { OFlags::WRONLY | OFlags::APPEND } else { OFlags::WRONLY })?;
    let data = vec![byte; length];
    let mut done = 0;
    while done < length {
        done += match at {
            Some(at) => rustix::io::pwrite(&file, &data[done..], at + done as u64)?,
            None => rustix::io::write(&file, &data[done..])?,
        };
    }
    drop(file);
    place.stamp(step)
}
