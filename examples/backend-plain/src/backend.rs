//! The trait, implemented by whole copies.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use mocker_core::backend::{
    Access, Candidates, Chain, Driver, Look, Node, NodeSet, Observed, Probe, Reclaimed, Rootfs, Seal, Sealed,
    SnapshotBackend, Then, WorkState, blocking,
};
use mocker_core::numbered::Numbered;
use mocker_core::tree::copy::{Unwatched, copy_tree};
use mocker_core::tree::leave_out::{self, LeaveOut};
use mocker_core::{
    Capabilities, CommitConsistency, CopyupUnit, Error, ErrorKind, FdCoherence, HardlinkCopyup, LayerId,
    NodeId, OverlayMarks, RenameDir, Result, Sparse, WorkId, story,
};

/// The line for the table of drivers.
pub const DRIVER: Driver = Driver {
    name: "plain",
    summary: "an example: whole copies, and nothing else",
    probe: |root| {
        if rustix::process::geteuid().is_root() {
            return Probe::Works(format!("copies below '{}'", root.display()));
        }
        Probe::Missing("keeping owners and devices in a copy needs root (run it with sudo)".to_owned())
    },
    open: |root| match (DRIVER.probe)(root) {
        Probe::Works(_) => Ok(Arc::new(Plain::at(&root.join(DRIVER.name))?)),
        Probe::Missing(why) => Err(Error::new(ErrorKind::PermissionDenied, why).with_hint("run as root")),
    },
};

/// The backend at one root: `<root>/plain/nodes/<number>/fs`.
#[derive(Debug, Clone)]
pub struct Plain(Numbered);

impl Plain {
    /// The backend in this directory, which is made where it is missing.
    ///
    /// # Errors
    /// Those of making directories.
    pub fn at(directory: &Path) -> Result<Self> {
        Ok(Self(Numbered::open(directory)?))
    }

    /// Makes the node `to` with the same tree as `from`, without what is to be
    /// left out.
    fn copy(&self, from: NodeId, to: NodeId, leave_out: &[LeaveOut]) -> Result<()> {
        // First of all, so that nothing is made where there is nothing to copy.
        let source = self.0.open_tree(from)?;
        self.0.make_tree(to, |destination| {
            let copied = copy_tree(source.as_fd(), destination, &Unwatched)
                .map_err(|error| error.context(format_args!("cannot copy node {from}")))?;
            story!("copied node {from} to node {to}: {} entries", copied.entries);
            leave_out::remove_if_empty(destination, leave_out).map(drop)
        })
    }

    /// The layer that a work area becomes, or gets a copy of itself as.
    fn freeze(&self, work: WorkId, spare: NodeId, then: Then, leave_out: &[LeaveOut]) -> Result<Sealed> {
        if then == Then::Continue {
            self.copy(work.0, spare, leave_out)?;
            return Ok(Sealed { layer: LayerId(spare), work: Some(work) });
        }
        leave_out::remove_if_empty(self.0.open_tree(work.0)?.as_fd(), leave_out)?;
        story!("work area {work} is a layer from now on: nothing was copied");
        Ok(Sealed { layer: LayerId(work.0), work: None })
    }
}

#[async_trait]
impl SnapshotBackend for Plain {
    fn name(&self) -> &'static str {
        DRIVER.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::minimal()
            .commit_running(CommitConsistency::Paused)
            .usage_exact(self.0.usage_exact())
            .rename_dir(RenameDir::Native)
            .hardlink_copyup(HardlinkCopyup::Keep)
            // A copy has the holes of its source. But xfs, which shares data with it, may show
            // some of them as data once one or the other is changed.
            .sparse(Sparse::Filled)
            // A work area has files of its own from the start, and its own file system has them.
            .inode_stable(true)
            .fd_coherent(FdCoherence::Full)
            .overlay_marks(OverlayMarks::Kept)
            .copyup_unit(CopyupUnit::Nothing)
            .metadata_change_copies_data(false)
    }

    async fn admit(&self, bytes: u64) -> Result<()> {
        let this = self.clone();
        blocking(move || this.0.admit(bytes)).await
    }

    async fn create(&self, work: WorkId, base: &Chain) -> Result<()> {
        let (this, tip) = (self.clone(), base.tip());
        blocking(move || match tip {
            None => this.0.make_tree(work.0, |_| Ok(())),
            Some(layer) => this.copy(layer.0, work.0, &[]),
        })
        .await
    }

    async fn snapshot(&self, seal: Seal<'_>) -> Result<Sealed> {
        if seal.state == WorkState::Running {
            let what = format!("work area {} cannot be copied while somebody writes into it", seal.work);
            return Err(Error::new(ErrorKind::Unsupported, what));
        }
        let (this, leave_out) = (self.clone(), seal.leave_out.to_vec());
        let Seal { work, spare, then, .. } = seal;
        blocking(move || this.freeze(work, spare, then, &leave_out)).await
    }

    async fn persist(&self, node: Node) -> Result<()> {
        let this = self.clone();
        // A work area holds what was copied into it, not what its container wrote alone.
        blocking(move || this.0.sync_file_system(node.id())).await
    }

    async fn delete(&self, node: NodeId) -> Result<()> {
        let this = self.clone();
        blocking(move || this.0.delete(node)).await
    }

    async fn rootfs(&self, node: Node, _base: &Chain, access: Access) -> Result<Rootfs> {
        if let (Node::Layer(layer), Access::Write) = (node, access) {
            return Err(Error::new(ErrorKind::InvalidInput, format!("layer {layer} cannot be written to")));
        }
        let this = self.clone();
        blocking(move || {
            this.0.existing(node.id())?;
            Ok(Rootfs::Directory(this.0.tree(node.id())))
        })
        .await
    }

    async fn observe(&self, look: Look<'_>) -> Result<Observed> {
        let view = self.rootfs(look.node, look.base, Access::Read).await?;
        Ok(Observed {
            view,
            candidates: Candidates::ALL,
            scratch_used: false,
            frozen: look.state == WorkState::Idle,
        })
    }

    async fn usage(&self, sets: &[NodeSet]) -> Result<Vec<Option<u64>>> {
        let (this, sets) = (self.clone(), sets.to_vec());
        blocking(move || this.0.usage(&sets)).await
    }

    async fn reclaim(&self) -> Result<Reclaimed> {
        let this = self.clone();
        blocking(move || Ok(Reclaimed { nodes: this.0.reclaim()? })).await
    }

    async fn list(&self) -> Result<Vec<NodeId>> {
        let this = self.clone();
        blocking(move || this.0.list()).await
    }
}
