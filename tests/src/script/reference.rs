//! The plain side: a directory for each work area, and nothing of the program
//! that is tested.
//!
//! A layer is no directory here but a look at one, and the list of what was done
//! up to it. A branch is that list done again in an empty directory, so that
//! nothing ever has to be copied, which could go wrong in the same way on both
//! sides.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps};

use super::Step;
use super::player::during;
use crate::edit;
use crate::oracle::{self, Tree};

/// Something that was done to a work area, by the place of its step in the
/// script.
#[derive(Debug, Clone, Copy)]
pub(super) enum Deed {
    /// Its edit.
    Edit(usize),
    /// The link that its edit breaks, as declared.
    Split(usize),
}

/// A plain directory; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Plain {
    path: PathBuf,
    top: OwnedFd,
}

impl Plain {
    /// An empty directory.
    pub(super) fn new(path: PathBuf) -> Result<Self, String> {
        let make = || {
            rustix::fs::mkdir(&path, Mode::RWXU)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let top = rustix::fs::openat(CWD, &path, flags, Mode::empty())?;
            rustix::fs::fchmod(&top, Mode::from_raw_mode(0o755))?;
            Ok::<_, rustix::io::Errno>(top)
        };
        let top = make().map_err(during("make a plain directory"))?;
        Ok(Self { path, top })
    }

    pub(super) fn top(&self) -> BorrowedFd<'_> {
        self.top.as_fd()
    }

    pub(super) fn look(&self) -> Tree {
        oracle::look(&self.path)
    }

    /// Does again what was done.
    pub(super) fn repeat(&self, script: &[Step], deeds: &[Deed]) -> Result<(), String> {
        for deed in deeds {
            let (Deed::Edit(place) | Deed::Split(place)) = *deed;
            let Some(edit) = script[place].edit() else { continue };
            match (deed, edit.subject()) {
                (Deed::Split(_), Some(subject)) => self.split(subject)?,
                _ => edit.apply(self.top(), script[place].number).map_err(during("repeat an edit"))?,
            }
        }
        Ok(())
    }

    /// Makes a name that is one of several a file of its own, and changes
    /// nothing else.
    pub(super) fn split(&self, name: &Path) -> Result<(), String> {
        let (path, other) = (self.path.join(name), self.path.with_extension("split"));
        let parent = path.parent().unwrap_or(&self.path);
        let before = rustix::fs::stat(parent).map_err(during("look at a directory"))?;
        // Coreutils' word for a copy of everything, into a place outside.
        let mut copy = Command::new("cp");
        copy.args(["--archive", "--no-target-directory", "--"]).arg(&path).arg(&other);
        crate::site::run(&mut copy)?;
        rustix::fs::rename(&other, &path).map_err(during("put a copy in its place"))?;
        let time =
            |seconds, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds.cast_signed() };
        let times = Timestamps {
            last_access: time(before.st_atime, before.st_atime_nsec),
            last_modification: time(before.st_mtime, before.st_mtime_nsec),
        };
        rustix::fs::utimensat(CWD, parent, &times, AtFlags::empty()).map_err(during("set a time back"))
    }

    /// As it is when it is new, apart from the time.
    pub(super) fn stamp(&self) -> Result<(), String> {
        edit::stamp(self.top(), Path::new("."), 0).map_err(during("set a time"))
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // What stays fails the case, which removes everything around it.
        let _gone = std::fs::remove_dir_all(&self.path);
    }
}
