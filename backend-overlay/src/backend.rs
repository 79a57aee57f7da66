//! The trait, implemented over uppers and layers.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use mocker_core::backend::{
    Access, Candidates, Chain, Driver, Look, Node, NodeSet, Observed, Probe, Reclaimed, Rootfs, Seal, Sealed,
    SnapshotBackend, Then, WorkState, blocking,
};
use mocker_core::tree::leave_out::LeaveOut;
use mocker_core::{
    Capabilities, CommitConsistency, CommitCost, CopyupUnit, DiffCost, Error, ErrorKind, FdCoherence,
    HardlinkCopyup, LayerId, Layers, NodeId, RenameDir, Result, Sparse, Views, WorkId, mount,
};

use crate::layout::Layout;
use crate::{changes, kernel, probe};

/// The line for the table of drivers.
pub const DRIVER: Driver = Driver {
    name: "overlay",
    summary: "kernel overlayfs: layers are differences, and a commit swaps roles",
    probe: probe::probe,
    open: |root| Ok(Arc::new(Overlay::open(root)?)),
};

/// The backend at one root.
#[derive(Debug, Clone)]
pub struct Overlay {
    layout: Arc<Layout>,
    /// Found out when it is first asked for.
    copyup_unit: Arc<OnceLock<CopyupUnit>>,
}

impl Overlay {
    /// Opens the backend below `root`. The first time, a trial finds out
    /// whether overlayfs works there.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with what is missing; those of making
    /// directories there.
    pub fn open(root: &Path) -> Result<Self> {
        if !root.join("overlay").is_dir()
            && let Probe::Missing(why) = probe::probe(root)
        {
            return Err(Error::new(ErrorKind::Unsupported, format!("overlay does not work here: {why}"))
                .with_hint("choose another backend with --backend, or another root with --root"));
        }
        Ok(Self { layout: Arc::new(Layout::open(root)?), copyup_unit: Arc::default() })
    }

    fn snapshot_now(&self, order: &Order) -> Result<Sealed> {
        let Order { work, spare, state, then, .. } = *order;
        let sealed = match (then, state) {
            (_, WorkState::Running) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("work area {work} cannot become a layer while somebody writes into it"),
                ));
            }
            (Then::Consume, _) => self
                .layout
                .consume(work, spare, &order.leave_out)
                .map(|()| Sealed { layer: LayerId(work.0), work: None }),
            (Then::Continue, WorkState::Idle) => self
                .layout
                .flip(work, spare, &order.leave_out)
                .map(|()| Sealed { layer: LayerId(work.0), work: Some(WorkId(spare)) }),
            (Then::Continue, WorkState::Paused) => self
                .layout
                .copy_upper(work, spare, &order.leave_out)
                .map(|()| Sealed { layer: LayerId(spare), work: Some(work) }),
        }?;
        if sealed.layer.0 == work.0 {
            mocker_core::story!("the upper of work area {work} is a layer from now on: nothing was copied");
        }
        Ok(sealed)
    }

    fn copyup_unit(&self) -> CopyupUnit {
        *self.copyup_unit.get_or_init(|| kernel::copyup_unit(self.layout.numbered.nodes()))
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
impl SnapshotBackend for Overlay {
    fn name(&self) -> &'static str {
        DRIVER.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::minimal()
            .layers(Layers::Delta)
            .views(Views::ReadOnly)
            .commit_cost(CommitCost::Constant)
            .diff_cost(DiffCost::Changes)
            .commit_running(CommitConsistency::Paused)
            // A work area over them is read as one layer more.
            .max_depth(mount::MOST_LAYERS - 1)
            .usage_exact(self.layout.numbered.usage_exact())
            .rename_dir(RenameDir::Exdev)
            .hardlink_copyup(HardlinkCopyup::Break)
            .sparse(Sparse::Filled)
            .inode_stable(true)
            .fd_coherent(FdCoherence::Reads)
            .overlay_marks(kernel::overlay_marks())
            .copyup_unit(self.copyup_unit())
            // `metacopy=off`: nothing is copied up by halves.
            .metadata_change_copies_data(true)
    }

    async fn admit(&self, bytes: u64) -> Result<()> {
        let this = self.clone();
        blocking(move || this.layout.numbered.admit(bytes)).await
    }

    async fn create(&self, work: WorkId, base: &Chain) -> Result<()> {
        let (this, base) = (self.clone(), base.clone());
        blocking(move || this.layout.make_upper(work.0, &base)).await
    }

    async fn persist(&self, node: Node) -> Result<()> {
        let this = self.clone();
        blocking(move || match node {
            Node::Layer(layer) => this.layout.numbered.sync_file_system(layer.0),
            Node::Work(work) => this.layout.numbered.sync_directory(work.0),
        })
        .await
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
        blocking(move || this.layout.numbered.delete(node)).await
    }

    async fn rootfs(&self, node: Node, base: &Chain, access: Access) -> Result<Rootfs> {
        let layout = &self.layout;
        layout.numbered.existing(node.id())?;
        layout.require(base)?;
        let plan = match (node, access) {
            (Node::Layer(layer), Access::Write) => {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!("layer {layer} cannot be written to"),
                ));
            }
            (Node::Work(work), Access::Write) => layout.writable(work, base),
            (Node::Layer(_), Access::Read) => layout.readable(base.layers()),
            // The upper as the topmost lower: never a second mount that has it as upper.
            (Node::Work(work), Access::Read) => {
                let layers: Vec<_> = base.layers().iter().copied().chain([LayerId(work.0)]).collect();
                layout.readable(&layers)
            }
        };
        Ok(Rootfs::Overlay(plan))
    }

    async fn observe(&self, look: Look<'_>) -> Result<Observed> {
        let view = self.rootfs(look.node, look.base, Access::Read).await?;
        let this = self.clone();
        let candidates = match changes::nodes_since(&look) {
            Some(nodes) => blocking(move || this.layout.candidates(&nodes)).await?,
            None => Candidates::ALL,
        };
        let frozen = look.state == WorkState::Idle || matches!(look.node, Node::Layer(_));
        Ok(Observed { view, candidates, scratch_used: false, frozen })
    }

    async fn usage(&self, sets: &[NodeSet]) -> Result<Vec<Option<u64>>> {
        let (this, sets) = (self.clone(), sets.to_vec());
        blocking(move || this.layout.numbered.usage(&sets)).await
    }

    async fn reclaim(&self) -> Result<Reclaimed> {
        let this = self.clone();
        blocking(move || Ok(Reclaimed { nodes: this.layout.numbered.reclaim()? })).await
    }

    async fn list(&self) -> Result<Vec<NodeId>> {
        let this = self.clone();
        blocking(move || this.layout.numbered.list()).await
    }
}
