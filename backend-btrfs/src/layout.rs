//! Where things lie: `<root>/btrfs/nodes/<number>/fs`.
//!
//! Each subvolume has a parent directory of its own, because the kernel holds
//! the parent's lock over the transaction commit of a snapshot: snapshots in
//! one directory wait for one another, in different ones they share a commit.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use mocker_core::NodeId;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{During, Failure};

/// The name of the subvolume in its directory.
pub(crate) const SUBVOLUME: &str = "fs";

/// For directories: to read, to make ioctls on, never through a symlink.
pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The directory of all nodes.
#[derive(Debug)]
pub(crate) struct Layout {
    nodes: PathBuf,
}

impl Layout {
    /// The layout below `base`, a directory on btrfs.
    pub(crate) fn open(base: &Path) -> Result<Self, Failure> {
        let nodes = base.join("nodes");
        match rustix::fs::mkdir(&nodes, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(Self { nodes }),
            Err(errno) => Err(Failure::kernel("make the directory", &nodes, errno)),
        }
    }

    /// The directory of all nodes.
    pub(crate) fn nodes(&self) -> &Path {
        &self.nodes
    }

    /// The directory of one node.
    pub(crate) fn directory(&self, node: NodeId) -> PathBuf {
        self.nodes.join(node.to_string())
    }

    /// The subvolume of one node.
    pub(crate) fn subvolume(&self, node: NodeId) -> PathBuf {
        self.directory(node).join(SUBVOLUME)
    }

    /// Opens the directory of all nodes.
    pub(crate) fn open_nodes(&self) -> Result<OwnedFd, Failure> {
        rustix::fs::open(&self.nodes, DIRECTORY, Mode::empty()).during("open", &self.nodes)
    }

    /// Opens the directory of one node, if it has one.
    pub(crate) fn open_directory(&self, node: NodeId) -> Result<Option<OwnedFd>, Failure> {
        self.open_below(&self.open_nodes()?, node)
    }

    fn open_below(&self, nodes: &OwnedFd, node: NodeId) -> Result<Option<OwnedFd>, Failure> {
        match rustix::fs::openat(nodes, node.to_string(), DIRECTORY, Mode::empty()) {
            Ok(directory) => Ok(Some(directory)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Failure::kernel("open", &self.directory(node), errno)),
        }
    }

    /// Opens the top of a node's subvolume.
    pub(crate) fn open_subvolume(&self, node: NodeId) -> Result<OwnedFd, Failure> {
        let directory = self.open_directory(node)?.ok_or(Failure::Missing(node))?;
        self.open_top(&directory, node)?.ok_or(Failure::Missing(node))
    }

    /// Opens the subvolume in a node's directory, if there is one.
    pub(crate) fn open_top(&self, directory: &OwnedFd, node: NodeId) -> Result<Option<OwnedFd>, Failure> {
        match rustix::fs::openat(directory, SUBVOLUME, DIRECTORY, Mode::empty()) {
            Ok(top) => Ok(Some(top)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Failure::kernel("open", &self.subvolume(node), errno)),
        }
    }

    /// Makes the directory of a new node.
    pub(crate) fn make_directory(&self, node: NodeId) -> Result<OwnedFd, Failure> {
        let nodes = self.open_nodes()?;
        match rustix::fs::mkdirat(&nodes, node.to_string(), Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => return Err(Failure::Exists(node)),
            Err(errno) => return Err(Failure::kernel("make the directory", &self.directory(node), errno)),
        }
        self.open_below(&nodes, node)?.ok_or(Failure::Missing(node))
    }

    /// Removes the directory of a node, which is empty.
    pub(crate) fn remove_directory(&self, node: NodeId) -> Result<(), Failure> {
        match rustix::fs::unlinkat(self.open_nodes()?, node.to_string(), rustix::fs::AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Failure::kernel("remove the directory", &self.directory(node), errno)),
        }
    }

    /// The numbers of all nodes, in order.
    pub(crate) fn list(&self) -> Result<Vec<NodeId>, Failure> {
        let nodes = self.open_nodes()?;
        let mut found = Vec::new();
        for entry in rustix::fs::Dir::read_from(nodes.as_fd()).during("list", &self.nodes)? {
            let entry = entry.during("list", &self.nodes)?;
            match entry.file_name().to_str().map(str::parse) {
                Ok(Ok(number)) => found.push(NodeId(number)),
                _ if [c".", c".."].contains(&entry.file_name()) => {}
                _ => mocker_core::story!("'{}' is not ours", entry.file_name().to_string_lossy()),
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}
