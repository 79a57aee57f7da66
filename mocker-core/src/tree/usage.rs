//! What a tree of plain files occupies.

use std::collections::HashSet;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

/// Bytes that the blocks of a tree take, each file counted once however many
/// names it has. Reads no contents.
///
/// # Errors
/// Those of listing directories.
pub fn allocated(top: BorrowedFd<'_>) -> rustix::io::Result<u64> {
    const DIRECTORY: OFlags =
        OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    let mut todo: Vec<OwnedFd> = vec![openat(top, ".", DIRECTORY, Mode::empty())?];
    let mut linked = HashSet::new();
    let mut bytes = 0;
    while let Some(here) = todo.pop() {
        for entry in Dir::read_from(&here)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == c".." {
                continue;
            }
            let stat = match statat(&here, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            };
            let kind = FileType::from_raw_mode(stat.st_mode);
            if kind == FileType::Directory && name != c"." {
                match openat(&here, name, DIRECTORY, Mode::empty()) {
                    Ok(inner) => todo.push(inner),
                    Err(Errno::NOENT) => {}
                    Err(errno) => return Err(errno),
                }
            } else if kind == FileType::Directory
                || stat.st_nlink == 1
                || linked.insert((stat.st_dev, stat.st_ino))
            {
                // In units of 512 bytes, whatever the file system (stat(2)).
                bytes += stat.st_blocks.unsigned_abs() * 512;
            }
        }
    }
    Ok(bytes)
}
