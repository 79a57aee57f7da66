//! A few MiB in the root that are given up when its file system is full.
//!
//! Even removing something needs room for the record of it. Where there is none
//! left the ballast goes, the verb is tried once more, and whoever next finds
//! enough room makes it anew.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// Enough for the write-ahead log to grow to where it is folded back.
const SIZE: u64 = 2 << 20;

/// What must be free besides before it is made.
const ROOM: u64 = 64 << 20;

fn place(root: &Path) -> PathBuf {
    root.join("ballast")
}

/// Makes the ballast where it is missing and there is plenty of room.
///
/// # Errors
/// Those of writing a file.
pub(super) fn take_in(root: &Path) -> Result<()> {
    let path = place(root);
    let describe = |error| Error::io(format_args!("cannot make '{}'", path.display()), error);
    if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == SIZE) {
        return Ok(());
    }
    let room = rustix::fs::statvfs(root).map_err(|errno| describe(errno.into()))?;
    if room.f_bavail * room.f_frsize < ROOM {
        return Ok(());
    }
    let write = || {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path)?;
        // Not zeros, which a file system may keep as nothing.
        file.write_all(&vec![0xba; usize::try_from(SIZE).unwrap_or_default()])
    };
    write().map_err(describe)
}

/// Gives the ballast up; answers whether there was any.
///
/// # Errors
/// Those of removing it.
pub(super) fn throw_out(root: &Path) -> Result<bool> {
    let path = place(root);
    let describe = |error| Error::io(format_args!("cannot remove '{}'", path.display()), error);
    match std::fs::remove_file(&path) {
        Ok(()) => {
            // Some file systems free space only when they write their records.
            let root = File::open(root).map_err(describe)?;
            rustix::fs::syncfs(&root).map_err(|errno| describe(errno.into()))?;
            crate::story!("the file system of the root is full; gave up the reserve of {} MiB", SIZE >> 20);
            Ok(true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(describe(error)),
    }
}

/// Tries something, and where there is no room for it once more without the
/// ballast.
///
/// # Errors
/// Those of the last try.
pub(super) fn with_reserve<T>(root: &Path, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    match attempt() {
        Err(error) if error.kind() == ErrorKind::NoSpace && throw_out(root)? => attempt(),
        outcome => outcome,
    }
}
