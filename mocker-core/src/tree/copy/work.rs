//! What each task does, and the tasks that it makes.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{FileType, Mode, OFlags};

use super::{BATCH, Directory, Job, Task, identity, metadata, open_source_directory};
use crate::error::{Error, Result};

impl Job<'_> {
    pub(super) fn perform(&self, task: Task, buffer: &mut Vec<u8>) -> Result<Vec<Task>> {
        match task {
            Task::List(directory) => {
                let tasks = self.list(&directory)?;
                self.release(directory)?;
                Ok(tasks)
            }
            Task::Make(parent, name) => {
                let made = self.make_directory(&parent, &name)?;
                self.count(1)?;
                drop(parent);
                Ok(vec![Task::List(Arc::new(made))])
            }
            Task::Merge(parent, name) => {
                let both = self.open_both(&parent, &name)?;
                self.count(1)?;
                drop(parent);
                Ok(vec![Task::List(Arc::new(both))])
            }
            Task::Copy(directory, names) => {
                for name in &names {
                    self.copy_entry(&directory, name, buffer)?;
                }
                self.count(names.len() as u64)?;
                self.release(directory)?;
                Ok(Vec::new())
            }
        }
    }

    pub(super) fn count(&self, entries: u64) -> Result<()> {
        self.entries.fetch_add(entries, Ordering::Relaxed);
        self.progress.entries(entries)
    }

    /// Lets go of a directory; whoever is the last sets its metadata, and
    /// lets go of its parent.
    fn release(&self, directory: Arc<Directory>) -> Result<()> {
        let mut next = Some(directory);
        while let Some(directory) = next.take() {
            let Some(last) = Arc::into_inner(directory) else { break };
            metadata::finish_directory(&last).map_err(|failure| {
                failure
                    .into_error(&last.parent.as_ref().map_or_else(|| "/".into(), |up| up.path_of(&last.name)))
            })?;
            next = last.parent;
        }
        Ok(())
    }

    fn list(&self, directory: &Arc<Directory>) -> Result<Vec<Task>> {
        let failed = |errno| {
            let path = directory.parent.as_ref().map_or_else(|| "/".into(), |up| up.path_of(&directory.name));
            let shown = crate::image::printable(&path.to_string_lossy());
            Error::io(format_args!("cannot list '{shown}'"), errno)
        };
        // Reading through a descriptor of its own: the place in the listing is the descriptor's.
        let listing =
            open_source_directory(std::os::fd::AsFd::as_fd(&directory.source), c".").map_err(failed)?;
        let mut found = Vec::new();
        for entry in rustix::fs::Dir::new(listing).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                    let stat = rustix::fs::statat(&directory.source, name, flags).map_err(failed)?;
                    FileType::from_raw_mode(stat.st_mode)
                }
                known => known,
            };
            found.push((name.to_owned(), kind));
        }
        let mut tasks = Vec::new();
        if directory.merging {
            (found, tasks) = self.settle_differences(directory, found)?;
        }
        let mut others = Vec::new();
        for (name, kind) in found {
            if kind == FileType::Directory {
                tasks.push(Task::Make(directory.clone(), name));
            } else {
                others.push(name);
            }
        }
        let batches = others.chunks(BATCH).map(|names| Task::Copy(directory.clone(), names.to_vec()));
        tasks.extend(batches);
        Ok(tasks)
    }

    fn make_directory(&self, parent: &Arc<Directory>, name: &CStr) -> Result<Directory> {
        let failed = |errno| {
            let shown = crate::image::printable(&parent.path_of(name).to_string_lossy());
            let error = Error::io(format_args!("cannot copy the directory '{shown}'"), errno);
            if errno == rustix::io::Errno::MFILE {
                error.with_hint(
                    "the tree is deeper than the limit of open files allows: raise it with 'ulimit -n'",
                )
            } else {
                error
            }
        };
        let source = open_source_directory(std::os::fd::AsFd::as_fd(&parent.source), name).map_err(failed)?;
        self.progress.directory(identity(&source).map_err(failed)?).map_err(|error| {
            error.context(crate::image::printable(&parent.path_of(name).to_string_lossy()))
        })?;
        let open = || {
            rustix::fs::mkdirat(&parent.destination, name, Mode::RWXU)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let destination = rustix::fs::openat(&parent.destination, name, flags, Mode::empty())?;
            Ok::<_, rustix::io::Errno>(destination)
        };
        let destination = open().map_err(failed)?;
        Ok(Directory {
            name: name.to_owned(),
            parent: Some(parent.clone()),
            source,
            destination,
            merging: false,
        })
    }
}
