//! A backend and the numbers of its nodes: the calls of the trait in the order
//! in which the engine makes them, and the views of its trees.

use std::cell::Cell;
use std::fmt;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mocker_core::ErrorKind;
use mocker_core::backend::{
    Access, Capabilities, Chain, Measure, Member, Node, NodeId, NodeSet, Reclaim, Rootfs, Seal, Sealed,
    SnapshotBackend, Then, WorkId, WorkState, complete,
};
use mocker_core::mount::View;

use crate::oracle::{self, Tree};
use crate::script::{How, during};

/// How long a tree may be held by what another thread has just started.
const PATIENCE: Duration = Duration::from_secs(2);

/// A backend, and the numbers that its nodes get.
#[derive(Debug)]
pub struct Nodes {
    /// The backend itself, for calls that the others do not make.
    pub backend: Arc<dyn SnapshotBackend>,
    next: Cell<u64>,
}

impl Nodes {
    /// Of a backend that has none yet.
    pub fn of(backend: Arc<dyn SnapshotBackend>) -> Self {
        Self::numbered_after(backend, 1)
    }

    /// Of a backend in which numbers up to this one were in use.
    pub fn numbered_after(backend: Arc<dyn SnapshotBackend>, last: u64) -> Self {
        Self { backend, next: Cell::new(last) }
    }

    /// Drops the backend and has it opened again, as the next process does.
    ///
    /// # Errors
    /// Why it cannot be opened; nothing is there to go on with then.
    pub fn reopen(
        self,
        open: impl FnOnce() -> mocker_core::Result<Arc<dyn SnapshotBackend>>,
    ) -> Result<Self, String> {
        let Self { backend, next } = self;
        drop(backend);
        Ok(Self { backend: open().map_err(during("open the backend again"))?, next })
    }

    /// What the backend declares.
    pub fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    /// A number that no node ever had.
    pub fn fresh(&self) -> NodeId {
        self.next.set(self.next.get() + 1);
        NodeId(self.next.get())
    }

    /// Makes a work area.
    ///
    /// # Errors
    /// What the backend says.
    pub fn create(&self, base: &Chain) -> Result<WorkId, String> {
        let work = WorkId(self.fresh());
        complete(self.backend.create(work, base)).map_err(during("create a work area"))?;
        Ok(work)
    }

    /// Freezes a work area; whatever is not wanted any more is deleted.
    ///
    /// # Errors
    /// What the backend says, or that it answers what cannot be.
    pub fn snapshot(&self, work: WorkId, base: &Chain, how: How) -> Result<Sealed, String> {
        let spare = self.fresh();
        let sealed = self.seal(order(work, base, how, spare)).map_err(during("snapshot"))?;
        match (how, sealed.work) {
            (How::Consume, None) => self.delete(if sealed.layer.0 == spare { work.0 } else { spare })?,
            (How::Idle | How::Paused | How::Running, Some(lives)) => {
                let roles = [sealed.layer.0, lives.0];
                if roles != [work.0, spare] && roles != [spare, work.0] {
                    return Err(format!(
                        "snapshot of node {} with spare {spare} answered {sealed:?}",
                        work.0
                    ));
                }
            }
            _ => return Err(format!("snapshot ({how:?}) answered {sealed:?}")),
        }
        Ok(sealed)
    }

    /// Asks for a snapshot that the backend does not declare, and must refuse.
    ///
    /// # Errors
    /// It is made, or refused as something else.
    pub fn refuse_snapshot(&self, work: WorkId, base: &Chain, how: How) -> Result<(), String> {
        let spare = self.fresh();
        let outcome = complete(self.backend.snapshot(order(work, base, how, spare)));
        must_fail(&format!("snapshot ({how:?}), which is not declared,"), outcome, ErrorKind::Unsupported)?;
        self.delete(spare)
    }

    /// Whatever another thread starts has every descriptor of this process for a
    /// moment, between fork and exec; who really holds a tree holds it for longer.
    pub(crate) fn seal(&self, seal: Seal<'_>) -> mocker_core::Result<Sealed> {
        let started = Instant::now();
        loop {
            match complete(self.backend.snapshot(seal)) {
                Err(error) if error.kind() == ErrorKind::Busy && started.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                outcome => return outcome,
            }
        }
    }

    /// Deletes a node, and frees its space where the backend leaves that to its
    /// caller.
    ///
    /// # Errors
    /// What the backend says.
    pub fn delete(&self, node: NodeId) -> Result<(), String> {
        complete(self.backend.delete(node)).map_err(during("delete a node"))?;
        // Else the space of many scripts would pile up.
        if self.capabilities().reclaim == Reclaim::Backend {
            complete(self.backend.reclaim()).map_err(during("reclaim"))?;
        }
        Ok(())
    }

    /// What each of some nodes holds, by itself; `over` are the layers that they
    /// were made over. `None` for one that is not there.
    ///
    /// # Errors
    /// What the backend says.
    pub fn usage(&self, nodes: &[NodeId], over: &Chain) -> mocker_core::Result<Vec<Option<Usage>>> {
        usage(&*self.backend, nodes, over)
    }

    /// Opens a tree.
    ///
    /// # Errors
    /// What the backend or the mount says.
    pub fn view(&self, node: Node, base: &Chain, access: Access) -> Result<View, String> {
        let rootfs: Rootfs =
            complete(self.backend.rootfs(node, base, access)).map_err(during("ask for a tree"))?;
        View::open(&rootfs).map_err(during("open a tree"))
    }
}

/// What a node holds, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Whoever else holds some of it.
    pub all: u64,
    /// What nothing else holds.
    pub alone: u64,
}

/// What each of some nodes holds, by itself; see [`Nodes::usage`].
///
/// # Errors
/// What the backend says.
pub fn usage(
    backend: &dyn SnapshotBackend,
    nodes: &[NodeId],
    over: &Chain,
) -> mocker_core::Result<Vec<Option<Usage>>> {
    let set = |node, measure| NodeSet {
        // A layer is not over itself.
        members: vec![Member { node, over: over.tip().filter(|layer| layer.0 != node) }],
        measure,
    };
    let sets: Vec<_> =
        nodes.iter().flat_map(|node| [set(*node, Measure::All), set(*node, Measure::Alone)]).collect();
    let figures = complete(backend.usage(&sets))?;
    let usage = |pair: &[Option<u64>]| Some(Usage { all: pair[0]?, alone: pair[1]? });
    Ok(figures.chunks(2).map(usage).collect())
}

/// What the engine would ask for.
pub(crate) fn order(work: WorkId, base: &Chain, how: How, spare: NodeId) -> Seal<'_> {
    Seal {
        work,
        base,
        state: match how {
            How::Idle | How::Consume => WorkState::Idle,
            How::Paused => WorkState::Paused,
            How::Running => WorkState::Running,
        },
        spare,
        then: if how == How::Consume { Then::Consume } else { Then::Continue },
        flatten: false,
        leave_out: &[],
    }
}

/// Whether a call failed as the contract says.
///
/// # Errors
/// It did not.
pub fn must_fail<T: fmt::Debug>(
    call: &str,
    outcome: mocker_core::Result<T>,
    kind: ErrorKind,
) -> Result<(), String> {
    match outcome {
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(format!("{call} must fail as {kind:?}, and failed as {:?}: {error}", error.kind())),
        Ok(answer) => Err(format!("{call} must fail as {kind:?}, and succeeded: {answer:?}")),
    }
}

/// Looks at a tree that has no place among the mounts.
pub fn look(view: &View) -> Tree {
    // The dot makes it the directory, not the link in /proc.
    oracle::look(&Path::new("/proc/self/fd").join(view.top().as_raw_fd().to_string()).join("."))
}

/// Frees what was deleted, and answers how many nodes that still were. A file
/// system that frees by itself does so for all who use it at once, and says
/// nothing of one's own.
pub fn left_to_reclaim(backend: &dyn SnapshotBackend) -> u64 {
    let left = complete(backend.reclaim()).expect("reclaim").nodes;
    if backend.capabilities().reclaim == Reclaim::Backend { left } else { 0 }
}
