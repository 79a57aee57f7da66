//! The trait that a storage driver implements, and the words it speaks.
//!
//! A **node** is one numbered directory or subvolume that a backend holds. A
//! node plays one of two roles. A **layer** is an immutable tree. A **work
//! area** is a writable tree over a **chain** of layers, base first. The number
//! of a node never changes and is never used again; its role can change, and
//! [`Sealed`] says so when it does.
//!
//! The life of a node, as the engine drives it: `create` makes a work area
//! over a chain; somebody writes into the tree that `rootfs` names;
//! `snapshot` freezes it into a layer, with the work area living on
//! ([`Then::Continue`]) or ending there ([`Then::Consume`]); `delete` makes a
//! node unreachable and `reclaim` sees its space come back. Importing a
//! directory is `create` over the empty chain, a copy into `rootfs`, and
//! `snapshot` with `Consume`. Running a command is `create` over an image's
//! chain. Committing is `snapshot`.
//!
//! A backend holds bytes. It knows no names, no parents, no labels and no
//! times: the engine hands it the chain with every call. It decides nothing
//! about concurrency either: the engine never runs two calls at once that name
//! the same node, except that it may read a layer from many calls.
//!
//! The statements under each method are its contract. Each one ends with the
//! id of the case in the conformance kit that proves it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

pub use crate::blocking::{blocking, complete};
pub use crate::capability::{
    Capabilities, CommitConsistency, CommitCost, CopyupUnit, DiffCost, FdCoherence, HardlinkCopyup, Layers,
    Nested, OverlayMarks, Reclaim, RenameDir, Sparse, Views,
};
pub use crate::change::{Candidate, Candidates, Look, Observed};
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::id::{Chain, LayerId, Node, NodeId, WorkId};
pub use crate::tree::leave_out::LeaveOut;

/// A storage driver: create, snapshot, delete, and what the engine needs to
/// see of the trees.
///
/// Each method does its work in one closure (see [`blocking`]), so a future that is dropped leaves either nothing or a
/// finished node that no record refers to, which a later sweep deletes (K1).
#[async_trait]
pub trait SnapshotBackend: fmt::Debug + Send + Sync + 'static {
    /// The name by which the command line and the store know this driver.
    fn name(&self) -> &'static str;

    /// What this backend declares about itself, for this root on this kernel.
    fn capabilities(&self) -> Capabilities;

    /// Refuses with [`ErrorKind::NoSpace`] where the store could not grow by
    /// `bytes`.
    ///
    /// - Called before every verb that grows the store, and again while one
    ///   goes on growing it; cheap enough for that (one `statfs`) (C11).
    /// - Counts the host file system beneath an embedded pool too, because a
    ///   sparse pool that cannot grow loses what was not yet synced (C11, U6).
    async fn admit(&self, bytes: u64) -> Result<()>;

    /// Makes the work area `work` over `base`.
    ///
    /// - The tree equals that of the chain's tip in everything the oracle
    ///   compares: type, mode, ids, size, content, mtime in ns, xattrs and
    ///   ACLs, rdev, link groups, link targets and holes (L1, F1–F35).
    /// - Over the empty chain it is an empty directory, 0755 0:0, whatever the
    ///   umask (L10).
    /// - Two work areas over one chain never see each other's changes, nor
    ///   does the chain (L14).
    /// - A number in use is refused with [`ErrorKind::AlreadyExists`]; the
    ///   node that has it is unchanged, whatever else is wrong with the call
    ///   (L2).
    /// - A layer that the tree needs and that does not exist is refused with
    ///   [`ErrorKind::NotFound`] and nothing is made. Needed is the tip, and the
    ///   whole chain where [`Layers::Delta`] is declared (L4).
    /// - On an error, and after a crash, nothing is left that `delete` of
    ///   `work` does not remove (K1).
    async fn create(&self, work: WorkId, base: &Chain) -> Result<()>;

    /// Freezes a work area into a layer.
    ///
    /// - The layer is what the tree was at one instant; how that holds for a
    ///   running container is declared in [`Capabilities::commit_running`]
    ///   (C1, C3). In a state that is not declared it is refused with
    ///   [`ErrorKind::Unsupported`], though the engine does not ask for that
    ///   (C3).
    /// - Later writes to a work area that lives on never reach the layer, not
    ///   even through a descriptor or a mapping opened before. Where such a one
    ///   is open although the work area is said to be idle, that holds too, or
    ///   [`ErrorKind::Busy`] says so. That nobody holds one that ends is the
    ///   engine's promise: it may become the layer itself (L13).
    /// - With [`Then::Continue`] the work area lives on under the number that
    ///   [`Sealed::work`] names, its tree unchanged; it may lack what
    ///   [`Seal::leave_out`] leaves out of the layer (C1).
    /// - A `spare` in use is refused with [`ErrorKind::AlreadyExists`], unless
    ///   none is needed, and what has the number is unchanged (L2); a work area
    ///   that does not exist is [`ErrorKind::NotFound`] (L4).
    /// - With [`Then::Consume`] no file data is copied, and `Sealed::work` is
    ///   `None`: whichever of the two nodes is not the layer is the engine's
    ///   to delete, after its commit point (L1).
    /// - Until the engine's commit point both numbers can be deleted and the
    ///   old state stands: no existing node is altered in place (K1, C9).
    /// - The cost does not depend on how much was changed and is on disk
    ///   already, nor on the size of the tree, where
    ///   [`Capabilities::commit_cost`] says so (C5, C6).
    /// - A volume nested in the work area is refused with
    ///   [`ErrorKind::Conflict`], its paths in the message, or flattened where
    ///   [`Seal::flatten`] asks for it: never an empty directory in its place
    ///   (R3).
    /// - The layer lacks every path of [`Seal::leave_out`] that is still
    ///   empty, and the times of its parent are as if it had never been (D10).
    /// - On an error nothing is left but what `delete` of `spare` removes, and
    ///   the work area is as it was (C9, C11).
    async fn snapshot(&self, seal: Seal<'_>) -> Result<Sealed>;

    /// Makes sure that a node survives a power cut.
    ///
    /// - Called for every layer between `snapshot` and the engine's commit
    ///   point: once it returned, the layer is on the disk whole (K2).
    /// - Called for the work area of a container that stays, before it is
    ///   recorded: it exists after a power cut, with the whole tree of its
    ///   chain in it. What its command writes later is as durable as the command
    ///   makes it (K2).
    async fn persist(&self, node: Node) -> Result<()>;

    /// Removes a node, whatever its role.
    ///
    /// - Walks nothing, and the number is free at once. The space comes back
    ///   later; [`Capabilities::reclaim`] says by whom (R11).
    /// - A node that does not exist is no error, so that a sweep can repeat it
    ///   (K1).
    /// - Whatever a crash left of the node under this number goes too (K1).
    /// - Volumes nested in it go first, at any depth, read-only ones too (R2).
    /// - Works on a file system that is full (R9).
    /// - A node still in use as a mount's root elsewhere is gone from the
    ///   store or refused with [`ErrorKind::Busy`]; trying again works (R1).
    async fn delete(&self, node: NodeId) -> Result<()>;

    /// Names the tree of a node, for reading or for writing. `base` is what a
    /// work area was made over, or for a layer the chain that ends in it.
    ///
    /// - Never mounts: a plan that needs a mount says so as data (L12).
    /// - A node that does not exist is [`ErrorKind::NotFound`] (L4).
    /// - A layer is never handed out for writing:
    ///   [`ErrorKind::InvalidInput`]. Whether the kernel refuses a write through
    ///   what is handed out for reading is declared in
    ///   [`Capabilities::views`] (L12).
    /// - Every tree of the longest chain that [`Capabilities::max_depth`]
    ///   declares can be opened; one more layer is [`ErrorKind::Unsupported`]
    ///   here, or when the plan is mounted, and the message says the limit (M2).
    async fn rootfs(&self, node: Node, base: &Chain, access: Access) -> Result<Rootfs>;

    /// Names a tree for being compared with a layer beneath it, and the places
    /// where it may differ.
    ///
    /// - Every place where the two trees differ is a candidate, or lies beneath
    ///   one that only one of them has or that is said to differ beneath; every
    ///   name of an inode that changed is one, except names that still lead to
    ///   the layer's file where [`HardlinkCopyup::Break`] is declared. More may
    ///   be named: the comparison is core's (D15).
    /// - What it costs is declared in [`Capabilities::diff_cost`] (D1).
    /// - A running container is not disturbed: it writes on, and nothing that it
    ///   has for writing is mounted a second time (D11).
    /// - [`Observed::frozen`] is said only of a view that nobody can change;
    ///   [`Look::scratch`] is there to be made into one (D11).
    /// - A node that does not exist is [`ErrorKind::NotFound`] (A4). Where
    ///   `since` is `None`, or of no help any more, every place is named (D16).
    async fn observe(&self, look: Look<'_>) -> Result<Observed>;

    /// How many bytes sets of nodes occupy: a figure for each set.
    ///
    /// - [`Measure::All`] is what the nodes hold, each byte once however many of
    ///   them hold it; [`Measure::Alone`] is what would come back if these nodes
    ///   were deleted now, and no others: what nothing else holds. Where
    ///   [`Capabilities::usage_exact`] is declared, both are what the file system
    ///   charges, to within 1 % for files of a MiB, and the nodes alone and all
    ///   others together make up the whole; else they may be more (A1).
    /// - Counts what was written before the call, on the disk or not (A1).
    /// - Reads no file contents. What the nodes have alone is found without
    ///   opening anything of the chain beneath (A3).
    /// - What a layer holds does not grow when something is made over it, and
    ///   a fresh work area has next to nothing alone, where
    ///   [`CommitCost::Constant`] is declared (A2).
    /// - `None` for a set of which a node does not exist, or is deleted
    ///   meanwhile; the others are answered (A4).
    async fn usage(&self, sets: &[NodeSet]) -> Result<Vec<Option<u64>>>;

    /// Waits until the space of every deleted node is free, or frees it.
    ///
    /// - Afterwards the file system's own figure shows it, as soon as that has
    ///   written down what was removed: at its next commit or when it is synced,
    ///   and on some a moment later (R6).
    /// - Safe to stop at any point; the next call goes on, also after a restart
    ///   (R11).
    async fn reclaim(&self) -> Result<Reclaimed>;

    /// The numbers of all nodes that exist, whole or half-made, in order.
    ///
    /// - Lists whatever `delete` would remove, so that a sweep misses nothing
    ///   (K1).
    async fn list(&self) -> Result<Vec<NodeId>>;
}

/// What `snapshot` is asked to do.
#[derive(Debug, Clone, Copy)]
pub struct Seal<'a> {
    /// The work area to freeze.
    pub work: WorkId,
    /// The chain that the work area was made over.
    pub base: &'a Chain,
    /// What the engine's lease says about the container.
    pub state: WorkState,
    /// A fresh number, for whichever of the two nodes is the new one.
    pub spare: NodeId,
    /// Whether the work area lives on.
    pub then: Then,
    /// Turn nested volumes into directories first, instead of refusing them.
    /// Only with [`WorkState::Idle`], and only where the backend declares
    /// [`Nested::Flattened`].
    pub flatten: bool,
    /// Paths that the engine made in the tree for its own ends.
    pub leave_out: &'a [LeaveOut],
}

/// Does the work area live on after the snapshot, or does it end there?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It lives on.
    Continue,
    /// It ends.
    Consume,
}

/// Whether anything can write into a work area. The engine's lease knows;
/// backends do not guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkState {
    /// No process holds it.
    Idle,
    /// A container holds it and is frozen.
    Paused,
    /// A container runs in it.
    Running,
}

/// Which number plays which role from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// The new layer.
    pub layer: LayerId,
    /// The work area that lives on; `None` after [`Then::Consume`].
    pub work: Option<WorkId>,
}

/// What a tree is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
}

/// How to reach a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rootfs {
    /// The tree is this directory, ready to be used or bind-mounted.
    Directory(PathBuf),
    /// The tree is what a mount of overlayfs shows.
    Overlay(OverlayPlan),
}

/// A mount of overlayfs, as data: only [`crate::mount`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlayPlan {
    /// The directories beneath, topmost first; at least one. Nothing writes to
    /// them.
    pub lower: Vec<PathBuf>,
    /// Where changes go; `None` for reading only.
    pub upper: Option<Upper>,
}

/// The writable side of an overlay. No two mounts may ever have the same one
/// at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upper {
    /// The directory that takes the changes.
    pub directory: PathBuf,
    /// An empty directory beside it, for the kernel's own use.
    pub work: PathBuf,
    /// Whether a power cut may take all that is written: the kernel does not
    /// flush the whole file system then when the mount goes, and refuses to
    /// mount the two directories once more. Backends say no; the engine says yes
    /// for a container that goes with its command.
    pub volatile: bool,
}

/// Nodes of which the space is asked for as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSet {
    /// The nodes, in any order.
    pub members: Vec<Member>,
    /// What of their bytes is wanted.
    pub measure: Measure,
}

/// A node of a [`NodeSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its number, whatever its role.
    pub node: NodeId,
    /// The layer that it was made over, where that is known and still there. It
    /// may save a look at what the two have in common.
    pub over: Option<LayerId>,
}

/// Which bytes of a set of nodes are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// All that they hold.
    All,
    /// What nothing else holds.
    Alone,
}

/// What `reclaim` saw come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reclaimed {
    /// Deleted nodes whose space was still held when the call began.
    pub nodes: u64,
}

/// A backend's line in the table of drivers; only the command line has one.
#[derive(Debug, Clone, Copy)]
pub struct Driver {
    /// The name for `--backend`; written into the store and read back.
    pub name: &'static str,
    /// One line for people: what it is.
    pub summary: &'static str,
    /// Says whether it would work below this root, and changes nothing.
    pub probe: fn(&Path) -> Probe,
    /// Opens it below this root, setting up what is missing.
    pub open: fn(&Path) -> Result<Arc<dyn SnapshotBackend>>,
}

/// Whether a driver works at a place, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// It works; the text says on what.
    Works(String),
    /// It does not; the text says what is missing and what to do.
    Missing(String),
}
