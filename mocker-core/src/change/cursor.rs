//! Going from one place to the next in two trees at once, through as few
//! directories as that takes.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::walk::{bytes, open_directory};
use crate::error::Result;
use crate::tree::failure::Failure;

/// A directory, or what there is of it, in the two trees.
pub(super) struct Pair {
    pub(super) path: PathBuf,
    pub(super) from: Option<OwnedFd>,
    pub(super) to: Option<OwnedFd>,
    /// Whether an entry in it that has not changed since is the one that the
    /// first tree has there.
    pub(super) trusted: bool,
    /// Whether entries may have been moved into it.
    pub(super) touched: bool,
}

/// The directories on the way to the last place that was looked at.
pub(super) struct Cursor {
    stack: Vec<Arc<Pair>>,
}

impl Cursor {
    pub(super) fn at(top: Pair) -> Self {
        Self { stack: vec![Arc::new(top)] }
    }

    /// The directory of a place, and its name there. Where one of the trees has
    /// no such directory, the topmost that it has not is answered instead, and
    /// that it is not what was asked for.
    pub(super) fn go_to(&mut self, path: &Path) -> Result<(Arc<Pair>, CString, bool)> {
        let names: Vec<CString> = path
            .components()
            .filter_map(|component| match component {
                Component::Normal(name) => CString::new(name.as_bytes()).ok(),
                _ => None,
            })
            .collect();
        let Some((last, above)) = names.split_last() else {
            self.stack.truncate(1);
            return Ok((self.stack[0].clone(), c".".to_owned(), false));
        };
        let shared = self
            .stack
            .iter()
            .skip(1)
            .zip(above)
            .take_while(|(pair, name)| {
                pair.path.file_name().is_some_and(|own| own.as_bytes() == name.to_bytes())
            })
            .count();
        self.stack.truncate(shared + 1);
        for name in above.iter().skip(shared) {
            // The first is the top, and never goes.
            let Some(here) = self.stack.last().cloned() else { break };
            let path = here.path.join(bytes(name));
            let open =
                |side: &Option<OwnedFd>| match side.as_ref().map(|side| open_directory(side.as_fd(), name)) {
                    Some(Ok(opened)) => Ok(Some(opened)),
                    None | Some(Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => Ok(None),
                    Some(Err(errno)) => {
                        Err(Failure::Kernel("open", errno).into_error(&Path::new("/").join(&path)))
                    }
                };
            let (from, to) = (open(&here.from)?, open(&here.to)?);
            if from.is_none() || to.is_none() {
                return Ok((here, name.clone(), true));
            }
            self.stack.push(Arc::new(Pair { path, from, to, trusted: false, touched: true }));
        }
        let here = self.stack.last().unwrap_or(&self.stack[0]).clone();
        Ok((here, last.clone(), false))
    }
}
