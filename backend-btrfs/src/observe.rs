//! Naming a tree for being compared, with the places where it may differ.
//!
//! The search for these sees what the kernel has put into its trees. What was
//! written to a file and waits in the page cache is not there, nor is what waits
//! in the queue of delayed inodes; `START_SYNC` writes the second and not the
//! first, so that a file that was only written over would be missed (measured on
//! Linux 6.18). A snapshot writes both, for its own source alone; `SYNC` writes
//! them for the whole file system, whoever fills it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use mocker_core::Result;
use mocker_core::backend::{Candidates, LayerId, Node, NodeId, Observed, Rootfs, WorkId, WorkState};
use mocker_core::trace::kernel_call;

use crate::backend::{Btrfs, snapshot_call};
use crate::error::{During, Failure};
use crate::sys::SubvolumeInfo;
use crate::{changes, nested, sys};

/// A subvolume that is open.
struct Tree {
    path: PathBuf,
    top: OwnedFd,
    info: SubvolumeInfo,
}

impl Btrfs {
    pub(crate) fn observe_now(
        &self,
        node: Node,
        since: Option<LayerId>,
        state: WorkState,
        scratch: Option<NodeId>,
    ) -> Result<Observed> {
        let tree = self.tree(node.id())?;
        let since = self.tree_since(since)?;
        let Node::Work(work) = node else {
            return Ok(observed(&tree, candidates(&tree, &tree.info, since.as_ref())?, true));
        };
        let idle = state == WorkState::Idle;
        let nested = nested::find(tree.top.as_fd(), tree.info.id)?;
        if let (Some(scratch), true) = (scratch, nested.is_empty() && (since.is_some() || !idle)) {
            let frozen = self.freeze(work, &tree, scratch)?;
            let candidates = candidates(&frozen, &tree.info, since.as_ref());
            let seen = observed(&frozen, candidates.inspect_err(|_| self.undo(scratch))?, true);
            return Ok(Observed { scratch_used: true, ..seen });
        }
        for inner in &nested {
            // A snapshot would show nothing of what is in it.
            mocker_core::story!("/{} is a subvolume: looking at the work area itself", inner.path.display());
        }
        if !idle {
            return Ok(observed(&tree, Candidates::ALL, false));
        }
        if since.is_some() {
            kernel_call("ioctl(BTRFS_IOC_SYNC)", tree.path.display(), || sys::sync(tree.top.as_fd()))
                .during("sync", &tree.path)?;
        }
        // The entry that leads to a subvolume is one, with all beneath it.
        Ok(observed(&tree, candidates(&tree, &tree.info, since.as_ref())?, true))
    }

    fn tree(&self, node: NodeId) -> Result<Tree, Failure> {
        let top = self.layout.open_subvolume(node)?;
        let path = self.layout.subvolume(node);
        let info = sys::subvolume_info(top.as_fd()).during("look at", &path)?;
        Ok(Tree { path, top, info })
    }

    /// The layer since which changes are wanted, if there still is one.
    fn tree_since(&self, since: Option<LayerId>) -> Result<Option<Tree>, Failure> {
        match since.map(|layer| self.tree(layer.0)).transpose() {
            Err(Failure::Missing(layer)) => {
                mocker_core::story!("layer {layer} is gone: nothing says what was changed since");
                Ok(None)
            }
            found => found,
        }
    }

    /// The tree as it is at this moment.
    fn freeze(&self, work: WorkId, tree: &Tree, scratch: NodeId) -> Result<Tree, Failure> {
        let directory = self.layout.make_directory(scratch)?;
        let made = snapshot_call(&directory, &self.layout.subvolume(scratch), &tree.top, true);
        let frozen = made.and_then(|()| self.tree(scratch)).inspect_err(|_| self.undo(scratch))?;
        mocker_core::story!("work area {work} is looked at in a snapshot of this moment, {scratch}");
        Ok(frozen)
    }
}

fn observed(tree: &Tree, candidates: Candidates, frozen: bool) -> Observed {
    Observed { view: Rootfs::Directory(tree.path.clone()), candidates, scratch_used: false, frozen }
}

/// Where a view may differ from a layer. `made` says how the node was made that it
/// is a view of.
fn candidates(view: &Tree, made: &SubvolumeInfo, since: Option<&Tree>) -> Result<Candidates, Failure> {
    let Some(since) = since else { return Ok(Candidates::ALL) };
    let tree = SubvolumeInfo { id: view.info.id, ..*made };
    let on = view.top.as_fd();
    let arguments = format_args!("{}, since {}", view.path.display(), since.path.display());
    match kernel_call("ioctl(BTRFS_IOC_TREE_SEARCH_V2)", arguments, || {
        changes::find(&on, &tree, &since.info)
    })? {
        Some(found) => Ok(Candidates::Paths(found)),
        None => {
            mocker_core::story!("{} is none of its ancestors", since.path.display());
            Ok(Candidates::ALL)
        }
    }
}
