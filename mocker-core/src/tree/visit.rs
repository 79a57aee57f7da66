//! Visiting every entry of a tree, however deep or wide it is.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat, fstat, statat};
use rustix::io::Errno;

use crate::error::Result;
use crate::tree::attributes::open_quietly;
use crate::tree::copy::raise_descriptor_limit;
use crate::tree::failure::{Failure, during};

/// An entry of a tree.
#[derive(Debug)]
pub struct Visited<'a> {
    /// The path from the top, without a slash at its start; empty for the top.
    pub path: &'a Path,
    /// What stat(2) says of it.
    pub stat: &'a Stat,
    /// A directory, open for reading.
    pub directory: Option<BorrowedFd<'a>>,
}

/// A directory on the way to where the walk is.
struct Level {
    directory: OwnedFd,
    /// What is in it and was not visited yet.
    names: Vec<CString>,
}

/// Calls for every entry of a tree, the top first and each directory before what
/// is in it; symlinks are not followed. What goes meanwhile is passed over. One
/// directory is open for each level.
///
/// # Errors
/// Those of reading directories, with the path; those of `call`, which end it.
pub fn visit(top: BorrowedFd<'_>, mut call: impl FnMut(Visited<'_>) -> Result<()>) -> Result<()> {
    raise_descriptor_limit();
    let mut path = PathBuf::new();
    let mut levels: Vec<Level> = Vec::new();
    let failed = |path: &Path, failure: Failure| failure.into_error(&Path::new("/").join(path));
    let opened = open(top, c".").map_err(|errno| failed(&path, Failure::Kernel("open", errno)))?;
    let stat = fstat(&opened).map_err(|errno| failed(&path, Failure::Kernel("look at", errno)))?;
    call(Visited { path: &path, stat: &stat, directory: Some(opened.as_fd()) })?;
    levels
        .push(Level { names: names(&opened).map_err(|failure| failed(&path, failure))?, directory: opened });
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.names.pop() else {
            levels.pop();
            path.pop();
            continue;
        };
        let stat = match statat(&level.directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(failed(&path, Failure::Kernel("look into", errno))),
        };
        path.push(OsStr::from_bytes(name.to_bytes()));
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            call(Visited { path: &path, stat: &stat, directory: None })?;
            path.pop();
            continue;
        }
        match open(level.directory.as_fd(), &name) {
            Ok(directory) => {
                call(Visited { path: &path, stat: &stat, directory: Some(directory.as_fd()) })?;
                let names = names(&directory).map_err(|failure| failed(&path, failure))?;
                levels.push(Level { directory, names });
            }
            // It went, or something else took its place, since it was looked at.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                path.pop();
            }
            Err(errno) => return Err(failed(&path, Failure::Kernel("open", errno))),
        }
    }
    Ok(())
}

fn open(at: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    open_quietly(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)
}

fn names(directory: &OwnedFd) -> std::result::Result<Vec<CString>, Failure> {
    let mut names = Vec::new();
    // Through a descriptor of its own: the place in a listing is the descriptor's.
    let listing = open(directory.as_fd(), c".").map_err(during("list"))?;
    for entry in Dir::new(listing).map_err(during("list"))? {
        let entry = entry.map_err(during("list"))?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::fs::{CWD, Mode};

    use super::*;

    #[test]
    fn every_entry_is_visited_after_what_it_is_in() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        // Deeper than a path can be, and wider than descriptors last.
        let script = "mkdir wide; cd wide; mkdir $(seq 3000); cd ..; ln -s wide link
            for i in {1..30}; do mkdir $(printf %0200d 7); cd $(printf %0200d 7); done; touch deepest";
        let made = Command::new("bash").args(["-euc", script]).current_dir(folder.path()).status().unwrap();
        assert!(made.success());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::openat(CWD, folder.path(), flags, Mode::empty()).unwrap();
        let mut seen = vec![];
        visit(top.as_fd(), |visited| {
            let is_directory = FileType::from_raw_mode(visited.stat.st_mode) == FileType::Directory;
            assert_eq!(visited.directory.is_some(), is_directory);
            assert!(visited.path.parent().is_none_or(|above| seen.iter().any(|path| path == above)));
            seen.push(visited.path.to_owned());
            Ok(())
        })
        .unwrap();
        assert_eq!(seen.len(), 1 + 3001 + 1 + 31);
        assert!(seen.iter().any(|path| path.ends_with("deepest")));
    }
}
