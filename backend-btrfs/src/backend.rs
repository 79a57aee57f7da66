//! The trait, implemented over subvolumes.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mocker_core::backend::{
    Access, Chain, Driver, Look, Node, NodeSet, Observed, Probe, Reclaimed, Rootfs, Seal, Sealed,
    SnapshotBackend, Then, WorkState, blocking,
};
use mocker_core::trace::kernel_call;
use mocker_core::tree::leave_out;
use mocker_core::{
    Capabilities, CommitConsistency, CommitCost, CopyupUnit, DiffCost, Error, ErrorKind, FdCoherence,
    HardlinkCopyup, LayerId, Layers, Nested, NodeId, OverlayMarks, Reclaim, RenameDir, Result, Sparse, Views,
    WorkId,
};
use rustix::fs::{Gid, Mode, Uid};

use crate::error::{During, Failure, MAKE_ROOM};
use crate::full::{self, RESERVE};
use crate::layout::{Layout, SUBVOLUME};
use crate::pool::{self, Pool};
use crate::{flatten, nested, subvolume, sys};

/// How long the space of deleted trees is waited for, by who asked for just
/// that and by who needs room.
const RECLAIM_PATIENCE: Duration = Duration::from_secs(60);
const ADMIT_PATIENCE: Duration = Duration::from_secs(10);

/// The line for the table of drivers.
pub const DRIVER: Driver = Driver {
    name: "btrfs",
    summary: "btrfs subvolumes and snapshots, in a pool file where the root is not on btrfs",
    probe,
    open: |root| Ok(Arc::new(Btrfs::open(root)?)),
};

fn probe(root: &Path) -> Probe {
    if pool::is_btrfs(root) {
        return Probe::Works(format!("'{}' is on btrfs", root.display()));
    }
    match Pool::at(root).check_host() {
        Ok(()) => Probe::Works("in a pool, a file that holds a btrfs".to_owned()),
        Err(error) => {
            Probe::Missing(error.hint().map_or_else(|| error.to_string(), |hint| format!("{error} ({hint})")))
        }
    }
}

/// The backend at one root.
#[derive(Debug, Clone)]
pub struct Btrfs {
    pub(crate) layout: Arc<Layout>,
    pool: Option<Arc<Pool>>,
}

impl Btrfs {
    /// Opens the backend below `root`. Where that is not on btrfs, its pool is
    /// attached, or made on first use.
    ///
    /// # Errors
    /// Those of the pool; [`ErrorKind::PermissionDenied`] without the rights
    /// to make directories there.
    pub fn open(root: &Path) -> Result<Self> {
        let base = root.join("btrfs");
        let pool = if pool::is_btrfs(root) {
            match rustix::fs::mkdir(&base, Mode::RWXU) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => None,
                Err(errno) => return Err(Failure::kernel("make the directory", &base, errno).into()),
            }
        } else {
            let pool = Pool::at(root);
            pool.attach()?;
            Some(Arc::new(pool))
        };
        Ok(Self { layout: Arc::new(Layout::open(&base)?), pool })
    }

    fn create_now(&self, work: WorkId, base: Option<LayerId>) -> Result<(), Failure> {
        let node = work.0;
        let source = base.map(|layer| self.layout.open_subvolume(layer.0)).transpose()?;
        let directory = self.layout.make_directory(node)?;
        let path = self.layout.subvolume(node);
        let made = match &source {
            None => self.make_empty(&directory, &path),
            Some(source) => snapshot_call(&directory, &path, source, false),
        };
        made.inspect_err(|_| self.undo(node))
    }

    fn make_empty(&self, directory: &OwnedFd, path: &Path) -> Result<(), Failure> {
        kernel_call("ioctl(BTRFS_IOC_SUBVOL_CREATE_V2)", path.display(), || {
            sys::create_subvolume(directory.as_fd(), OsStr::new(SUBVOLUME))
        })
        .during("make the subvolume", path)?;
        const DOING: &str = "set the mode of";
        let top = rustix::fs::openat(directory, SUBVOLUME, crate::layout::DIRECTORY, Mode::empty())
            .during(DOING, path)?;
        rustix::fs::fchown(&top, Some(Uid::ROOT), Some(Gid::ROOT)).during(DOING, path)?;
        rustix::fs::fchmod(&top, Mode::from_raw_mode(0o755)).during(DOING, path)
    }

    /// After a failure: what was made goes at once. Should that fail too, the
    /// engine's own clean-up meets the same node again and reports it.
    pub(crate) fn undo(&self, node: NodeId) {
        if let Err(error) = self.delete_now(node) {
            mocker_core::story!("cannot undo node {node} yet: {error}");
        }
    }

    fn snapshot_now(&self, order: &Order) -> Result<Sealed> {
        let Order { work, spare, flatten, .. } = *order;
        let top = self.layout.open_subvolume(work.0)?;
        let info = sys::subvolume_info(top.as_fd()).during("look at", &self.layout.subvolume(work.0))?;
        let since = sys::generation(top.as_fd()).during("look at", &self.layout.subvolume(work.0))?;
        let found = nested::find(top.as_fd(), info.id)?;
        if !found.is_empty() {
            if !flatten {
                let paths = found.into_iter().map(|inner| inner.path).collect();
                return Err(Failure::Nested { work, paths }.into());
            }
            if order.state != WorkState::Idle {
                return Err(Failure::FlattenInUse(work).into());
            }
        }
        let directory = self.layout.make_directory(spare)?;
        let sealed = self.seal(
            order,
            &top,
            Looked { id: info.id, made_in: info.otransid, looked_in: since },
            &directory,
            &found,
        );
        if sealed.is_err() {
            self.undo(spare);
        }
        sealed?;
        mocker_core::story!("work area {work} is frozen as layer {spare}: a snapshot, nothing was copied");
        Ok(Sealed {
            layer: LayerId(spare),
            work: match order.then {
                Then::Continue => Some(work),
                Then::Consume => None,
            },
        })
    }

    fn seal(
        &self,
        order: &Order,
        top: &OwnedFd,
        looked: Looked,
        directory: &OwnedFd,
        found: &[nested::Nested],
    ) -> Result<()> {
        let path = self.layout.subvolume(order.spare);
        // Only a snapshot that something must be changed in is born writable. Nobody else can have it
        // open, so that making it read-only afterwards is a freeze, which it would not be on a work area.
        let edit = !found.is_empty() || !order.leave_out.is_empty();
        snapshot_call(directory, &path, top, !edit)?;
        let layer = self.layout.open_top(directory, order.spare)?.ok_or(Failure::Missing(order.spare))?;
        if edit {
            flatten::flatten(top, looked.id, &layer, found)?;
            leave_out::remove_if_empty(layer.as_fd(), &order.leave_out)?;
            const DOING: &str = "freeze";
            kernel_call(
                "ioctl(BTRFS_IOC_SUBVOL_SETFLAGS)",
                format_args!("{} read-only", path.display()),
                || sys::set_read_only(layer.as_fd(), true),
            )
            .during(DOING, &path)?;
            // Everything written above reaches the disk before the layer counts.
            kernel_call("ioctl(BTRFS_IOC_SYNC)", path.display(), || sys::sync(layer.as_fd()))
                .during(DOING, &path)?;
        }
        // Nobody could make one between the look and the snapshot.
        if order.state != WorkState::Running {
            return Ok(());
        }
        let id = sys::subvolume_info(layer.as_fd()).during("look at", &path)?.id;
        // Reading all that was written since the work area was made costs time, so it is done only
        // where any subvolume at all was made meanwhile.
        if !nested::any_made_since(layer.as_fd(), id, looked.looked_in)? {
            return Ok(());
        }
        let paths = nested::placeholders(layer.as_fd(), id, looked.made_in)?;
        if paths.is_empty() { Ok(()) } else { Err(Failure::Nested { work: order.work, paths }.into()) }
    }

    fn delete_now(&self, node: NodeId) -> Result<(), Failure> {
        let Some(directory) = self.layout.open_directory(node)? else { return Ok(()) };
        subvolume::destroy(directory.as_fd(), OsStr::new(SUBVOLUME), &self.layout.subvolume(node))?;
        self.layout.remove_directory(node)
    }

    fn rootfs_now(&self, node: Node, access: Access) -> Result<PathBuf, Failure> {
        if let (Node::Layer(layer), Access::Write) = (node, access) {
            return Err(Failure::LayerForWriting(layer));
        }
        let top = self.layout.open_subvolume(node.id())?;
        let path = self.layout.subvolume(node.id());
        // Whoever owns the top of a subvolume can make it read-only from inside.
        if access == Access::Write && sys::subvolume_info(top.as_fd()).during("look at", &path)?.read_only {
            sys::set_read_only(top.as_fd(), false).during("make writable again", &path)?;
        }
        Ok(path)
    }

    /// Waits for the trees that are deleted now, not for those of others that
    /// come later.
    fn reclaim_now(&self) -> Result<Reclaimed> {
        let nodes = self.layout.open_nodes()?;
        let pending = nested::deleted(nodes.as_fd())?;
        let left = self.wait_for_cleaner(&nodes, &pending, RECLAIM_PATIENCE)?;
        if left > 0 {
            return Err(Error::new(
                ErrorKind::Busy,
                format!("{left} deleted trees still take space: something has a file of theirs open, or is in them"),
            )
            .with_hint("the space comes back when that ends"));
        }
        sys::sync(nodes.as_fd()).during("sync", self.layout.nodes())?;
        Ok(Reclaimed { nodes: pending.len() as u64 })
    }

    /// Makes the kernel's cleaner work, and waits until none of these deleted
    /// trees is left, or for so long; answers how many are.
    fn wait_for_cleaner(
        &self,
        nodes: &OwnedFd,
        pending: &BTreeSet<u64>,
        patience: Duration,
    ) -> Result<usize> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            let left = nested::deleted(nodes.as_fd())?.intersection(pending).count();
            if left == 0 || started.elapsed() > patience {
                return Ok(left);
            }
            // The commit wakes the cleaner, which otherwise sleeps for up to 30 s.
            sys::sync(nodes.as_fd()).during("sync", self.layout.nodes())?;
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    fn admit_now(&self, bytes: u64) -> Result<()> {
        let look = || full::look(self.layout.nodes(), bytes.saturating_add(RESERVE));
        let (mut full, mut room) = look()?;
        if full.is_some() {
            // What was removed a moment ago may just not be free yet.
            let nodes = self.layout.open_nodes()?;
            let pending = nested::deleted(nodes.as_fd())?;
            if !pending.is_empty() {
                self.wait_for_cleaner(&nodes, &pending, ADMIT_PATIENCE)?;
                sys::sync(nodes.as_fd()).during("sync", self.layout.nodes())?;
                (full, room) = look()?;
            }
        }
        if let Some(full) = full {
            let way = match self.pool {
                Some(_) => MAKE_ROOM,
                None => "remove images or containers with 'mocker rm', or free space on this btrfs",
            };
            return Err(Error::new(ErrorKind::NoSpace, format!("{full}: {} MiB are free", room >> 20))
                .with_hint(full.hint(way, self.layout.nodes())));
        }
        self.pool.as_ref().map_or(Ok(()), |pool| pool.admit(bytes))
    }
}

pub(crate) fn snapshot_call(
    directory: &OwnedFd,
    path: &Path,
    source: &OwnedFd,
    read_only: bool,
) -> Result<(), Failure> {
    let how = if read_only { "read-only" } else { "writable" };
    kernel_call("ioctl(BTRFS_IOC_SNAP_CREATE_V2)", format_args!("{} {how}", path.display()), || {
        sys::create_snapshot(directory.as_fd(), OsStr::new(SUBVOLUME), source.as_fd(), read_only)
    })
    .during("make the snapshot", path)
}

/// What was seen of a work area before its snapshot.
#[derive(Clone, Copy)]
struct Looked {
    /// The number of its tree.
    id: u64,
    /// The transaction that made it.
    made_in: u64,
    /// The transaction that ran when nested subvolumes were looked for.
    looked_in: u64,
}

/// [`Seal`] without its borrows.
struct Order {
    work: WorkId,
    state: WorkState,
    spare: NodeId,
    then: Then,
    flatten: bool,
    leave_out: Vec<leave_out::LeaveOut>,
}

#[async_trait]
impl SnapshotBackend for Btrfs {
    fn name(&self) -> &'static str {
        DRIVER.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::minimal()
            .layers(Layers::Whole)
            .views(Views::ReadOnly)
            .commit_cost(CommitCost::Constant)
            .commit_running(CommitConsistency::Atomic)
            .diff_cost(DiffCost::Changes)
            .usage_exact(true)
            .nested(Nested::Flattened)
            .reclaim(Reclaim::FileSystem)
            .rename_dir(RenameDir::Native)
            .hardlink_copyup(HardlinkCopyup::Keep)
            .sparse(Sparse::Kept)
            .inode_stable(true)
            .fd_coherent(FdCoherence::Full)
            .overlay_marks(OverlayMarks::Kept)
            .copyup_unit(CopyupUnit::Nothing)
            .metadata_change_copies_data(false)
    }

    async fn admit(&self, bytes: u64) -> Result<()> {
        let this = self.clone();
        blocking(move || this.admit_now(bytes)).await
    }

    async fn create(&self, work: WorkId, base: &Chain) -> Result<()> {
        let (this, tip) = (self.clone(), base.tip());
        blocking(move || Ok(this.create_now(work, tip)?)).await
    }

    async fn persist(&self, _node: Node) -> Result<()> {
        // The kernel commits a snapshot to the disk, with everything in it, before it answers.
        Ok(())
    }

    async fn snapshot(&self, seal: Seal<'_>) -> Result<Sealed> {
        let this = self.clone();
        let order = Order {
            work: seal.work,
            state: seal.state,
            spare: seal.spare,
            then: seal.then,
            flatten: seal.flatten,
            leave_out: seal.leave_out.to_vec(),
        };
        blocking(move || this.snapshot_now(&order)).await
    }

    async fn delete(&self, node: NodeId) -> Result<()> {
        let this = self.clone();
        blocking(move || Ok(this.delete_now(node)?)).await
    }

    async fn rootfs(&self, node: Node, _base: &Chain, access: Access) -> Result<Rootfs> {
        let this = self.clone();
        blocking(move || Ok(Rootfs::Directory(this.rootfs_now(node, access)?))).await
    }

    async fn observe(&self, look: Look<'_>) -> Result<Observed> {
        let this = self.clone();
        let Look { node, since, state, scratch, .. } = look;
        blocking(move || this.observe_now(node, since, state, scratch)).await
    }

    async fn usage(&self, sets: &[NodeSet]) -> Result<Vec<Option<u64>>> {
        let (this, sets) = (self.clone(), sets.to_vec());
        blocking(move || Ok(this.usage_now(&sets)?)).await
    }

    async fn reclaim(&self) -> Result<Reclaimed> {
        let this = self.clone();
        blocking(move || this.reclaim_now()).await
    }

    async fn list(&self) -> Result<Vec<NodeId>> {
        let this = self.clone();
        blocking(move || Ok(this.layout.list()?)).await
    }
}
