//! Removing a whole tree, however deep, by descriptor.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::protection::{unprotect, unprotect_entry};
use super::sys;
use crate::error::{Error, Result};

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Removes the entry `name` of a directory with everything in it; answers how
/// many entries went. What somebody else removes meanwhile is no error, so two
/// may do it at once. What is immutable or append-only goes too.
///
/// Only one directory is open at a time, whatever the depth: the way up is
/// `..`, which nobody can redirect because nobody else may enter the tree.
///
/// # Errors
/// Those of listing and removing, with the path of what stays; what is left can
/// be removed later.
pub fn remove_tree(directory: BorrowedFd<'_>, name: &CString) -> Result<u64> {
    let mut above = vec![name.clone()];
    remove_below(directory, name, &mut above).map_err(|errno| {
        let path: PathBuf = above.iter().map(|name| OsStr::from_bytes(name.to_bytes())).collect();
        let error = Error::io(format_args!("cannot remove '{}'", path.display()), errno);
        match errno {
            Errno::PERM | Errno::TXTBSY => error.with_hint(
                "it may be a swap file in use: see /proc/swaps, end that with 'swapoff', and try again",
            ),
            _ => error,
        }
    })
}

/// `above` is the way to where it is; on an error, to what stays.
fn remove_below(
    directory: BorrowedFd<'_>,
    name: &CString,
    above: &mut Vec<CString>,
) -> rustix::io::Result<u64> {
    match unlink(directory, name, AtFlags::empty(), false) {
        Ok(()) => return Ok(1),
        Err(Errno::NOENT) => return Ok(0),
        Err(Errno::ISDIR) => {}
        Err(errno) => return Err(errno),
    }
    let Some(mut here) = absent_is_none(openat(directory, name, DIRECTORY, Mode::empty()))? else {
        return Ok(0);
    };
    let mut removed = 0;
    loop {
        match empty_files(&here, &mut removed) {
            Ok(Some(inner)) => {
                // Gone meanwhile: the next look does not find it any more.
                if let Some(opened) = absent_is_none(openat(&here, &inner, DIRECTORY, Mode::empty()))? {
                    here = opened;
                    above.push(inner);
                }
            }
            Ok(None) if above.len() == 1 => break,
            Ok(None) => {
                here = openat(&here, "..", DIRECTORY, Mode::empty())?;
                if let Some(done) = above.last() {
                    removed += u64::from(gone(unlink(here.as_fd(), done, AtFlags::REMOVEDIR, true))?);
                }
                above.pop();
            }
            Err((inner, errno)) => {
                above.extend(inner);
                return Err(errno);
            }
        }
    }
    drop(here);
    Ok(removed + u64::from(gone(unlink(directory, name, AtFlags::REMOVEDIR, false))?))
}

/// Removes what is no directory, and empty directories; answers the first
/// directory that is not empty. An error comes with the name that stays.
fn empty_files(
    here: &OwnedFd,
    removed: &mut u64,
) -> std::result::Result<Option<CString>, (Option<CString>, Errno)> {
    let mut full = None;
    for entry in Dir::read_from(here).map_err(|errno| (None, errno))? {
        let entry = entry.map_err(|errno| (None, errno))?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let how =
            if entry.file_type() == FileType::Directory { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match unlink(here.as_fd(), name, how, true) {
            Ok(()) => *removed += 1,
            Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ISDIR) => {
                full.get_or_insert_with(|| name.to_owned());
            }
            Err(errno) => return Err((Some(name.to_owned()), errno)),
        }
    }
    Ok(full)
}

/// Removes one name, in spite of flags that forbid it: those of the entry, those
/// of the directory where that goes too, and that of a read-only subvolume.
fn unlink(
    directory: BorrowedFd<'_>,
    name: &CStr,
    how: AtFlags,
    directory_goes: bool,
) -> rustix::io::Result<()> {
    match unlinkat(directory, name, how) {
        Err(Errno::PERM) => {
            let unlocked = directory_goes && unprotect(directory)?;
            if unprotect_entry(directory, name)? || unlocked {
                unlinkat(directory, name, how)
            } else {
                Err(Errno::PERM)
            }
        }
        // A container on btrfs can make a read-only snapshot of what it owns; the top of that comes first.
        Err(Errno::ROFS) if sys::make_writable(directory).is_ok() => unlinkat(directory, name, how),
        outcome => outcome,
    }
}

fn gone(outcome: rustix::io::Result<()>) -> rustix::io::Result<bool> {
    match outcome {
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

    #[test]
    fn what_is_immutable_or_append_only_goes_and_the_directory_around_stays_so() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let shell = |script: &str| {
            let ran = Command::new("bash").arg("-euc").arg(script).current_dir(folder.path()).status();
            assert!(ran.unwrap().success(), "{script}");
        };
        shell(
            "mkdir -p around/tree/full/deep around/tree/empty; touch around/tree/full/deep/file around/tree/log; \
             chattr +i around/tree/full/deep/file around/tree/full around/tree/empty; chattr +a around/tree/log; \
             chattr +a around/tree/full/deep around/tree; chattr +i around",
        );
        let top = openat(rustix::fs::CWD, folder.path().join("around"), DIRECTORY, Mode::empty()).unwrap();
        // Nobody said that the directory around it goes: that is the blocker then.
        let error = remove_tree(top.as_fd(), &c"tree".to_owned()).unwrap_err();
        assert!(error.to_string().starts_with("cannot remove 'tree'"), "{error}");
        shell("chattr -i around");
        remove_tree(top.as_fd(), &c"tree".to_owned()).unwrap();
        assert!(!folder.path().join("around/tree").exists());
    }
}
