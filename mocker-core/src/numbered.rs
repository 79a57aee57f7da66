//! Numbered directories, for backends whose nodes are plain directories.
//!
//! A node is `<base>/nodes/<number>`; what is in there is the backend's, which
//! is often one tree: `tree.rs` is for those. A deleted one is moved to
//! `<base>/trash/<number>`, which is one rename whatever its size, and removed
//! for good by [`Numbered::reclaim`].

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, RenameFlags, openat, renameat_with};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result};
use crate::id::NodeId;
use crate::trace::kernel_call;
use crate::tree::remove_tree;

mod tree;
mod usage;

/// The directories of one backend at one root.
#[derive(Debug, Clone)]
pub struct Numbered {
    nodes: PathBuf,
    trash: PathBuf,
}

impl Numbered {
    /// Opens the directories below `base`, making them where they are missing.
    ///
    /// # Errors
    /// Those of making directories.
    pub fn open(base: &Path) -> Result<Self> {
        let this = Self { nodes: base.join("nodes"), trash: base.join("trash") };
        for directory in [base, &this.nodes, &this.trash] {
            match rustix::fs::mkdir(directory, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed("make", directory, errno)),
            }
        }
        Ok(this)
    }

    /// The directory of all nodes.
    pub fn nodes(&self) -> &Path {
        &self.nodes
    }

    /// The directory of a node, whether it exists or not.
    pub fn path(&self, node: NodeId) -> PathBuf {
        self.nodes.join(node.to_string())
    }

    /// Makes a new node: its directory, for us alone, and what `fill` puts
    /// there. Where that fails, the node goes at once, and only the one that was
    /// made here. Should that fail too, the engine's own clean-up meets it again
    /// and reports it.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`]; those of making a directory, and of `fill`.
    pub fn make<T>(&self, node: NodeId, fill: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        let path = self.path(node);
        match kernel_call("mkdir(2)", path.display(), || rustix::fs::mkdir(&path, Mode::RWXU)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                return Err(Error::new(ErrorKind::AlreadyExists, format!("node {node} exists already")));
            }
            Err(errno) => return Err(failed("make", &path, errno)),
        }
        fill(&path).inspect_err(|_| {
            if let Err(error) = self.delete(node) {
                crate::story!("cannot undo node {node} yet: {error}");
            }
        })
    }

    /// The directory of a node that exists.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub fn existing(&self, node: NodeId) -> Result<PathBuf> {
        let path = self.path(node);
        match rustix::fs::statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(path),
            Err(Errno::NOENT) => Err(Error::new(ErrorKind::NotFound, format!("node {node} does not exist"))),
            Err(errno) => Err(failed("look at", &path, errno)),
        }
    }

    /// Makes a node unreachable: one rename, whatever its size. A node that
    /// does not exist is no error.
    ///
    /// # Errors
    /// Those of renaming.
    pub fn delete(&self, node: NodeId) -> Result<()> {
        let (from, to) = (self.path(node), self.trash.join(node.to_string()));
        kernel_call("rename(2)", format_args!("{} to {}", from.display(), to.display()), || {
            match renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                // Deleted, brought back by a power cut, and deleted again.
                Err(Errno::EXIST) => self.remove(&self.nodes, node).map(drop),
                Err(errno) => Err(failed("delete", &from, errno)),
            }
        })
    }

    /// The numbers of all nodes that exist, in order.
    ///
    /// # Errors
    /// Those of listing a directory.
    pub fn list(&self) -> Result<Vec<NodeId>> {
        self.numbers_in(&self.nodes)
    }

    /// Removes for good what was deleted; answers how many nodes that were.
    /// Two may do it at once. One that cannot go keeps no other from going.
    ///
    /// # Errors
    /// Those of removing; a later call goes on.
    pub fn reclaim(&self) -> Result<u64> {
        let mut count = 0;
        let mut failed: Option<Error> = None;
        for node in self.numbers_in(&self.trash)? {
            match self.remove(&self.trash, node) {
                Ok(_) => count += 1,
                Err(error) => {
                    failed = Some(match failed {
                        Some(earlier) => earlier.and_also(&error),
                        None => error,
                    });
                }
            }
        }
        failed.map_or(Ok(count), Err)
    }

    fn remove(&self, directory: &Path, node: NodeId) -> Result<u64> {
        let failing = || format!("cannot remove node {node} for good from '{}'", directory.display());
        let opened = open(directory).map_err(|errno| Error::io(failing(), errno))?;
        // Digits hold no NUL.
        let name = CString::new(node.to_string()).unwrap_or_default();
        remove_tree(opened.as_fd(), &name).map_err(|error| error.context(failing()))
    }

    fn numbers_in(&self, directory: &Path) -> Result<Vec<NodeId>> {
        let listing = |errno| failed("list", directory, errno);
        let mut found = Vec::new();
        for entry in Dir::new(open(directory).map_err(listing)?).map_err(listing)? {
            let entry = entry.map_err(listing)?;
            match entry.file_name().to_str().map(str::parse) {
                Ok(Ok(number)) => found.push(NodeId(number)),
                _ if [c".", c".."].contains(&entry.file_name()) => {}
                _ => crate::story!("'{}' is not ours", entry.file_name().to_string_lossy()),
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

fn open(directory: &Path) -> rustix::io::Result<OwnedFd> {
    openat(CWD, directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn failed(operation: &str, path: &Path, errno: Errno) -> Error {
    Error::io(format_args!("cannot {operation} '{}'", path.display()), errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_made_once_deleted_at_once_and_reclaimed_later() {
        let folder = tempfile::tempdir().unwrap();
        let numbered = Numbered::open(&folder.path().join("x")).unwrap();
        let fill = |path: &Path| {
            std::fs::write(path.join("file"), "").unwrap();
            Ok(())
        };
        numbered.make(NodeId(7), fill).unwrap();
        let again = numbered.make(NodeId(7), |_| -> Result<()> { panic!("it is filled again") });
        assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
        let fails = numbered.make(NodeId(8), |_| Err::<(), _>(Error::new(ErrorKind::NoSpace, "full")));
        assert_eq!(fails.unwrap_err().kind(), ErrorKind::NoSpace);
        assert_eq!(numbered.list().unwrap(), [NodeId(7)]);
        numbered.delete(NodeId(7)).unwrap();
        numbered.delete(NodeId(7)).unwrap();
        assert_eq!(numbered.existing(NodeId(7)).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(folder.path().join("x/trash/7/file").exists());
        numbered.make(NodeId(7), fill).unwrap();
        numbered.delete(NodeId(7)).unwrap();
        assert_eq!(numbered.list().unwrap(), []);
        assert_eq!((numbered.reclaim().unwrap(), numbered.reclaim().unwrap()), (2, 0));
    }
}
