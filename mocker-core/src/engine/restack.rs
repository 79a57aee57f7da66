//! Making layers that show the same trees as others, by merging what differs
//! into a work area and consuming it. Works from any backend to any other.

use std::sync::Arc;

use crate::backend::{
    Access, Chain, LayerId, Node, NodeId, Rootfs, Seal, SnapshotBackend, Then, WorkId, WorkState, blocking,
};
use crate::engine::{Engine, Progress};
use crate::error::{Error, ErrorKind, Result};
use crate::mount::View;
use crate::tree::copy::merge_tree;
use crate::tree::leave_out::{self, LeaveOut};

/// One layer to be made.
#[derive(Debug)]
pub(super) struct Step {
    /// The tree that it is to show.
    pub(super) view: Rootfs,
    /// Paths of the engine's own in that tree, which do not come along.
    pub(super) leave_out: Vec<LeaveOut>,
    /// Fresh numbers on the backend: for the work area, and to spare.
    pub(super) nodes: [NodeId; 2],
}

impl Engine {
    /// Makes one layer for each step, the first one over `base`, each over the
    /// one before; answers them in order. They are on the disk then.
    pub(super) async fn restack(
        &self,
        backend: &Arc<dyn SnapshotBackend>,
        base: Chain,
        steps: Vec<Step>,
        progress: &Arc<dyn Progress + Send + Sync>,
    ) -> Result<Vec<LayerId>> {
        let mut chain = base;
        let mut made = Vec::new();
        for Step { view, leave_out, nodes: [work, spare] } in steps {
            let work = WorkId(work);
            backend.admit(0).await?;
            backend.create(work, &chain).await?;
            let destination = backend.rootfs(Node::Work(work), &chain, Access::Write).await?;
            let progress = progress.clone();
            let copied = blocking(move || {
                let (source, destination) = (View::open(&view)?, View::open(&destination)?);
                let copied = merge_tree(source.top(), destination.top(), progress.as_ref())?;
                leave_out::remove_if_empty(destination.top(), &leave_out)?;
                Ok(copied)
            })
            .await?;
            crate::story!(
                "looked through {} entries: {} bytes written, {} bytes shared by reflink",
                copied.entries,
                copied.bytes,
                copied.reflinked
            );
            let seal = Seal {
                work,
                base: &chain,
                state: WorkState::Idle,
                spare,
                then: Then::Consume,
                flatten: false,
                leave_out: &[],
            };
            let layer = backend.snapshot(seal).await?.layer;
            backend.persist(Node::Layer(layer)).await?;
            chain = chain.with(layer);
            made.push(layer);
        }
        Ok(made)
    }

    /// Refuses more layers than a backend takes.
    pub(super) fn refuse_depth(backend: &dyn SnapshotBackend, subject: &str, layers: usize) -> Result<()> {
        match backend.capabilities().max_depth {
            Some(most) if layers > most => Err(Error::new(
                ErrorKind::Unsupported,
                format!("{subject} would have {layers} layers, and '{}' takes {most}", backend.name()),
            )
            .with_hint("make one layer of them: mocker commit --squash=all")),
            _ => Ok(()),
        }
    }
}
