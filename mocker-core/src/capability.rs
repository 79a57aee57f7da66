//! What a backend declares about itself, as one flat struct.
//!
//! Whatever is not declared here is refused by the engine with
//! [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) before the backend
//! is reached. The conformance kit keys on these fields and never on a name.

/// The declared differences between backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Whether a layer is a whole tree or the difference to the one beneath.
    pub layers: Layers,
    /// Whether root on the host can write to a layer that it is shown (L12).
    pub views: Views,
    /// What a commit of a running container can promise.
    pub commit_running: CommitConsistency,
    /// What a commit of a stopped container writes.
    pub commit_cost: CommitCost,
    /// What finding the changes of a work area or of a version reads (D1).
    pub diff_cost: DiffCost,
    /// Whether `usage` knows of every byte who else holds it; else what files
    /// share counts once for each of them (A1).
    pub usage_exact: bool,
    /// What happens to volumes that a container made inside its own tree.
    pub nested: Nested,
    /// Who frees the space of deleted nodes.
    pub reclaim: Reclaim,
    /// Layers that a chain may hold; `None` where only space limits it.
    pub max_depth: Option<usize>,
    /// What renaming a directory does that a work area has from its chain (F7).
    pub rename_dir: RenameDir,
    /// What the first change through one name of a file does that the chain
    /// holds under several (F10).
    pub hardlink_copyup: HardlinkCopyup,
    /// What the first change of a file from the chain does to its holes (F33).
    pub sparse: Sparse,
    /// Whether an inode number stays the same from before the first change in a
    /// work area to its end. A name that [`HardlinkCopyup::Break`] makes a file
    /// of its own is exempt (F12).
    pub inode_stable: bool,
    /// What a descriptor of a file from the chain shows of a change that is made
    /// through a later one (F13).
    pub fd_coherent: FdCoherence,
    /// What becomes of what overlayfs gives a meaning to, when a container makes
    /// it (F31).
    pub overlay_marks: OverlayMarks,
    /// What the first change of a file's content writes beside the change, where
    /// the file is from the chain (F34).
    pub copyup_unit: CopyupUnit,
    /// Whether the first change of a file's mode, owner or attributes writes as
    /// much (F35).
    pub metadata_change_copies_data: bool,
}

/// Whether a layer can be read alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layers {
    /// Every layer is a whole tree; its ancestors may be deleted.
    Whole,
    /// A layer holds the difference to the chain beneath, and needs it.
    Delta,
}

/// How a layer's tree is shown for reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Views {
    /// The kernel refuses every write, even root's.
    ReadOnly,
    /// It is a plain directory: nothing of ours ever writes to it, and nothing
    /// but that keeps root on the host from it.
    Plain,
}

/// What the tree of a layer is, when it was taken from a running container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitConsistency {
    /// One instant of the file system, while the container runs on. What a
    /// process has just written and the kernel has not yet put in place may be
    /// in one file and not in another; so the engine pauses it where it can.
    Atomic,
    /// One instant of the tree, with the container paused meanwhile.
    Paused,
    /// Only a stopped container can be committed.
    Stopped,
}

/// What a commit of a stopped container writes, beside records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitCost {
    /// No file data, however much was changed, once that is on the disk.
    Constant,
    /// The whole tree, as far as the file system cannot share it.
    Tree,
}

/// What finding changes reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffCost {
    /// What was changed, and the directories that it lies in.
    Changes,
    /// Every entry of both trees.
    Tree,
}

/// How a backend deals with volumes nested in a work area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nested {
    /// They cannot occur.
    Impossible,
    /// They can, on the file system that is there; a layer holds what is in them
    /// as directories.
    Copied,
    /// They are found and refused, and turned into directories on request.
    Flattened,
}

/// Who frees the space of a deleted node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaim {
    /// The file system does, in the background; `reclaim` waits for it.
    FileSystem,
    /// `reclaim` does.
    Backend,
}

/// What renaming a directory does that comes from a layer beneath.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenameDir {
    /// It is renamed.
    Native,
    /// It is refused with `EXDEV`, as if it lay on another file system; `mv`
    /// then copies it. One that was made in the work area itself is renamed.
    Exdev,
}

/// What becomes of a file with several names when it is first changed through
/// one of them: its content, mode, owner or attributes, a further link or
/// another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HardlinkCopyup {
    /// All names show the change.
    Keep,
    /// The name becomes a file of its own, with its own inode number; the other
    /// names stay as they were. Links made in the work area itself hold.
    Break,
}

/// What becomes of the holes of a file from the chain when it is first changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sparse {
    /// They stay holes, block for block.
    Kept,
    /// They may be filled with zeros, where the file system cannot share data.
    Filled,
}

/// What a descriptor that was opened for reading shows, when the file is first
/// changed after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FdCoherence {
    /// The change, also in a mapping; inotify tells of it.
    Full,
    /// read(2) shows the change and inotify tells of it; a mapping that was made
    /// before goes on showing what was there.
    Reads,
    /// What was there before.
    Stale,
}

/// What becomes of a character device 0:0, which overlayfs takes for "deleted",
/// and of attributes that begin with `trusted.overlay.`. In no case do they
/// change what the tree shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverlayMarks {
    /// Both are kept like any other.
    Kept,
    /// The attributes are kept; to make the device is refused with `EPERM`.
    DeviceRefused,
    /// To make the device is refused with `EPERM`, to set the attributes with
    /// `EOPNOTSUPP`.
    Refused,
}

/// What is written when a file from the chain is first changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyupUnit {
    /// The change alone.
    Nothing,
    /// The change, and records of the data that is shared.
    Shared,
    /// The whole file.
    File,
}

impl Capabilities {
    /// The least that a backend can declare; fields are then set one by one.
    pub const fn minimal() -> Self {
        Self {
            layers: Layers::Whole,
            views: Views::Plain,
            commit_running: CommitConsistency::Stopped,
            commit_cost: CommitCost::Tree,
            diff_cost: DiffCost::Tree,
            usage_exact: false,
            nested: Nested::Impossible,
            reclaim: Reclaim::Backend,
            max_depth: None,
            rename_dir: RenameDir::Exdev,
            hardlink_copyup: HardlinkCopyup::Break,
            sparse: Sparse::Filled,
            inode_stable: false,
            fd_coherent: FdCoherence::Stale,
            overlay_marks: OverlayMarks::Refused,
            copyup_unit: CopyupUnit::File,
            metadata_change_copies_data: true,
        }
    }

    /// Sets [`Capabilities::layers`].
    #[must_use]
    pub const fn layers(mut self, layers: Layers) -> Self {
        self.layers = layers;
        self
    }

    /// Sets [`Capabilities::views`].
    #[must_use]
    pub const fn views(mut self, views: Views) -> Self {
        self.views = views;
        self
    }

    /// Sets [`Capabilities::commit_running`].
    #[must_use]
    pub const fn commit_running(mut self, consistency: CommitConsistency) -> Self {
        self.commit_running = consistency;
        self
    }

    /// Sets [`Capabilities::commit_cost`].
    #[must_use]
    pub const fn commit_cost(mut self, cost: CommitCost) -> Self {
        self.commit_cost = cost;
        self
    }

    /// Sets [`Capabilities::diff_cost`].
    #[must_use]
    pub const fn diff_cost(mut self, cost: DiffCost) -> Self {
        self.diff_cost = cost;
        self
    }

    /// Sets [`Capabilities::usage_exact`].
    #[must_use]
    pub const fn usage_exact(mut self, exact: bool) -> Self {
        self.usage_exact = exact;
        self
    }

    /// Sets [`Capabilities::nested`].
    #[must_use]
    pub const fn nested(mut self, nested: Nested) -> Self {
        self.nested = nested;
        self
    }

    /// Sets [`Capabilities::reclaim`].
    #[must_use]
    pub const fn reclaim(mut self, reclaim: Reclaim) -> Self {
        self.reclaim = reclaim;
        self
    }

    /// Sets [`Capabilities::max_depth`].
    #[must_use]
    pub const fn max_depth(mut self, layers: usize) -> Self {
        self.max_depth = Some(layers);
        self
    }

    /// Sets [`Capabilities::rename_dir`].
    #[must_use]
    pub const fn rename_dir(mut self, rename_dir: RenameDir) -> Self {
        self.rename_dir = rename_dir;
        self
    }

    /// Sets [`Capabilities::hardlink_copyup`].
    #[must_use]
    pub const fn hardlink_copyup(mut self, hardlink_copyup: HardlinkCopyup) -> Self {
        self.hardlink_copyup = hardlink_copyup;
        self
    }

    /// Sets [`Capabilities::sparse`].
    #[must_use]
    pub const fn sparse(mut self, sparse: Sparse) -> Self {
        self.sparse = sparse;
        self
    }

    /// Sets [`Capabilities::inode_stable`].
    #[must_use]
    pub const fn inode_stable(mut self, stable: bool) -> Self {
        self.inode_stable = stable;
        self
    }

    /// Sets [`Capabilities::fd_coherent`].
    #[must_use]
    pub const fn fd_coherent(mut self, coherence: FdCoherence) -> Self {
        self.fd_coherent = coherence;
        self
    }

    /// Sets [`Capabilities::overlay_marks`].
    #[must_use]
    pub const fn overlay_marks(mut self, marks: OverlayMarks) -> Self {
        self.overlay_marks = marks;
        self
    }

    /// Sets [`Capabilities::copyup_unit`].
    #[must_use]
    pub const fn copyup_unit(mut self, unit: CopyupUnit) -> Self {
        self.copyup_unit = unit;
        self
    }

    /// Sets [`Capabilities::metadata_change_copies_data`].
    #[must_use]
    pub const fn metadata_change_copies_data(mut self, copies: bool) -> Self {
        self.metadata_change_copies_data = copies;
        self
    }
}
