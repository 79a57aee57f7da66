//! The faithful copy of a directory tree, several files at a time.
//!
//! Everything that the file system can hold comes along: hard links, holes,
//! devices, FIFOs, sockets, extended attributes with ACLs and file
//! capabilities, owners, modes, and access and modification times in
//! nanoseconds. Data is shared by reflink where both sides allow it. What is
//! mounted inside the source is copied as it is seen, as `cp -a` does.
//!
//! `data.rs` copies contents, `metadata.rs` what describes them, `entry.rs` one
//! entry of any type, `merge.rs` finds what need not be copied because it is
//! there already; `work.rs` performs the tasks that are in this file. A directory
//! gets its owner, mode, attributes and times when the last thing in it is done:
//! until then a set-group-id bit or a default ACL would rub off on what is made
//! inside.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::OFlags;
use rustix::process::{Resource, Rlimit};

use crate::error::{Error, Result};
use crate::tree::attributes::open_quietly;
use crate::tree::tasks::perform_all;

mod data;
mod entry;
mod merge;
mod metadata;
mod work;

/// Entries that are handed to a worker at once: enough to make the queue's
/// lock cheap, few enough that two workers share a directory of some hundreds.
const BATCH: usize = 32;

/// Watches a copy and may stop it; called from several threads.
pub trait Progress: Sync {
    /// So many entries more are done.
    ///
    /// # Errors
    /// An error stops the copy, and comes out of it.
    fn entries(&self, count: u64) -> Result<()>;

    /// A directory of the source is about to be copied; it is named by its
    /// device and inode number.
    ///
    /// # Errors
    /// An error stops the copy, and comes out of it.
    fn directory(&self, identity: (u64, u64)) -> Result<()>;

    /// So many bytes are about to be written. Shared ones do not count.
    ///
    /// # Errors
    /// An error stops the copy, and comes out of it.
    fn data(&self, bytes: u64) -> Result<()>;
}

/// Nobody watches, and nobody stops it.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn entries(&self, _count: u64) -> Result<()> {
        Ok(())
    }

    fn directory(&self, _identity: (u64, u64)) -> Result<()> {
        Ok(())
    }

    fn data(&self, _bytes: u64) -> Result<()> {
        Ok(())
    }
}

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// Files, directories and everything else, the top directory included.
    pub entries: u64,
    /// Bytes of data that were written.
    pub bytes: u64,
    /// Bytes of data that are shared with the source.
    pub reflinked: u64,
}

/// Copies what is in the directory `source` into the empty directory
/// `destination`, which takes over the source's own metadata too.
///
/// The source is only read, without touching access times where that is
/// allowed. The copy is not synced.
///
/// # Errors
/// The first failure of any worker, with the path; whatever `progress`
/// answers. What was copied so far stays.
pub fn copy_tree(
    source: BorrowedFd<'_>,
    destination: BorrowedFd<'_>,
    progress: &dyn Progress,
) -> Result<Copied> {
    work_through(source, destination, progress, false)
}

/// Makes the directory `destination` and all that is in it equal to `source`,
/// touching only what differs in anything that [`copy_tree`] keeps. Whether
/// two files are equal is found out by reading both.
///
/// # Errors
/// As [`copy_tree`].
pub fn merge_tree(
    source: BorrowedFd<'_>,
    destination: BorrowedFd<'_>,
    progress: &dyn Progress,
) -> Result<Copied> {
    work_through(source, destination, progress, true)
}

fn work_through(
    source: BorrowedFd<'_>,
    destination: BorrowedFd<'_>,
    progress: &dyn Progress,
    merging: bool,
) -> Result<Copied> {
    raise_descriptor_limit();
    let failed = |errno| Error::io("cannot open the directory to copy", errno);
    let top = Directory {
        name: CString::default(),
        parent: None,
        source: open_source_directory(source, c".").map_err(failed)?,
        destination: rustix::io::fcntl_dupfd_cloexec(destination, 0).map_err(failed)?,
        merging,
    };
    let job = Job {
        progress,
        umask: metadata::umask()?,
        links: Mutex::default(),
        kept: Mutex::default(),
        reflink: AtomicBool::new(true),
        copy_range: AtomicBool::new(true),
        entries: AtomicU64::new(1),
        bytes: AtomicU64::new(0),
        reflinked: AtomicU64::new(0),
        top: destination,
    };
    perform_all(vec![Task::List(Arc::new(top))], |task, buffer| job.perform(task, buffer))?;
    progress.entries(1)?;
    Ok(Copied {
        entries: job.entries.load(Ordering::Relaxed),
        bytes: job.bytes.load(Ordering::Relaxed),
        reflinked: job.reflinked.load(Ordering::Relaxed),
    })
}

/// Gives the directory `destination` everything but the contents of `source`:
/// owner, mode, extended attributes and times. Attributes of whose name
/// `but_not` is true stay behind.
///
/// # Errors
/// Those of reading and setting them.
pub fn copy_directory_metadata(
    source: &OwnedFd,
    destination: &OwnedFd,
    but_not: fn(&[u8]) -> bool,
) -> Result<()> {
    metadata::copy_to_directory(source, destination, but_not)
        .map_err(|failure| failure.into_error(Path::new("/")))
}

/// A deep tree needs two descriptors for each level. What the hard limit
/// allows is ours to take; without it a very deep tree fails with a clear
/// error.
pub(crate) fn raise_descriptor_limit() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(errno) = rustix::process::setrlimit(Resource::Nofile, raised) {
        crate::story!("the limit of open files stays as it is: {errno}");
    }
}

fn identity(directory: impl std::os::fd::AsFd) -> rustix::io::Result<(u64, u64)> {
    let stat = rustix::fs::fstat(directory)?;
    Ok((stat.st_dev, stat.st_ino))
}

fn open_source_directory(at: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    open_quietly(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)
}

/// A directory that is being copied; finished when the last task lets go.
struct Directory {
    name: CString,
    parent: Option<Arc<Directory>>,
    source: OwnedFd,
    destination: OwnedFd,
    /// Whether the destination may hold something already.
    merging: bool,
}

impl Directory {
    /// The path of an entry from the top of the source, for messages.
    fn path_of(&self, name: &CStr) -> PathBuf {
        let mut names = vec![name.to_owned()];
        let mut here = self;
        while let Some(parent) = &here.parent {
            names.push(here.name.clone());
            here = parent;
        }
        names.iter().rev().map(|name| Path::new(OsStr::from_bytes(name.to_bytes()))).collect()
    }
}

enum Task {
    /// List a directory and queue what is in it.
    List(Arc<Directory>),
    /// Make a directory, then list it.
    Make(Arc<Directory>, CString),
    /// Open a directory that is on both sides, then list it.
    Merge(Arc<Directory>, CString),
    /// Copy entries that are no directories.
    Copy(Arc<Directory>, Vec<CString>),
}

struct Job<'a> {
    progress: &'a dyn Progress,
    umask: u32,
    /// The first place of each inode that has several names.
    links: Mutex<HashMap<(u64, u64), PathBuf>>,
    /// Of those, which inode of the destination already was the same.
    kept: Mutex<HashMap<(u64, u64), (u64, u64)>>,
    reflink: AtomicBool,
    copy_range: AtomicBool,
    entries: AtomicU64,
    bytes: AtomicU64,
    reflinked: AtomicU64,
    top: BorrowedFd<'a>,
}

#[cfg(test)]
mod tests;
