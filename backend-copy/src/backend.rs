//! The trait, implemented by copying.

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
    Nested, NodeId, OverlayMarks, RenameDir, Result, Sparse, WorkId,
};

use crate::equal;

/// The line for the table of drivers.
pub const DRIVER: Driver = Driver {
    name: "copy",
    summary: "whole copies of plain directories, on any file system; the reference for the others",
    probe: |root| match refuse_without_root() {
        Ok(()) => Probe::Works(format!("copies below '{}'", root.display())),
        Err(error) => Probe::Missing(format!("{error} (run as root, for example with sudo)")),
    },
    open: |root| Ok(Arc::new(Copies::open(root)?)),
};

/// A copy that loses owners and devices is none.
fn refuse_without_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::PermissionDenied, "keeping owners and devices in a copy needs root")
        .with_hint("run as root, for example with sudo"))
}

/// The backend at one root.
#[derive(Debug, Clone)]
pub struct Copies {
    nodes: Arc<Numbered>,
    nested: Nested,
    sparse: Sparse,
}

/// What a directory on these is told by (linux/magic.h).
const BTRFS_SUPER_MAGIC: u32 = 0x9123_683E;
const XFS_SUPER_MAGIC: u32 = 0x5846_5342;

/// What follows from the file system that the trees lie on.
///
/// On btrfs a container can make subvolumes in any directory that it owns. XFS
/// takes 32 blocks for the first write to a block that is shared
/// (`xfs_get_cowextsz_hint` of fs/xfs/xfs_inode.c), and what it takes shows as data.
fn by_file_system(nodes: &Path) -> Result<(Nested, Sparse)> {
    let found = rustix::fs::statfs(nodes).map_err(|errno| {
        Error::io(format_args!("cannot look at the file system of '{}'", nodes.display()), errno)
    })?;
    Ok(match u32::try_from(found.f_type) {
        Ok(BTRFS_SUPER_MAGIC) => (Nested::Copied, Sparse::Kept),
        Ok(XFS_SUPER_MAGIC) => (Nested::Impossible, Sparse::Filled),
        _ => (Nested::Impossible, Sparse::Kept),
    })
}

impl Copies {
    /// Opens the backend below `root`.
    ///
    /// # Errors
    /// Those of making directories there.
    pub fn open(root: &Path) -> Result<Self> {
        refuse_without_root()?;
        let nodes = Numbered::open(&root.join(DRIVER.name))?;
        let (nested, sparse) = by_file_system(nodes.nodes())?;
        Ok(Self { nodes: Arc::new(nodes), nested, sparse })
    }

    fn create_now(&self, work: WorkId, base: Option<LayerId>) -> Result<()> {
        match base {
            None => self.nodes.make_tree(work.0, |_| Ok(())),
            Some(layer) => {
                self.copy(layer.0, work.0, &[], || Ok(()))?;
                // From here on, what changes in it is younger than this.
                equal::mark(&self.nodes, work.0, layer.0)
            }
        }
    }

    /// Makes the node `to` with a copy of the tree of `from`, without what is to
    /// be left out; `begin` is called before anything is read.
    fn copy(
        &self,
        from: NodeId,
        to: NodeId,
        targets: &[LeaveOut],
        begin: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let source = self.nodes.open_tree(from)?;
        self.nodes.make_tree(to, |destination| {
            begin()?;
            let copied = copy_tree(source.as_fd(), destination, &Unwatched)
                .map_err(|error| error.context(format_args!("cannot copy node {from}")))?;
            mocker_core::story!(
                "copied node {from} to node {to}: {} entries, {} bytes shared by reflink, {} bytes copied",
                copied.entries,
                copied.reflinked,
                copied.bytes
            );
            leave_out::remove_if_empty(destination, targets).map(drop)
        })
    }

    fn snapshot_now(&self, order: &Order) -> Result<Sealed> {
        let Order { work, spare, then, .. } = *order;
        if then == Then::Consume {
            let tree = self.nodes.open_tree(work.0)?;
            leave_out::remove_if_empty(tree.as_fd(), &order.leave_out)?;
            mocker_core::story!("work area {work} is a layer from now on: nothing was copied");
            return Ok(Sealed { layer: LayerId(work.0), work: None });
        }
        if order.state == WorkState::Running {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("work area {work} cannot be copied while somebody writes into it"),
            ));
        }
        // Of a paused container, what a process has mapped may change without getting younger.
        let mark = || match order.state {
            WorkState::Idle => equal::mark(&self.nodes, spare, work.0),
            _ => Ok(()),
        };
        self.copy(work.0, spare, &order.leave_out, mark)?;
        Ok(Sealed { layer: LayerId(spare), work: Some(work) })
    }
}

/// [`Seal`] without its borrows.
struct Order {
    work: WorkId,
    state: WorkState,
    spare: NodeId,
    then: Then,
    leave_out: Vec<LeaveOut>,
}

#[async_trait]
impl SnapshotBackend for Copies {
    fn name(&self) -> &'static str {
        DRIVER.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::minimal()
            .commit_running(CommitConsistency::Paused)
            .nested(self.nested)
            .usage_exact(self.nodes.usage_exact())
            .rename_dir(RenameDir::Native)
            .hardlink_copyup(HardlinkCopyup::Keep)
            .sparse(self.sparse)
            .inode_stable(true)
            .fd_coherent(FdCoherence::Full)
            .overlay_marks(OverlayMarks::Kept)
            .copyup_unit(CopyupUnit::Nothing)
            .metadata_change_copies_data(false)
    }

    async fn admit(&self, bytes: u64) -> Result<()> {
        let this = self.clone();
        blocking(move || this.nodes.admit(bytes)).await
    }

    async fn create(&self, work: WorkId, base: &Chain) -> Result<()> {
        let (this, tip) = (self.clone(), base.tip());
        blocking(move || this.create_now(work, tip)).await
    }

    async fn persist(&self, node: Node) -> Result<()> {
        let this = self.clone();
        // A work area holds what was copied into it, not what its container wrote alone.
        blocking(move || this.nodes.sync_file_system(node.id())).await
    }

    async fn snapshot(&self, seal: Seal<'_>) -> Result<Sealed> {
        let this = self.clone();
        let order = Order {
            work: seal.work,
            state: seal.state,
            spare: seal.spare,
            then: seal.then,
            leave_out: seal.leave_out.to_vec(),
        };
        blocking(move || this.snapshot_now(&order)).await
    }

    async fn delete(&self, node: NodeId) -> Result<()> {
        let this = self.clone();
        blocking(move || this.nodes.delete(node)).await
    }

    async fn rootfs(&self, node: Node, _base: &Chain, access: Access) -> Result<Rootfs> {
        if let (Node::Layer(layer), Access::Write) = (node, access) {
            return Err(Error::new(ErrorKind::InvalidInput, format!("layer {layer} cannot be written to")));
        }
        let this = self.clone();
        blocking(move || {
            this.nodes.existing(node.id())?;
            Ok(Rootfs::Directory(this.nodes.tree(node.id())))
        })
        .await
    }

    async fn observe(&self, look: Look<'_>) -> Result<Observed> {
        let view = self.rootfs(look.node, look.base, Access::Read).await?;
        let this = self.clone();
        let (node, since) = (look.node, look.since);
        let unchanged_before = blocking(move || match since {
            Some(layer) => equal::since(&this.nodes, node.id(), layer.0),
            None => Ok(None),
        })
        .await?;
        let candidates = Candidates::Everything { unchanged_before };
        Ok(Observed { view, candidates, scratch_used: false, frozen: look.state == WorkState::Idle })
    }

    async fn usage(&self, sets: &[NodeSet]) -> Result<Vec<Option<u64>>> {
        let (this, sets) = (self.clone(), sets.to_vec());
        blocking(move || this.nodes.usage(&sets)).await
    }

    async fn reclaim(&self) -> Result<Reclaimed> {
        let this = self.clone();
        blocking(move || Ok(Reclaimed { nodes: this.nodes.reclaim()? })).await
    }

    async fn list(&self) -> Result<Vec<NodeId>> {
        let this = self.clone();
        blocking(move || this.nodes.list()).await
    }
}
