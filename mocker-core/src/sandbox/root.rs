//! Opens things inside the container's root by descriptor, so that no name an
//! image holds can lead out of it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

use super::wire::shown;
use crate::{Error, ErrorKind, Result};

/// Beneath a root, never through a magic link, never into another mount.
pub(super) const INSIDE: ResolveFlags =
    ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);

/// As openat2(2), tried again where something was renamed or mounted anywhere on
/// the machine at that moment: the kernel then cannot tell whether `..` or a link
/// has led out, and says `EAGAIN`.
pub(super) fn open(
    root: BorrowedFd<'_>,
    path: impl rustix::path::Arg + Copy,
    flags: OFlags,
    mode: Mode,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    loop {
        match openat2(root, path, flags, mode, resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            outcome => return outcome,
        }
    }
}

/// Opens the directory `name` right beneath `root`, on which something is
/// about to be mounted.
pub(super) fn mount_point(root: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = INSIDE | ResolveFlags::NO_SYMLINKS;
    open(root, name, flags, Mode::empty(), resolve).map_err(|error| {
        let what = match error {
            Errno::LOOP => "is a symbolic link",
            Errno::NOTDIR => "is not a directory",
            Errno::NOENT => "does not exist",
            other => return Error::io(format!("cannot open /{name} of the container"), other),
        };
        Error::new(ErrorKind::Conflict, format!("/{name} of the container {what}"))
            .with_hint(format!("make it a plain directory: the kernel's own /{name} is mounted there"))
    })
}

/// Opens the regular file that `target` means inside `root`, to be covered by
/// a file of the engine.
pub(super) fn bind_target(root: BorrowedFd<'_>, target: &Path) -> Result<OwnedFd> {
    let failed = |error: Errno| Error::io(format!("cannot open {} of the container", name(target)), error);
    let file = open(root, target, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), INSIDE).map_err(failed)?;
    if kind(file.as_fd()).map_err(failed)? != FileType::RegularFile {
        let text = format!("{} of the container is not a regular file", name(target));
        return Err(Error::new(ErrorKind::Conflict, text).with_hint("remove it from the image"));
    }
    Ok(file)
}

/// Opens a user database for reading; `None` where it does not exist. Never
/// waits, whatever the name stands for.
pub(super) fn open_database(root: BorrowedFd<'_>, path: &str) -> Result<Option<OwnedFd>> {
    let failed = |error: Errno| {
        let error = Error::io(format!("cannot open /{path} of the container"), error);
        error.with_hint("make it a plain file of the image, or give the user and group as numbers")
    };
    // First without opening: a device can act on being opened.
    let place = match open(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), INSIDE) {
        Ok(place) => place,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if kind(place.as_fd()).map_err(failed)? != FileType::RegularFile {
        let text = format!("/{path} of the container is not a regular file");
        return Err(Error::new(ErrorKind::Conflict, text).with_hint("replace it in the image"));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = open(root, path, flags, Mode::empty(), INSIDE).map_err(failed)?;
    // Nothing of the container runs yet, so this says the same as before; it costs nothing to be sure.
    match kind(file.as_fd()).map_err(failed)? {
        FileType::RegularFile => Ok(Some(file)),
        _ => Err(Error::new(ErrorKind::Busy, format!("/{path} of the container changes while it is read"))),
    }
}

/// Opens the working directory.
pub(super) fn working_directory(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    open(root, path, flags, Mode::empty(), resolve).map_err(|error| {
        let error = Error::io(format!("cannot enter the working directory {}", name(path)), error);
        error.with_hint("it must exist in the container; choose another one, or make it there first")
    })
}

/// What sort of file a descriptor stands for.
pub(super) fn kind(file: BorrowedFd<'_>) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(fstat(file)?.st_mode))
}

fn name(path: &Path) -> String {
    shown(path)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Seen as a `run` that failed with "resource temporarily unavailable" while
    /// others ran.
    #[test]
    fn what_is_renamed_elsewhere_meanwhile_makes_nothing_fail() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("root/a/b")).unwrap();
        std::fs::write(folder.path().join("root/file"), "").unwrap();
        std::os::unix::fs::symlink("../../file", folder.path().join("root/a/b/link")).unwrap();
        std::fs::create_dir(folder.path().join("one")).unwrap();
        let root = std::fs::File::open(folder.path().join("root")).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::fs::rename(folder.path().join("one"), folder.path().join("two")).unwrap();
                    std::fs::rename(folder.path().join("two"), folder.path().join("one")).unwrap();
                }
            });
            let opened = (0..20_000).map(|_| bind_target(root.as_fd(), Path::new("/a/b/link")).map(drop));
            let outcome: Result<Vec<()>> = opened.collect();
            done.store(true, Ordering::Relaxed);
            outcome.unwrap();
        });
    }
}
