//! The place that an edit is about: a name in an open directory, and the times
//! that it gets.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use rustix::io::{Errno, Result};

/// The time of step 0; each step is a second and some nanoseconds later.
pub(super) const BEGINNING: i64 = 1_000_000_000;

/// A prime, so that the nanoseconds of no two steps are alike.
const NANOSECONDS_APART: u64 = 123_456_791;

/// Sets the times of an entry as if step `step` had made it.
///
/// # Errors
/// What the kernel answers.
pub fn stamp(top: BorrowedFd<'_>, path: &Path, step: u64) -> Result<()> {
    Place::of(top, path)?.stamp(step)
}

/// A name in a directory that is open.
pub(super) struct Place<'a> {
    pub(super) parent: OwnedFd,
    pub(super) name: &'a OsStr,
}

impl<'a> Place<'a> {
    pub(super) fn of(top: BorrowedFd<'_>, path: &'a Path) -> Result<Self> {
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let parent = rustix::fs::openat2(top, parent, flags, Mode::empty(), beneath)?;
        Ok(Self { parent, name: path.file_name().unwrap_or(OsStr::new(".")) })
    }

    pub(super) fn kind(&self) -> Result<FileType> {
        let stat = rustix::fs::statat(&self.parent, self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }

    pub(super) fn is_full_directory(&self) -> Result<bool> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = match rustix::fs::openat(&self.parent, self.name, flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
            Err(errno) => return Err(errno),
        };
        for entry in Dir::new(directory)? {
            if ![c".", c".."].contains(&entry?.file_name()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn open_file(&self, how: OFlags) -> Result<OwnedFd> {
        match self.kind()? {
            FileType::RegularFile | FileType::Directory | FileType::Symlink => {}
            _ => return Err(Errno::INVAL),
        }
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | how;
        rustix::fs::openat(&self.parent, self.name, flags, Mode::empty())
    }

    /// For the calls about attributes, which take no descriptor of a symlink. It
    /// leads through the open directory, and so means something while this lives.
    pub(super) fn by_path(&self) -> PathBuf {
        Path::new("/proc/self/fd").join(self.parent.as_raw_fd().to_string()).join(self.name)
    }

    pub(super) fn stamp(&self, step: u64) -> Result<()> {
        set_times(self.parent.as_fd(), self.name, step)
    }

    /// To this time itself, which no step has.
    pub(super) fn set_time(&self, nanoseconds: i64) -> Result<()> {
        let time = Timespec {
            tv_sec: nanoseconds.div_euclid(1_000_000_000),
            tv_nsec: nanoseconds.rem_euclid(1_000_000_000),
        };
        set_both(self.parent.as_fd(), self.name, time)
    }

    pub(super) fn stamp_parent(&self, step: u64) -> Result<()> {
        set_times(self.parent.as_fd(), OsStr::new("."), step)
    }

    pub(super) fn stamp_both(&self, step: u64) -> Result<()> {
        self.stamp(step)?;
        self.stamp_parent(step)
    }
}

fn set_times(directory: BorrowedFd<'_>, name: &OsStr, step: u64) -> Result<()> {
    let time = Timespec {
        tv_sec: BEGINNING + step.cast_signed(),
        tv_nsec: (step * NANOSECONDS_APART % 1_000_000_000).cast_signed(),
    };
    set_both(directory, name, time)
}

fn set_both(directory: BorrowedFd<'_>, name: &OsStr, time: Timespec) -> Result<()> {
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW)
}
