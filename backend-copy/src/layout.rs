//! Where things lie: `<root>/copy/nodes/<number>/fs`.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use mocker_core::numbered::Numbered;
use mocker_core::trace::kernel_call;
use mocker_core::{Error, NodeId, Result};
use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};

/// The name of a tree in the directory of its node, which is ours alone.
const TREE: &str = "fs";

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The directory of all nodes.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) numbered: Numbered,
}

impl Layout {
    pub(crate) fn open(root: &Path) -> Result<Self> {
        Ok(Self { numbered: Numbered::open(&root.join("copy"))? })
    }

    /// The tree of a node, whether it exists or not.
    pub(crate) fn tree(&self, node: NodeId) -> PathBuf {
        self.numbered.path(node).join(TREE)
    }

    /// The tree of a node that exists.
    pub(crate) fn existing(&self, node: NodeId) -> Result<PathBuf> {
        self.numbered.existing(node)?;
        Ok(self.tree(node))
    }

    /// Makes a node with an empty tree, 0755 0:0 whatever the umask, into which
    /// `fill` puts what it is to hold; see [`Numbered::make`].
    pub(crate) fn make(&self, node: NodeId, fill: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<()> {
        self.numbered.make(node, |_| fill(&self.make_tree(node)?))
    }

    fn make_tree(&self, node: NodeId) -> Result<OwnedFd> {
        let tree = self.tree(node);
        let make = || {
            rustix::fs::mkdir(&tree, Mode::RWXU)?;
            let top = rustix::fs::openat(CWD, &tree, DIRECTORY, Mode::empty())?;
            rustix::fs::fchown(&top, Some(Uid::ROOT), Some(Gid::ROOT))?;
            rustix::fs::fchmod(&top, Mode::from_raw_mode(0o755))?;
            Ok::<_, rustix::io::Errno>(top)
        };
        make().map_err(|errno| failed("make", &tree, errno))
    }

    /// Opens the tree of a node that exists.
    pub(crate) fn open_tree(&self, node: NodeId) -> Result<OwnedFd> {
        let tree = self.existing(node)?;
        rustix::fs::openat(CWD, &tree, DIRECTORY, Mode::empty()).map_err(|errno| failed("open", &tree, errno))
    }

    /// Writes everything to the disk. That is everybody's data on this file
    /// system, not ours alone.
    pub(crate) fn sync_file_system(&self, node: NodeId) -> Result<()> {
        let tree = self.open_tree(node)?;
        kernel_call("syncfs(2)", "everything on this file system that is not on the disk yet", || {
            rustix::fs::syncfs(&tree)
        })
        .map_err(|errno| failed("write to the disk", &self.tree(node), errno))
    }

    /// Writes the directory of a node to the disk.
    pub(crate) fn sync_directory(&self, node: NodeId) -> Result<()> {
        for path in [self.numbered.path(node), self.numbered.nodes().to_owned()] {
            rustix::fs::openat(CWD, &path, DIRECTORY, Mode::empty())
                .and_then(rustix::fs::fsync)
                .map_err(|errno| failed("sync", &path, errno))?;
        }
        Ok(())
    }
}

fn failed(operation: &str, path: &Path, errno: rustix::io::Errno) -> Error {
    Error::io(format_args!("cannot {operation} '{}'", path.display()), errno)
}
