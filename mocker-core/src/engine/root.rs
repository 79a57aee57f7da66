//! The directory that holds everything of one installation.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use crate::error::{Error, ErrorKind, Result};

/// How long whoever wants the root waits for others.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it looks.
const STEP: Duration = Duration::from_millis(5);

/// The paths below the root.
#[derive(Debug, Clone)]
pub struct Root {
    path: PathBuf,
}

impl Root {
    /// Opens the root, making it where there is nothing.
    ///
    /// It is readable by its owner alone, because the trees inside hold
    /// set-uid programs and other people's secrets (CVE-2021-41103).
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where the directory is open to others or
    /// belongs to somebody else; those of making directories.
    pub fn open(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path)
            .map_err(|error| Error::io(format_args!("cannot use '{}' as the root", path.display()), error))?;
        make_private_directory(&path)?;
        check(&path)?;
        let root = Self { path };
        for directory in [root.leases(), root.containers()] {
            make_private_directory(&directory)?;
        }
        Ok(root)
    }

    /// Whether anything was ever recorded in a directory.
    pub fn is_one(path: &Path) -> bool {
        let database = Self { path: path.to_owned() }.database();
        crate::store::manifest::rebuild::files(&database).iter().any(|file| file.exists())
    }

    /// Says for as long as the answer lives that somebody uses the root, or, with
    /// `alone`, that nobody else may.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where somebody else is there alone, or there at all.
    pub fn hold(&self, alone: bool) -> Result<File> {
        let failed = |error| Error::io(format_args!("cannot lock '{}'", self.path.display()), error);
        let file = File::open(&self.path).map_err(failed)?;
        let started = Instant::now();
        loop {
            let locked = if alone { file.try_lock() } else { file.try_lock_shared() };
            match locked {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
                // Whoever frees space in the background, or exchanges records, is done in a moment.
                Err(TryLockError::WouldBlock) if started.elapsed() < PATIENCE => std::thread::sleep(STEP),
                Err(TryLockError::WouldBlock) => return Err(occupied(alone)),
            }
        }
    }

    /// The root itself, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join("mocker.db")
    }

    /// The lock files of living processes.
    pub fn leases(&self) -> PathBuf {
        self.path.join("leases")
    }

    /// One directory per container.
    pub fn containers(&self) -> PathBuf {
        self.path.join("containers")
    }

    /// The log and the bind-mounted files of one container.
    pub fn container(&self, id: &str) -> PathBuf {
        self.containers().join(id)
    }
}

fn occupied(alone: bool) -> Error {
    let (what, hint) = if alone {
        (
            "other mocker processes are at work in this root, and its records cannot be exchanged",
            "end them, running containers too, and try again",
        )
    } else {
        ("'mocker check --repair' makes the records of this root anew", "try again when it is done")
    };
    Error::new(ErrorKind::Busy, what).with_hint(hint)
}

fn make_private_directory(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|error| {
            Error::io(format_args!("cannot make the directory '{}'", parent.display()), error)
                .with_hint("choose another root with --root or MOCKER_ROOT")
        })?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Error::io(format_args!("cannot make the directory '{}'", path.display()), error)
                .with_hint("choose another root with --root or MOCKER_ROOT"))
        }
        _ => Ok(()),
    }
}

/// Checks owner and mode; an empty directory that somebody prepared for us is
/// made private.
fn check(path: &Path) -> Result<()> {
    let describe = |error| Error::io(format_args!("cannot use '{}' as the root", path.display()), error);
    let metadata = std::fs::metadata(path).map_err(describe)?;
    if !metadata.is_dir() {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("the root '{}' is not a directory", path.display()),
        )
        .with_hint("choose another root with --root or MOCKER_ROOT"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::new(
            ErrorKind::PermissionDenied,
            format!("the root '{}' belongs to user {}", path.display(), metadata.uid()),
        )
        .with_hint("run as that user, or choose another root with --root or MOCKER_ROOT"));
    }
    if metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    if std::fs::read_dir(path).map_err(describe)?.next().is_some() {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "the root '{}' is open to other users (mode {:o})",
                path.display(),
                metadata.mode() & 0o7777
            ),
        )
        .with_hint(format!("choose an empty directory for the root, or 'chmod 700 {}'", path.display())));
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(describe)
}

/// Opens a directory that a user or we ourselves named.
pub(super) fn open_directory(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).map_err(
        |errno| {
            let error = Error::io(format_args!("cannot open the directory '{}'", path.display()), errno);
            match error.kind() {
                ErrorKind::PermissionDenied => error
                    .with_hint("run as its owner, for example with sudo, or choose another root with --root"),
                _ => error,
            }
        },
    )
}

/// Whether `inner` is `outer`, or lies below it, going up by `..` from
/// descriptor to descriptor, so that links and bind mounts hide nothing.
pub(super) fn lies_in(inner: &OwnedFd, outer: &OwnedFd) -> Result<bool> {
    let identity = |directory: &OwnedFd| {
        let stat =
            rustix::fs::fstat(directory).map_err(|errno| Error::io("cannot look at a directory", errno))?;
        Ok::<_, Error>((stat.st_dev, stat.st_ino))
    };
    let wanted = identity(outer)?;
    let mut here = rustix::io::fcntl_dupfd_cloexec(inner.as_fd(), 0)
        .map_err(|errno| Error::io("cannot duplicate a descriptor", errno))?;
    loop {
        let found = identity(&here)?;
        if found == wanted {
            return Ok(true);
        }
        let above = rustix::fs::openat(
            &here,
            "..",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| Error::io("cannot open a parent directory", errno))?;
        if identity(&above)? == found {
            return Ok(false);
        }
        here = above;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l11_the_root_and_what_is_in_it_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(&folder.path().join("deep/root")).unwrap();
        for path in [root.path().to_owned(), root.leases(), root.containers()] {
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o700, "{}", path.display());
        }
    }

    #[test]
    fn l11_a_directory_with_things_in_it_and_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(folder.path().join("mine"), "").unwrap();
        assert_eq!(Root::open(folder.path()).unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(std::fs::metadata(folder.path()).unwrap().mode() & 0o777, 0o755);
        std::fs::remove_file(folder.path().join("mine")).unwrap();
        Root::open(folder.path()).unwrap();
    }

    #[test]
    fn containment_is_found_through_links() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        std::fs::create_dir(folder.path().join("c")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("a/b"), folder.path().join("c/link")).unwrap();
        let open = |name: &str| open_directory(&folder.path().join(name)).unwrap();
        assert!(lies_in(&open("c/link"), &open("a")).unwrap());
        assert!(lies_in(&open("a"), &open("a")).unwrap());
        assert!(!lies_in(&open("a"), &open("a/b")).unwrap());
        assert!(!lies_in(&open("c"), &open("a")).unwrap());
    }
}
