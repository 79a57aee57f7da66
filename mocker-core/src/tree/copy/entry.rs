//! One entry of a directory, whatever it is but a directory.

use std::ffi::{CStr, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::metadata::{copy_to_entry, copy_to_file, sides};
use super::{Directory, Job};
use crate::error::Result;
use crate::tree::attributes::open_quietly;
use crate::tree::failure::{Failure, during};
use crate::tree::tasks::lock;

impl Job<'_> {
    /// Copies one entry.
    pub(super) fn copy_entry(&self, directory: &Directory, name: &CStr, buffer: &mut Vec<u8>) -> Result<()> {
        self.try_entry(directory, name, buffer)
            .map_err(|failure| failure.into_error(&directory.path_of(name)))
    }

    fn try_entry(&self, directory: &Directory, name: &CStr, buffer: &mut Vec<u8>) -> Result<(), Failure> {
        let stat = match rustix::fs::statat(&directory.source, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Err(Failure::Vanished),
            Err(errno) => return Err(Failure::Kernel("look at", errno)),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if stat.st_nlink > 1 {
            // The table stays locked until the first name is there, so that the others find it.
            let mut links = lock(&self.links);
            if let Some(first) = links.get(&(stat.st_dev, stat.st_ino)) {
                return self.link(first, directory, name);
            }
            let made = self.make(directory, name, kind, &stat)?;
            links.insert((stat.st_dev, stat.st_ino), directory.path_of(name));
            drop(links);
            return self.fill(directory, name, &stat, made, buffer);
        }
        let made = self.make(directory, name, kind, &stat)?;
        self.fill(directory, name, &stat, made, buffer)
    }

    /// Makes the entry; a file is answered open, on both sides.
    fn make(
        &self,
        directory: &Directory,
        name: &CStr,
        kind: FileType,
        stat: &Stat,
    ) -> Result<Option<(OwnedFd, OwnedFd)>, Failure> {
        let (source, destination) = sides(directory);
        match kind {
            FileType::RegularFile => {
                // Not blocking: should a FIFO have taken its place, nothing hangs.
                let from = open_quietly(source, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK)
                    .map_err(during("open"))?;
                let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mode = Mode::from_raw_mode(stat.st_mode & 0o777);
                let to =
                    rustix::fs::openat(destination, name, flags, mode).map_err(during("make the copy of"))?;
                Ok(Some((from, to)))
            }
            FileType::Symlink => {
                let target =
                    rustix::fs::readlinkat(source, name, Vec::new()).map_err(during("read the link"))?;
                rustix::fs::symlinkat(target, destination, name).map_err(during("make the copy of"))?;
                Ok(None)
            }
            kind => {
                let mode = Mode::from_raw_mode(stat.st_mode & 0o777);
                rustix::fs::mknodat(destination, name, kind, mode, stat.st_rdev)
                    .map_err(during("make the copy of"))?;
                Ok(None)
            }
        }
    }

    fn fill(
        &self,
        directory: &Directory,
        name: &CStr,
        stat: &Stat,
        made: Option<(OwnedFd, OwnedFd)>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let Some((from, to)) = made else {
            let (source, destination) = sides(directory);
            return copy_to_entry(source, destination, name, stat);
        };
        self.copy_data(&from, &to, stat, buffer)?;
        copy_to_file(&from, &to, stat, self.umask)
    }

    /// Makes one more name for something that was copied before.
    fn link(&self, first: &Path, directory: &Directory, name: &CStr) -> Result<(), Failure> {
        let (parent, first_name) = self.open_copied(first).map_err(during("find the first name of"))?;
        rustix::fs::linkat(&parent, &first_name, &directory.destination, name, AtFlags::empty())
            .map_err(during("link the copy of"))
    }

    /// Opens the directory of something that was copied before, step by step,
    /// because the path may be longer than the kernel takes at once.
    fn open_copied(&self, path: &Path) -> rustix::io::Result<(OwnedFd, PathBuf)> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut here = rustix::fs::openat(self.top, ".", flags, Mode::empty())?;
        for step in path.parent().into_iter().flat_map(Path::components) {
            here = rustix::fs::openat(&here, step.as_os_str(), flags, Mode::empty())?;
        }
        Ok((here, PathBuf::from(path.file_name().unwrap_or(OsStr::from_bytes(b"")))))
    }
}
