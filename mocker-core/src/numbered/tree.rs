//! One tree in each numbered directory, called `fs`: all that a backend needs
//! of the file system, if its nodes are that and nothing else.
//!
//! The tree has a directory around it, because that is for us alone: nobody
//! else on the host can reach what an image allows to everybody.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::{Numbered, failed};
use crate::error::{Error, ErrorKind, Result};
use crate::id::NodeId;
use crate::trace::kernel_call;

/// The name of a tree in the directory of its node.
const TREE: &str = "fs";

/// What is kept free, so that deleting and the records always work.
const RESERVE: u64 = 8 << 20;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Numbered {
    /// The tree of a node, whether it exists or not.
    pub fn tree(&self, node: NodeId) -> PathBuf {
        self.path(node).join(TREE)
    }

    /// Makes a node with an empty tree, 0755 0:0 whatever the umask, into which
    /// `fill` puts what it is to hold. As with [`Numbered::make`], nothing is
    /// left where that fails.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`]; those of making directories, and of `fill`.
    pub fn make_tree(&self, node: NodeId, fill: impl FnOnce(BorrowedFd<'_>) -> Result<()>) -> Result<()> {
        self.make(node, |_| {
            let tree = self.tree(node);
            let make = || {
                rustix::fs::mkdir(&tree, Mode::RWXU)?;
                let top = open(&tree)?;
                rustix::fs::fchown(&top, Some(Uid::ROOT), Some(Gid::ROOT))?;
                rustix::fs::fchmod(&top, Mode::from_raw_mode(0o755))?;
                Ok::<_, Errno>(top)
            };
            fill(make().map_err(|errno| failed("make", &tree, errno))?.as_fd())
        })
    }

    /// Opens the tree of a node that exists.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; those of opening a directory.
    pub fn open_tree(&self, node: NodeId) -> Result<OwnedFd> {
        self.existing(node)?;
        let tree = self.tree(node);
        open(&tree).map_err(|errno| failed("open", &tree, errno))
    }

    /// Writes everything to the disk. That is everybody's data on this file
    /// system, not ours alone.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; those of writing.
    pub fn sync_file_system(&self, node: NodeId) -> Result<()> {
        let tree = self.open_tree(node)?;
        kernel_call("syncfs(2)", "everything on this file system that is not on the disk yet", || {
            rustix::fs::syncfs(&tree)
        })
        .map_err(|errno| failed("write to the disk", &self.tree(node), errno))
    }

    /// Writes the directory of a node to the disk, not what is in its tree.
    ///
    /// # Errors
    /// Those of writing.
    pub fn sync_directory(&self, node: NodeId) -> Result<()> {
        for path in [self.path(node), self.nodes().to_owned()] {
            open(&path).and_then(rustix::fs::fsync).map_err(|errno| failed("sync", &path, errno))?;
        }
        Ok(())
    }

    /// Refuses where the file system could not take so many bytes more.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`].
    pub fn admit(&self, bytes: u64) -> Result<()> {
        let nodes = self.nodes();
        let room = rustix::fs::statvfs(nodes).map_err(|errno| {
            Error::io(format_args!("cannot look at the free space of '{}'", nodes.display()), errno)
        })?;
        let free = room.f_bavail * room.f_frsize;
        if free >= bytes + RESERVE {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::NoSpace,
            format!("the file system of '{}' is full: {} MiB are free", nodes.display(), free >> 20),
        )
        .with_hint("remove images or containers with 'mocker rm', or free space there"))
    }
}

fn open(directory: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(CWD, directory, DIRECTORY, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn l10_l11_a_tree_is_open_to_everybody_in_a_directory_that_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let numbered = Numbered::open(&folder.path().join("x")).unwrap();
        assert_eq!(numbered.open_tree(NodeId(7)).unwrap_err().kind(), ErrorKind::NotFound);
        numbered.make_tree(NodeId(7), |_| Ok(())).unwrap();
        let mode = |path: PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(numbered.path(NodeId(7))), 0o700);
        assert_eq!(mode(numbered.tree(NodeId(7))), 0o755);
        numbered.sync_file_system(NodeId(7)).unwrap();
        numbered.sync_directory(NodeId(7)).unwrap();
    }

    #[test]
    fn c11_what_could_not_be_taken_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let numbered = Numbered::open(&folder.path().join("x")).unwrap();
        numbered.admit(0).unwrap();
        let error = numbered.admit(1 << 60).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(error.hint().is_some());
    }
}
