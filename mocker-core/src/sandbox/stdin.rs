//! What a container gets as its standard input.
//!
//! A descriptor is more than what can be read from it: through
//! `/proc/self/fd/0` a file that was opened for reading can be opened for
//! writing, a directory leads to its parent, and a device's mode can be changed
//! on the host. So what lies on a file system is opened once more, through a
//! read-only mount of its own that nobody else can reach.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, SeekFrom, fcntl_getfl, fstat, major, openat, seek, tell};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use rustix::process::getpgrp;
use rustix::stdio;
use rustix::termios::{isatty, tcgetpgrp};

use super::mounts::READ_ONLY;
use super::sys;
use crate::{Error, ErrorKind, Result, notice};

/// The major number of `/dev/null` and its like.
const MEMORY: u32 = 1;

/// The standard input of a container, if it is not simply ours.
#[derive(Debug)]
pub(super) struct Input {
    descriptor: OwnedFd,
    /// Whether how far it was read means something to whoever has ours.
    has_position: bool,
}

impl Input {
    /// Makes what the container may have of our standard input; `None` where
    /// it can have that itself: a pipe, a socket, or a file that was opened for
    /// writing too.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where it is a directory.
    pub(super) fn guarded() -> Result<Option<Self>> {
        let ours = stdio::stdin();
        let failed = |errno: Errno| Error::io("cannot hand the standard input to the container", errno);
        let stat = fstat(ours).map_err(failed)?;
        let access = fcntl_getfl(ours).map_err(failed)? & OFlags::ACCMODE;
        let kind = FileType::from_raw_mode(stat.st_mode);
        match kind {
            FileType::Directory => {
                return Err(Error::new(ErrorKind::InvalidInput, "the standard input is a directory")
                    .with_hint("redirect it from a file, or from /dev/null"));
            }
            FileType::RegularFile | FileType::BlockDevice if access == OFlags::RDONLY => {}
            FileType::CharacterDevice if isatty(ours) && is_of_another_job(ours) => {
                notice!("started in the background: the command reads nothing from the terminal");
                return nothing().map_err(failed).map(Some);
            }
            FileType::CharacterDevice if isatty(ours) || major(stat.st_rdev) == MEMORY => {}
            _ => return Ok(None),
        }
        match reopen(ours, access, kind) {
            Ok(descriptor) => Ok(Some(Self { descriptor, has_position: kind == FileType::RegularFile })),
            Err(errno) => {
                notice!(
                    "the command gets the standard input as it is, and can change what lies behind it ({errno})"
                );
                Ok(None)
            }
        }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&self.descriptor)
    }

    /// Puts our own position to where the container has read, as if the
    /// descriptor had been shared.
    pub(super) fn give_back(self) {
        if self.has_position
            && let Err(errno) =
                tell(&self.descriptor).and_then(|at| seek(stdio::stdin(), SeekFrom::Start(at)))
        {
            notice!("the standard input is not where the command left it: {errno}");
        }
    }
}

fn reopen(ours: BorrowedFd<'_>, access: OFlags, kind: FileType) -> Result<OwnedFd, Errno> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let mount = open_tree(ours, "", flags)?;
    let restrict = |attributes| {
        sys::mount_setattr(std::os::fd::AsFd::as_fd(&mount), attributes)
            .map_err(|error| error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))
    };
    restrict(READ_ONLY)?;
    let path = format!("/proc/self/fd/{}", mount.as_raw_fd());
    let opened = openat(CWD, path, access | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    match kind {
        FileType::RegularFile => {
            seek(&opened, SeekFrom::Start(tell(ours)?))?;
        }
        // Opened is opened; once more is refused.
        FileType::BlockDevice => restrict(READ_ONLY | MountAttrFlags::MOUNT_ATTR_NODEV)?,
        _ => {}
    }
    Ok(opened)
}

fn nothing() -> Result<Input, Errno> {
    let null = openat(CWD, "/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let descriptor = reopen(std::os::fd::AsFd::as_fd(&null), OFlags::RDONLY, FileType::CharacterDevice)?;
    Ok(Input { descriptor, has_position: false })
}

/// Whether the terminal belongs to another job of our session at this moment.
/// The kernel stops a process that reads then; but the container is in a
/// session of its own, and would take what is typed for somebody else.
fn is_of_another_job(terminal: BorrowedFd<'_>) -> bool {
    // Where it is not our controlling terminal, the kernel does not say.
    tcgetpgrp(terminal).is_ok_and(|foreground| foreground != getpgrp())
}
