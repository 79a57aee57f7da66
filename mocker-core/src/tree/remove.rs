//! Removing a whole tree, however deep, by descriptor.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes the entry `name` of a directory with everything in it; answers how
/// many entries went. What somebody else removes meanwhile is no error, so two
/// may do it at once.
///
/// Only one directory is open at a time, whatever the depth: the way up is
/// `..`, which nobody can redirect because nobody else may enter the tree.
///
/// # Errors
/// Those of listing and removing; what is left can be removed later.
pub fn remove_tree(directory: BorrowedFd<'_>, name: &CString) -> rustix::io::Result<u64> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) => return Ok(1),
        Err(Errno::NOENT) => return Ok(0),
        Err(Errno::ISDIR) => {}
        Err(errno) => return Err(errno),
    }
    let Some(mut here) = absent_is_none(openat(directory, name, DIRECTORY, Mode::empty()))? else {
        return Ok(0);
    };
    let mut above: Vec<CString> = Vec::new();
    let mut removed = 0;
    loop {
        match empty_files(&here, &mut removed)? {
            Some(inner) => {
                // Gone meanwhile: the next look does not find it any more.
                if let Some(opened) = absent_is_none(openat(&here, &inner, DIRECTORY, Mode::empty()))? {
                    here = opened;
                    above.push(inner);
                }
            }
            None => {
                let Some(done) = above.pop() else { break };
                here = openat(&here, "..", DIRECTORY, Mode::empty())?;
                removed += u64::from(remove_directory(&here, &done)?);
            }
        }
    }
    drop(here);
    Ok(removed + u64::from(remove_directory(directory, name)?))
}

/// Removes what is no directory, and empty directories; answers the first
/// directory that is not empty.
fn empty_files(here: &OwnedFd, removed: &mut u64) -> rustix::io::Result<Option<CString>> {
    let mut full = None;
    for entry in Dir::read_from(here)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let gone = if entry.file_type() == FileType::Directory {
            unlinkat(here, name, AtFlags::REMOVEDIR)
        } else {
            unlinkat(here, name, AtFlags::empty())
        };
        match gone {
            Ok(()) => *removed += 1,
            Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ISDIR) => {
                full.get_or_insert_with(|| name.to_owned());
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(full)
}

fn remove_directory(directory: impl rustix::fd::AsFd, name: &CString) -> rustix::io::Result<bool> {
    match unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn absent_is_none(opened: rustix::io::Result<OwnedFd>) -> rustix::io::Result<Option<OwnedFd>> {
    match opened {
        Ok(opened) => Ok(Some(opened)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_tree_goes_whatever_its_depth_and_nothing_outside_does() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let name = "d".repeat(200);
        let built = Command::new("bash")
            .arg("-euc")
            .arg(format!(
                "mkdir tree outside; touch outside/stays; cd tree; ln -s ../outside link; mkfifo fifo; \
                 mkdir -p a/b c; touch a/f a/b/g; chmod 0 a/b; for i in $(seq 40); do mkdir {name}; touch f; \
                 cd -P ./{name}; done; touch bottom"
            ))
            .current_dir(folder.path())
            .status()
            .unwrap();
        assert!(built.success());
        let top = openat(rustix::fs::CWD, folder.path(), DIRECTORY, Mode::empty()).unwrap();
        assert_eq!(remove_tree(top.as_fd(), &c"tree".to_owned()).unwrap(), 8 + 2 * 40 + 1);
        assert_eq!(remove_tree(top.as_fd(), &c"tree".to_owned()).unwrap(), 0);
        assert!(folder.path().join("outside/stays").exists());
        assert_eq!(remove_tree(top.as_fd(), &c"outside".to_owned()).unwrap(), 2);
    }
}
