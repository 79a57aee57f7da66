//! Contents of files: shared where possible, and with their holes.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::fs::{SeekFrom, Stat};
use rustix::io::Errno;

use super::Job;
use crate::tree::failure::{Failure, during};

/// How much is written between two looks at the watcher.
const CHUNK: u64 = 1 << 20;

impl Job<'_> {
    /// Copies the contents of a file into an empty one.
    ///
    /// Reflink, else `copy_file_range` for each piece of data, else read and
    /// write. What the file systems refuse once for both of them is not tried
    /// again.
    pub(super) fn copy_data(
        &self,
        source: &OwnedFd,
        destination: &OwnedFd,
        stat: &Stat,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let size = stat.st_size.unsigned_abs();
        if size == 0 {
            return Ok(());
        }
        if self.reflink.load(Ordering::Relaxed) {
            match rustix::fs::ioctl_ficlone(destination, source) {
                Ok(()) => {
                    self.reflinked.fetch_add(size, Ordering::Relaxed);
                    return Ok(());
                }
                Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOTTY) => {
                    if self.reflink.swap(false, Ordering::Relaxed) {
                        crate::story!("these file systems cannot share data by reflink; copying it");
                    }
                }
                // This file alone, as one without checksums on btrfs (ioctl_ficlone(2)).
                Err(Errno::INVAL | Errno::PERM | Errno::TXTBSY) => {}
                Err(errno) => return Err(Failure::Kernel("share the data of", errno)),
            }
        }
        let mut at = 0;
        while let Some((start, end)) = next_data(source, at, size)? {
            if start > 0 && at == 0 || start > at {
                // The hole before it: the length alone makes it.
                rustix::fs::ftruncate(destination, start).map_err(during("set the length of"))?;
            }
            let reached = self.copy_range(source, destination, start, end, buffer)?;
            if reached < end {
                // The file became shorter meanwhile; what there is was copied.
                return Ok(());
            }
            at = end;
        }
        if at < size {
            rustix::fs::ftruncate(destination, size).map_err(during("set the length of"))?;
        }
        Ok(())
    }

    fn copy_range(
        &self,
        source: &OwnedFd,
        destination: &OwnedFd,
        start: u64,
        end: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<u64, Failure> {
        let mut at = start;
        while at < end {
            let wanted = (end - at).min(CHUNK);
            self.progress.data(wanted).map_err(Failure::Stopped)?;
            let moved = self.move_once(source, destination, at, wanted, buffer)?;
            if moved == 0 {
                break;
            }
            self.bytes.fetch_add(moved, Ordering::Relaxed);
            at += moved;
        }
        Ok(at)
    }

    fn move_once(
        &self,
        source: &OwnedFd,
        destination: &OwnedFd,
        at: u64,
        wanted: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<u64, Failure> {
        let wanted = usize::try_from(wanted).unwrap_or(CHUNK as usize);
        if self.copy_range.load(Ordering::Relaxed) {
            let (mut from, mut to) = (at, at);
            match rustix::fs::copy_file_range(source, Some(&mut from), destination, Some(&mut to), wanted) {
                Ok(moved) if moved > 0 => return Ok(moved as u64),
                // Some file systems answer 0 although there is data: reading tells.
                Ok(_) => {}
                Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
                    if self.copy_range.swap(false, Ordering::Relaxed) {
                        crate::story!(
                            "these file systems cannot copy inside the kernel; reading and writing"
                        );
                    }
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Failure::Kernel("copy the data of", errno)),
            }
        }
        buffer.resize(CHUNK as usize, 0);
        let read = loop {
            match rustix::io::pread(source, &mut buffer[..wanted], at) {
                Err(Errno::INTR) => {}
                outcome => break outcome.map_err(during("read"))?,
            }
        };
        let mut written = 0;
        while written < read {
            match rustix::io::pwrite(destination, &buffer[written..read], at + written as u64) {
                Ok(0) => return Err(Failure::Kernel("write the copy of", Errno::IO)),
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Failure::Kernel("write the copy of", errno)),
            }
        }
        Ok(read as u64)
    }
}

/// The next piece of data from `at` on, as start and end.
fn next_data(source: &OwnedFd, at: u64, size: u64) -> Result<Option<(u64, u64)>, Failure> {
    if at >= size {
        return Ok(None);
    }
    let start = match rustix::fs::seek(source, SeekFrom::Data(at)) {
        Ok(start) => start,
        // Nothing but a hole is left (lseek(2)).
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((at, size))),
        Err(errno) => return Err(Failure::Kernel("look for holes in", errno)),
    };
    let end = rustix::fs::seek(source, SeekFrom::Hole(start)).map_err(during("look for holes in"))?;
    Ok((start < size).then_some((start, end.min(size))))
}
