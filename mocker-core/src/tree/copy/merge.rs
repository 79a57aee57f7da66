//! Making one tree equal to another by touching only what differs.
//!
//! An entry that differs in anything is removed and copied anew, so it ends as
//! faithful as any copy. One that is equal is not even opened for writing: over
//! an overlay it stays in its lower layer, over a snapshot it stays shared.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat, statat};
use rustix::io::Errno;

use super::metadata::sides;
use super::{Directory, Job, Task, open_source_directory};
use crate::error::Result;
use crate::tree::attributes::{attributes_of_entry, attributes_of_file, open_quietly, same_metadata};
use crate::tree::contents::{Data, same_bytes};
use crate::tree::failure::{Failure, during};
use crate::tree::remove_tree;
use crate::tree::tasks::lock;

/// Names and types in a directory.
pub(super) type Listing = Vec<(CString, FileType)>;

impl Job<'_> {
    /// Removes what the source does not have, and what differs, from a
    /// directory that is on both sides. Answers the entries that are still to
    /// be copied, and the tasks for directories on both sides.
    pub(super) fn settle_differences(
        &self,
        directory: &Arc<Directory>,
        found: Listing,
    ) -> Result<(Listing, Vec<Task>)> {
        let fail = |name: &CStr, failure: Failure| failure.into_error(&directory.path_of(name));
        let there = names_in(&directory.destination).map_err(|failure| fail(c".", failure))?;
        let wanted: HashSet<&CStr> = found.iter().map(|(name, _)| name.as_c_str()).collect();
        for name in there.iter().filter(|name| !wanted.contains(name.as_c_str())) {
            remove_old(directory, name)?;
        }
        let mut missing = Vec::new();
        let mut both = Vec::new();
        for (name, kind) in found {
            if !there.contains(&name) {
                missing.push((name, kind));
                continue;
            }
            if kind == FileType::Directory && self.is_directory(directory, &name) {
                both.push(Task::Merge(directory.clone(), name));
                continue;
            }
            if self.same_entry(directory, &name).map_err(|failure| fail(&name, failure))? {
                self.count(1)?;
                continue;
            }
            remove_old(directory, &name)?;
            missing.push((name, kind));
        }
        Ok((missing, both))
    }

    /// Opens a directory that is on both sides.
    pub(super) fn open_both(&self, parent: &Arc<Directory>, name: &CStr) -> Result<Directory> {
        let open = || {
            let source = open_source_directory(parent.source.as_fd(), name)?;
            let destination = open_source_directory(parent.destination.as_fd(), name)?;
            Ok::<_, Errno>((source, destination))
        };
        let (source, destination) =
            open().map_err(|errno| Failure::Kernel("open", errno).into_error(&parent.path_of(name)))?;
        Ok(Directory {
            name: name.to_owned(),
            parent: Some(parent.clone()),
            source,
            destination,
            merging: true,
        })
    }

    fn is_directory(&self, directory: &Directory, name: &CStr) -> bool {
        statat(&directory.destination, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    /// Whether an entry that is no directory is the same on both sides, its
    /// place among hard links included.
    fn same_entry(&self, directory: &Directory, name: &CStr) -> Result<bool, Failure> {
        let (source, destination) = sides(directory);
        let ours = match statat(source, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Removed after it was listed; the copy finds out as well.
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(Failure::Kernel("look at", errno)),
        };
        let theirs =
            statat(destination, name, AtFlags::SYMLINK_NOFOLLOW).map_err(during("look at the old"))?;
        if ours.st_nlink <= 1 {
            return Ok(theirs.st_nlink <= 1 && self.same_content(directory, name, &ours, &theirs)?);
        }
        // Locked until it is known, so that the group is decided upon once.
        let mut links = lock(&self.links);
        let key = (ours.st_dev, ours.st_ino);
        if links.contains_key(&key) {
            return Ok(lock(&self.kept).get(&key) == Some(&(theirs.st_dev, theirs.st_ino)));
        }
        let same = theirs.st_nlink == ours.st_nlink && self.same_content(directory, name, &ours, &theirs)?;
        if same {
            links.insert(key, directory.path_of(name));
            lock(&self.kept).insert(key, (theirs.st_dev, theirs.st_ino));
        }
        Ok(same)
    }

    fn same_content(
        &self,
        directory: &Directory,
        name: &CStr,
        ours: &Stat,
        theirs: &Stat,
    ) -> Result<bool, Failure> {
        let (source, destination) = sides(directory);
        let kind = FileType::from_raw_mode(ours.st_mode);
        if !same_metadata(ours, theirs) || ours.st_size != theirs.st_size || ours.st_rdev != theirs.st_rdev {
            return Ok(false);
        }
        if kind == FileType::RegularFile {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let from = open_quietly(source, name, flags).map_err(during("open"))?;
            let to = open_quietly(destination, name, flags).map_err(during("open the old"))?;
            if attributes_of_file(&from)? != attributes_of_file(&to)? {
                return Ok(false);
            }
            let size = ours.st_size.unsigned_abs();
            let (left, right) = (Data::of(&from, size)?, Data::of(&to, size)?);
            return same_bytes(size, (&from, &left), (&to, &right), ours.st_dev == theirs.st_dev);
        }
        if kind == FileType::Symlink {
            let read = |side| rustix::fs::readlinkat(side, name, Vec::new());
            if read(source).map_err(during("read the link"))?
                != read(destination).map_err(during("read the old link"))?
            {
                return Ok(false);
            }
        }
        Ok(attributes_of_entry(source, name)? == attributes_of_entry(destination, name)?)
    }
}

fn names_in(directory: &OwnedFd) -> Result<HashSet<CString>, Failure> {
    let listing = open_source_directory(directory.as_fd(), c".").map_err(during("list the old"))?;
    let mut names = HashSet::new();
    for entry in Dir::new(listing).map_err(during("list the old"))? {
        let name = entry.map_err(during("list the old"))?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            names.insert(name);
        }
    }
    Ok(names)
}

fn remove_old(directory: &Directory, name: &CString) -> Result<()> {
    remove_tree(directory.destination.as_fd(), name).map(drop).map_err(|error| {
        error.context(format_args!("cannot make room for '{}'", directory.path_of(name).display()))
    })
}
