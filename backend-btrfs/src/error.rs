//! What can fail in this backend, and how each failure is told to the outside.

use std::io;
use std::path::{Path, PathBuf};

use mocker_core::{Error, ErrorKind, LayerId, NodeId, WorkId, kind_of};
use rustix::io::Errno;

use crate::full::Full;

/// The way out of a btrfs that is full, which may be that of a pool.
pub(crate) const MAKE_ROOM: &str =
    "remove images or containers with 'mocker rm', or enlarge the pool with 'mocker pool grow'";

/// The most paths of nested subvolumes that a message lists.
const SHOWN: usize = 10;

/// A failure, with its operation and its subject.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A kernel call failed.
    #[error("cannot {operation} '{}'", path.display())]
    Kernel { operation: &'static str, path: PathBuf, source: io::Error },
    /// The number is in use.
    #[error("node {0} exists already")]
    Exists(NodeId),
    /// There is no such node.
    #[error("node {0} does not exist")]
    Missing(NodeId),
    /// A layer is immutable.
    #[error("layer {0} cannot be written to")]
    LayerForWriting(LayerId),
    /// A container made subvolumes in its own tree.
    #[error("work area {work} holds {} nested subvolume(s): {}", paths.len(), list(paths))]
    Nested { work: WorkId, paths: Vec<PathBuf> },
    /// Flattening is for work areas that nobody writes to.
    #[error("nested subvolumes of work area {0} can be flattened only when nobody writes to it")]
    FlattenInUse(WorkId),
    /// The kernel's answer to a tree search does not hold together.
    #[error("the kernel's answer to a tree search is damaged: {0}")]
    Search(&'static str),
}

fn list(paths: &[PathBuf]) -> String {
    let mut shown: Vec<_> = paths.iter().take(SHOWN).map(|path| format!("/{}", path.display())).collect();
    if paths.len() > SHOWN {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}

impl Failure {
    /// A failed kernel call on a path.
    pub(crate) fn kernel(operation: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Kernel { operation, path: path.to_owned(), source: source.into() }
    }
}

/// Says during what a kernel call failed.
pub(crate) trait During<T> {
    /// Adds the operation and the path that it was about.
    fn during(self, operation: &'static str, path: &Path) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> During<T> for Result<T, E> {
    fn during(self, operation: &'static str, path: &Path) -> Result<T, Failure> {
        self.map_err(|source| Failure::kernel(operation, path, source))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let text = failure.to_string();
        match failure {
            Failure::Kernel { path, source, .. } if is_full(&source) => {
                let full = Full::at(&path);
                Error::io(format_args!("{text}: {full}"), source).with_hint(full.hint(MAKE_ROOM, &path))
            }
            Failure::Kernel { source, .. } => {
                let hint = hint_for(&source);
                let error = Error::io(text, source);
                match hint {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                }
            }
            Failure::Exists(_) => Error::new(ErrorKind::AlreadyExists, text),
            Failure::Missing(_) => Error::new(ErrorKind::NotFound, text),
            Failure::LayerForWriting(_) => Error::new(ErrorKind::InvalidInput, text),
            Failure::Nested { .. } => Error::new(ErrorKind::Conflict, text).with_hint(
                "a snapshot would hold empty directories in their place; remove them, or stop the container \
                 and commit with --flatten-subvolumes to turn them into directories",
            ),
            Failure::FlattenInUse(_) => {
                Error::new(ErrorKind::Unsupported, text).with_hint("wait for the container to end")
            }
            Failure::Search(_) => Error::new(ErrorKind::Corrupt, text)
                .with_hint("check the file system with 'btrfs check' while it is not mounted"),
        }
    }
}

/// Not so where it is a quota that is used up, which is the same kind of error.
fn is_full(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NOSPC.raw_os_error())
}

/// The way out of what the kernel reports on a btrfs.
fn hint_for(error: &io::Error) -> Option<&'static str> {
    if error.raw_os_error() == Some(Errno::TXTBSY.raw_os_error()) {
        return Some("a swap file in it is in use: see /proc/swaps, and end that with 'swapoff'");
    }
    match kind_of(error) {
        ErrorKind::NoSpace => Some("a quota of the btrfs is used up: see 'btrfs qgroup show'"),
        ErrorKind::ReadOnly => Some(
            "btrfs goes read-only after a failed write, as when the disk beneath a pool is full: free space \
             there, then 'mocker pool umount', and try again",
        ),
        ErrorKind::PermissionDenied if rustix::process::geteuid().is_root() => Some(
            "a swap file in it may be in use (see /proc/swaps, and end that with 'swapoff'), or 'btrfs send' \
             may be reading it",
        ),
        ErrorKind::PermissionDenied => {
            Some("run as root: subvolumes are made and deleted with CAP_SYS_ADMIN")
        }
        _ => None,
    }
}
