//! Comparing what two files hold, and where they hold nothing.

use std::os::fd::OwnedFd;

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use crate::tree::failure::Failure;
use crate::tree::shared::without_shared;

/// How much of two files is compared at once.
const CHUNK: usize = 256 << 10;

/// Holes are told apart in units of this, the smallest block of the usual file
/// systems: a finer difference is how a file system rounds.
const BLOCK: u64 = 4096;

/// Where a file holds data, in bytes: first, and first after it; in order, and
/// apart from each other. What is between reads as zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Data(Vec<(u64, u64)>);

impl Data {
    /// Asks the file system (`SEEK_DATA` and `SEEK_HOLE` of lseek(2)).
    pub(crate) fn of(file: &OwnedFd, size: u64) -> Result<Self, Failure> {
        let mut found: Vec<(u64, u64)> = Vec::new();
        let mut at = 0;
        while at < size {
            let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
                Ok(start) => start,
                // Nothing but a hole from here on.
                Err(Errno::NXIO) => break,
                Err(errno) => return Err(Failure::Kernel("look for the data of", errno)),
            };
            let end = match rustix::fs::seek(file, SeekFrom::Hole(start)) {
                Ok(end) => end,
                // Somebody cut it off meanwhile.
                Err(Errno::NXIO) => break,
                Err(errno) => return Err(Failure::Kernel("look for a hole of", errno)),
            };
            at = end.max(start + 1);
            let (first, after) = (start / BLOCK * BLOCK, end.next_multiple_of(BLOCK).min(size));
            match found.last_mut() {
                Some(last) if last.1 >= first => last.1 = after,
                _ if first < after => found.push((first, after)),
                _ => {}
            }
        }
        Ok(Self(found))
    }

    /// Where either of two files holds data.
    fn or(&self, other: &Self) -> Vec<(u64, u64)> {
        let mut all: Vec<_> = self.0.iter().chain(&other.0).copied().collect();
        all.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for (first, after) in all {
            match joined.last_mut() {
                Some(last) if last.1 >= first => last.1 = last.1.max(after),
                _ => joined.push((first, after)),
            }
        }
        joined
    }
}

/// Whether two files of equal length read the same. Only what is data in one of
/// them is read, and of files on one file system only what they do not share.
pub(crate) fn same_bytes(
    size: u64,
    one: (&OwnedFd, &Data),
    other: (&OwnedFd, &Data),
    one_file_system: bool,
) -> Result<bool, Failure> {
    let mut ranges = one.1.or(other.1);
    if one_file_system {
        ranges = without_shared(ranges, size, one.0, other.0);
    }
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (mut at, after) in ranges {
        while at < after {
            let length = CHUNK.min(usize::try_from(after - at).unwrap_or(CHUNK));
            left.resize(length, 0);
            right.resize(length, 0);
            let read = read_full(one.0, &mut left, at)?;
            if read != read_full(other.0, &mut right, at)? || left[..read] != right[..read] {
                return Ok(false);
            }
            if read < length {
                break;
            }
            at += length as u64;
        }
    }
    Ok(true)
}

fn read_full(file: &OwnedFd, buffer: &mut [u8], at: u64) -> Result<usize, Failure> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::pread(file, &mut buffer[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Failure::Kernel("read", errno)),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    /// A file of 1 MiB with these bytes at these places.
    fn file(writes: &[(u64, &[u8])]) -> OwnedFd {
        let file = tempfile::tempfile_in("/var/tmp").unwrap();
        file.set_len(1 << 20).unwrap();
        writes.iter().for_each(|(at, bytes)| file.write_all_at(bytes, *at).unwrap());
        file.into()
    }

    fn same(one: &OwnedFd, other: &OwnedFd) -> (bool, bool) {
        let (left, right) = (Data::of(one, 1 << 20).unwrap(), Data::of(other, 1 << 20).unwrap());
        (same_bytes(1 << 20, (one, &left), (other, &right), true).unwrap(), left == right)
    }

    #[test]
    fn bytes_and_holes_are_told_apart() {
        let plain = file(&[(5000, b"x")]);
        assert_eq!(same(&plain, &file(&[(5000, b"x")])), (true, true));
        assert_eq!(same(&plain, &file(&[(5000, b"y")])), (false, true));
        assert_eq!(same(&plain, &file(&[(5000, b"x"), (1 << 19, &[0; 9000])])), (true, false));
        assert_eq!(same(&plain, &file(&[(5000, b"x"), ((1 << 20) - 1, b"z")])), (false, false));
        assert_eq!(same(&file(&[]), &file(&[])), (true, true));
    }
}
