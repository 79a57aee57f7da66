//! What can fail on one entry, and the words for it.

use std::ffi::CString;
use std::path::Path;

use crate::error::{Error, ErrorKind};

/// A failure on one entry, before its path is known.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A kernel call failed.
    Kernel(&'static str, rustix::io::Errno),
    /// An extended attribute cannot be set.
    Attribute(CString, rustix::io::Errno),
    /// It was removed after it was listed.
    Vanished,
    /// The watcher stopped the copy.
    Stopped(Error),
}

impl Failure {
    pub(crate) fn into_error(self, path: &Path) -> Error {
        let shown = crate::image::printable(&path.to_string_lossy());
        match self {
            Self::Kernel(operation, errno) => {
                let error = Error::io(format_args!("cannot {operation} '{shown}'"), errno);
                match error.kind() {
                    ErrorKind::NoSpace => error.with_hint(
                        "remove images or containers with 'mocker rm', or make room where the store lies",
                    ),
                    _ => error,
                }
            }
            Self::Attribute(name, errno) => {
                let name = name.to_string_lossy();
                let error = Error::io(
                    format_args!("cannot keep the extended attribute '{name}' of '{shown}'"),
                    errno,
                );
                match error.kind() {
                    ErrorKind::NoSpace | ErrorKind::Unsupported => error.with_hint(
                        "the file system of the store cannot hold it (a pool takes up to 3.9 KiB); remove the \
                         attribute, or use a root on another btrfs",
                    ),
                    _ => error,
                }
            }
            Self::Vanished => {
                Error::new(ErrorKind::Conflict, format!("'{shown}' was removed while the tree was copied"))
                    .with_hint("try again when nobody changes the tree")
            }
            Self::Stopped(error) => error,
        }
    }
}

/// For `map_err`: names the operation.
pub(crate) fn during(operation: &'static str) -> impl Fn(rustix::io::Errno) -> Failure {
    move |errno| Failure::Kernel(operation, errno)
}
