//! Mount points that the engine makes in a container's tree.
//!
//! `/proc`, `/etc/hosts` and the like are mounted over what the image has
//! there. Where it has nothing, an empty target is made, and it must not get
//! into an image: it is recorded before it is made, removed after the run, and
//! left out of a layer that is taken meanwhile.
//!
//! Making it changes the times of its parent. They are put back at once, so
//! that whatever the parent shows later is what it had, or what the container
//! itself did; removing the target keeps just that.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::tree::in_root::{self, Resolved, kind_name};

/// What a mount needs to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

/// A mount point that is missing in a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveOut {
    /// Its path from the root of the tree, without symlinks.
    pub path: PathBuf,
    /// What it has to be.
    pub kind: TargetKind,
}

/// Finds out which of the wanted targets are missing; makes nothing.
///
/// Missing parents come before what lies in them. A directory target, and the
/// directory that a file target lies in, must not be reached through a
/// symlink. A file target may be a symlink: it is followed inside the tree,
/// and may dangle only beneath `/run`, which images leave empty.
///
/// # Errors
/// [`ErrorKind::Conflict`] where something else is in the way: what, and what
/// to do.
pub fn plan(root: BorrowedFd<'_>, wanted: &[(PathBuf, TargetKind)]) -> Result<Vec<LeaveOut>> {
    let mut missing: Vec<LeaveOut> = Vec::new();
    for (path, kind) in wanted {
        let found = match kind {
            TargetKind::Directory => plan_directory(root, path)?,
            TargetKind::File => plan_file(root, path)?,
        };
        for target in found {
            if !missing.contains(&target) {
                missing.push(target);
            }
        }
    }
    Ok(missing)
}

fn plan_directory(root: BorrowedFd<'_>, path: &Path) -> Result<Vec<LeaveOut>> {
    match in_root::locate_without_links(root, path) {
        Ok(found) => match file_type(&found, path)? {
            FileType::Directory => Ok(Vec::new()),
            other => Err(in_the_way(path, other, &readlink(&found))),
        },
        Err(Errno::NOENT) => Ok(vec![LeaveOut { path: path.to_owned(), kind: TargetKind::Directory }]),
        Err(errno) => Err(cannot_look(path, errno)),
    }
}

fn plan_file(root: BorrowedFd<'_>, path: &Path) -> Result<Vec<LeaveOut>> {
    let mut missing = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => plan_directory(root, parent)?,
        _ => Vec::new(),
    };
    match in_root::resolve(root, path) {
        Ok(Resolved::Exists(_, FileType::RegularFile)) => {}
        Ok(Resolved::Exists(_, other)) => return Err(in_the_way(path, other, "")),
        Ok(Resolved::Missing(existing, rest)) => {
            let leads_to = existing.join(&rest);
            let may_dangle =
                leads_to == path || leads_to.starts_with("run") || leads_to.starts_with("var/run");
            if !may_dangle {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!(
                        "/{} in the image is a symlink to '/{}', which the image does not have",
                        path.display(),
                        leads_to.display()
                    ),
                )
                .with_hint("remove the link in the image, or let it lead to a file of the image"));
            }
            let mut here = existing;
            let mut rest = rest.components().peekable();
            while let Some(component) = rest.next() {
                here.push(component);
                let kind = if rest.peek().is_some() { TargetKind::Directory } else { TargetKind::File };
                missing.push(LeaveOut { path: here.clone(), kind });
            }
        }
        Err(Errno::LOOP) => return Err(in_the_way(path, FileType::Symlink, " that leads in a circle")),
        Err(errno) => return Err(cannot_look(path, errno)),
    }
    missing.dedup();
    Ok(missing)
}

fn in_the_way(path: &Path, kind: FileType, more: &str) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "/{} in the image is {}{more}, and something has to be mounted there",
            path.display(),
            kind_name(kind)
        ),
    )
    .with_hint("remove it in the image; an empty place is made for the mount while a command runs")
}

fn cannot_look(path: &Path, errno: Errno) -> Error {
    Error::io(format_args!("cannot look at /{} in the image", path.display()), errno)
}

fn readlink(link: &OwnedFd) -> String {
    match rustix::fs::readlinkat(link, "", Vec::new()) {
        Ok(target) => format!(" to '{}'", crate::image::printable(&target.to_string_lossy())),
        Err(_) => String::new(),
    }
}

fn file_type(found: &OwnedFd, path: &Path) -> Result<FileType> {
    let stat = rustix::fs::fstat(found).map_err(|errno| cannot_look(path, errno))?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

/// Makes the targets, and puts the times of their parents back. One that is
/// there already, as after a crash, is fine.
///
/// # Errors
/// Those of making files and directories.
pub fn make(root: BorrowedFd<'_>, targets: &[LeaveOut]) -> Result<()> {
    for target in targets {
        let make = || -> rustix::io::Result<()> {
            let (parent, name) = open_parent(root, &target.path)?;
            let before = rustix::fs::fstat(&parent)?;
            match target.kind {
                TargetKind::Directory => {
                    ignore(Errno::EXIST, rustix::fs::mkdirat(&parent, &name, mode(0o755)))?;
                }
                TargetKind::File => {
                    let flags =
                        OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let made = rustix::fs::openat(&parent, &name, flags, mode(0o644));
                    ignore(Errno::EXIST, made.map(drop))?;
                }
            }
            rustix::fs::futimens(&parent, &times(&before))
        };
        make().map_err(|errno| {
            Error::io(
                format_args!("cannot make the mount point /{} in the tree", target.path.display()),
                errno,
            )
        })?;
    }
    Ok(())
}

/// Removes those targets that are still there and still empty, and keeps the
/// times that their parents show. Anything that a container put in their place
/// is its own. Answers what was removed.
///
/// # Errors
/// Those of removing files and directories.
pub fn remove_if_empty(root: BorrowedFd<'_>, targets: &[LeaveOut]) -> Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for target in targets.iter().rev() {
        let gone = remove_one(root, target).map_err(|errno| {
            Error::io(
                format_args!("cannot remove the mount point /{} from the tree", target.path.display()),
                errno,
            )
        })?;
        if gone {
            removed.push(target.path.clone());
        }
    }
    Ok(removed)
}

fn remove_one(root: BorrowedFd<'_>, target: &LeaveOut) -> rustix::io::Result<bool> {
    let (parent, name) = match open_parent(root, &target.path) {
        Ok(found) => found,
        // The container replaced the parent by something else, or removed it.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
        Err(errno) => return Err(errno),
    };
    let before = rustix::fs::fstat(&parent)?;
    let gone = match target.kind {
        TargetKind::Directory => rustix::fs::unlinkat(&parent, &name, AtFlags::REMOVEDIR),
        TargetKind::File => match rustix::fs::statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat)
                if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_size == 0 =>
            {
                rustix::fs::unlinkat(&parent, &name, AtFlags::empty())
            }
            Ok(_) => return Ok(false),
            Err(errno) => Err(errno),
        },
    };
    match gone {
        Ok(()) => rustix::fs::futimens(&parent, &times(&before)).map(|()| true),
        // Read-only: the container put a read-only volume of its own in the parent's place.
        Err(Errno::NOENT | Errno::NOTEMPTY | Errno::NOTDIR | Errno::EXIST | Errno::ROFS) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn open_parent(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<(OwnedFd, PathBuf)> {
    let name = path.file_name().ok_or(Errno::INVAL)?;
    let parent = in_root::open_directory(root, path.parent().unwrap_or(Path::new("")))?;
    Ok((parent, PathBuf::from(name)))
}

fn ignore(errno: Errno, outcome: rustix::io::Result<()>) -> rustix::io::Result<()> {
    if outcome == Err(errno) { Ok(()) } else { outcome }
}

fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode(bits)
}

/// The times of something, for setting them again.
pub(super) fn times(stat: &Stat) -> Timestamps {
    let stamp = |seconds, nanoseconds: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    Timestamps {
        last_access: stamp(stat.st_atime, stat.st_atime_nsec),
        last_modification: stamp(stat.st_mtime, stat.st_mtime_nsec),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::process::Command;

    use super::*;

    struct Tree {
        folder: tempfile::TempDir,
        root: OwnedFd,
    }

    fn tree(build: &str) -> Tree {
        let folder = tempfile::tempdir().unwrap();
        let built = Command::new("sh").arg("-ec").arg(build).current_dir(folder.path()).status().unwrap();
        assert!(built.success());
        let root =
            rustix::fs::open(folder.path(), OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap();
        Tree { folder, root }
    }

    fn wanted() -> Vec<(PathBuf, TargetKind)> {
        vec![("proc".into(), TargetKind::Directory), ("etc/hosts".into(), TargetKind::File)]
    }

    impl Tree {
        fn plan(&self) -> Result<Vec<LeaveOut>> {
            plan(self.root.as_fd(), &wanted())
        }

        fn mtime(&self, path: &str) -> (i64, i64) {
            let metadata = std::fs::metadata(self.folder.path().join(path)).unwrap();
            (metadata.mtime(), metadata.mtime_nsec())
        }

        fn exists(&self, path: &str) -> bool {
            std::fs::symlink_metadata(self.folder.path().join(path)).is_ok()
        }
    }

    #[test]
    fn d10_missing_targets_come_and_go_and_nobody_can_tell() {
        for build in ["touch -d 2001-02-03 .", "mkdir etc; touch -d @1.5 etc; touch -d 2001-02-03 ."] {
            let tree = tree(build);
            let before = tree.mtime(".");
            let targets = tree.plan().unwrap();
            make(tree.root.as_fd(), &targets).unwrap();
            assert!(tree.exists("proc") && tree.exists("etc/hosts"));
            assert_eq!(tree.mtime("."), before);
            make(tree.root.as_fd(), &targets).unwrap();
            let removed = remove_if_empty(tree.root.as_fd(), &targets).unwrap();
            assert_eq!(removed.len(), targets.len());
            assert!(!tree.exists("proc") && !tree.exists("etc/hosts"));
            assert_eq!(tree.mtime("."), before);
        }
    }

    #[test]
    fn d10_what_the_container_did_to_a_target_or_its_parent_stays() {
        let tree = tree("mkdir etc; touch -d 2001-02-03 etc");
        let targets = tree.plan().unwrap();
        make(tree.root.as_fd(), &targets).unwrap();
        std::fs::write(tree.folder.path().join("etc/hosts"), "mine").unwrap();
        std::fs::write(tree.folder.path().join("etc/new"), "").unwrap();
        let changed = tree.mtime("etc");
        let removed = remove_if_empty(tree.root.as_fd(), &targets).unwrap();
        assert_eq!(removed, [PathBuf::from("proc")]);
        assert!(tree.exists("etc/hosts"));
        assert_eq!(tree.mtime("etc"), changed);
    }

    #[test]
    fn s3_what_is_in_the_way_is_named_and_nothing_hangs() {
        for (build, says) in [
            ("ln -s /tmp proc", "symlink to '/tmp'"),
            ("ln -s /tmp etc", "symlink to '/tmp'"),
            ("mkfifo proc", "FIFO"),
            ("mkdir etc; mkfifo etc/hosts", "FIFO"),
            ("mkdir -p etc/hosts", "directory"),
            ("mkdir etc; ln -s /etc/passwd etc/hosts", "/etc/passwd"),
            ("mkdir etc; ln -s hosts etc/hosts", "circle"),
        ] {
            let error = tree(build).plan().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{build}");
            assert!(error.to_string().contains(says) && error.hint().is_some(), "{build}: {error}");
        }
    }

    #[test]
    fn a_link_into_an_empty_run_is_served_and_one_to_a_file_of_the_image_just_works() {
        let served = tree("mkdir etc; ln -s ../run/x/hosts etc/hosts; touch -d 2001-02-03 .");
        let targets = served.plan().unwrap();
        let paths: Vec<_> = targets.iter().map(|target| target.path.to_str().unwrap()).collect();
        assert_eq!(paths, ["proc", "run", "run/x", "run/x/hosts"]);
        make(served.root.as_fd(), &targets).unwrap();
        assert!(served.exists("run/x/hosts"));
        remove_if_empty(served.root.as_fd(), &targets).unwrap();
        assert!(!served.exists("run"));
        let linked = tree("mkdir etc proc; echo x > etc/real; ln -s /etc/real etc/hosts");
        assert_eq!(linked.plan().unwrap(), []);
    }

    #[test]
    fn s2_a_parent_that_became_a_symlink_is_not_followed() {
        let tree = tree("mkdir etc");
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("hosts"), "").unwrap();
        let targets = tree.plan().unwrap();
        make(tree.root.as_fd(), &targets).unwrap();
        std::fs::remove_dir_all(tree.folder.path().join("etc")).unwrap();
        symlink(outside.path(), tree.folder.path().join("etc")).unwrap();
        remove_if_empty(tree.root.as_fd(), &targets).unwrap();
        assert!(outside.path().join("hosts").exists());
        assert!(make(tree.root.as_fd(), &targets).is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    }
}
