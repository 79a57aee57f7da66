//! Resolving names that an image chose, beneath the root of its tree.
//!
//! `openat2(2)` (Linux 5.6) resolves as if the tree were the whole world: an
//! absolute symlink starts at its root, `..` stops there, and the magic links
//! of `/proc` are refused.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Opens `path` with symlinks followed inside `root`, as a bare location:
/// nothing that may lie there is opened for reading or writing, so a FIFO does
/// not block.
///
/// # Errors
/// Those of openat2(2); ENOENT where it does not exist.
pub fn locate(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    open(root, path, OFlags::PATH, ResolveFlags::IN_ROOT)
}

/// As [`locate`], with no symlink anywhere in `path`.
///
/// # Errors
/// Those of openat2(2); ELOOP where a component is a symlink.
pub fn locate_without_links(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    open(root, path, OFlags::PATH | OFlags::NOFOLLOW, ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
}

/// Opens a directory for reading, with no symlink anywhere in `path`.
///
/// # Errors
/// Those of openat2(2); ELOOP or ENOTDIR where it is no directory.
pub fn open_directory(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    open(root, path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
}

fn open(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // Somebody renames things beneath the root at this very moment (openat2(2)).
            Err(Errno::AGAIN | Errno::INTR) => {}
            outcome => return outcome,
        }
    }
}

/// What a path beneath a root comes to, symlinks followed by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// It exists; the path has no symlink any more.
    Exists(PathBuf, FileType),
    /// It does not exist, and neither does anything below this directory
    /// (which exists) on the way to it; the second path is what is missing.
    Missing(PathBuf, PathBuf),
}

/// How many symlinks one path may lead through, as in the kernel
/// (`MAXSYMLINKS` of linux/namei.h).
const MOST_LINKS: usize = 40;

/// Follows `path` beneath `root` component by component.
///
/// # Errors
/// ELOOP for too many symlinks, ENOTDIR where the way leads through something
/// that is no directory; those of openat2(2) and readlink(2).
pub fn resolve(root: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<Resolved> {
    let mut done = PathBuf::new();
    let mut todo: Vec<PathBuf> = components(path);
    let mut links = 0;
    let mut kind = FileType::Directory;
    while let Some(next) = todo.pop() {
        if kind != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        if next == Path::new("..") {
            done.pop();
            continue;
        }
        let here = done.join(&next);
        let found = match locate_without_links(root, &here) {
            Ok(found) => found,
            Err(Errno::NOENT) => {
                let mut missing = next;
                while let Some(component) = todo.pop() {
                    if component == Path::new("..") {
                        return Err(Errno::NOENT);
                    }
                    missing.push(component);
                }
                return Ok(Resolved::Missing(done, missing));
            }
            // The last component itself is a symlink: openat2(2) says ELOOP for it under NO_SYMLINKS
            // unless it is opened with O_PATH and O_NOFOLLOW, as here; so the rest has changed.
            Err(errno) => return Err(errno),
        };
        kind = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode);
        if kind != FileType::Symlink {
            done = here;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::LOOP);
        }
        let target = rustix::fs::readlinkat(&found, "", Vec::new())?;
        let target = PathBuf::from(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(
            target.into_bytes(),
        ));
        if target.is_absolute() {
            done = PathBuf::new();
        }
        kind = FileType::Directory;
        todo.extend(components(&target));
    }
    Ok(Resolved::Exists(done, kind))
}

/// The components of a path, last first.
fn components(path: &Path) -> Vec<PathBuf> {
    let plain = |component: Component<'_>| match component {
        Component::Normal(name) => Some(PathBuf::from(name)),
        Component::ParentDir => Some(PathBuf::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(plain).collect()
}

/// What something is, for a message.
pub fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symlink",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        FileType::Unknown => "of an unknown type",
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> (tempfile::TempDir, OwnedFd) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::write(folder.path().join("a/file"), "x").unwrap();
        let root =
            rustix::fs::open(folder.path(), OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap();
        (folder, root)
    }

    #[test]
    fn links_stay_inside_whatever_they_say() {
        let (folder, root) = tree();
        symlink("/a/file", folder.path().join("absolute")).unwrap();
        symlink("../../../../a/b", folder.path().join("up")).unwrap();
        symlink("/etc/passwd", folder.path().join("host")).unwrap();
        symlink("loop", folder.path().join("loop")).unwrap();
        let resolve = |path: &str| resolve(root.as_fd(), Path::new(path));
        assert_eq!(resolve("absolute"), Ok(Resolved::Exists("a/file".into(), FileType::RegularFile)));
        assert_eq!(resolve("up/../file"), Ok(Resolved::Exists("a/file".into(), FileType::RegularFile)));
        assert_eq!(resolve("host"), Ok(Resolved::Missing("".into(), "etc/passwd".into())));
        assert_eq!(resolve("a/b/c/d"), Ok(Resolved::Missing("a/b".into(), "c/d".into())));
        assert_eq!(resolve("loop"), Err(Errno::LOOP));
        assert_eq!(resolve("a/file/x"), Err(Errno::NOTDIR));
        assert!(locate(root.as_fd(), Path::new("/host")).is_err());
        assert!(locate_without_links(root.as_fd(), Path::new("up/x")).is_err());
    }
}
