//! A backend with a bug that is chosen, over the one that copies.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mocker_core::backend::{
    Access, Capabilities, Chain, LayerId, Node, NodeId, Reclaimed, Rootfs, Seal, Sealed, SnapshotBackend,
    Then, Usage, WorkId, WorkState, complete,
};
use mocker_core::{Error, ErrorKind, Result};

use crate::script::Stage;

/// What it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    /// Says yes to `create` under a number in use.
    ReusesNumber,
    /// Says yes to `delete`, and keeps the node.
    KeepsDeleted,
    /// Names the work area's tree where a layer's is asked for.
    NotFrozen,
    /// Does not list the newest node once it is opened again.
    ForgetsNode,
    /// Refuses to write to a layer, but as something else.
    WrongKind,
    /// Makes an empty work area over a layer that is not there.
    MakesUpLayer,
    /// Snapshots while somebody writes, which it does not declare.
    IgnoresState,
    /// Keeps everything in a layer but the attribute `user.one`.
    ForgetsAttribute,
}

#[derive(Debug)]
pub(super) struct Faulty {
    bug: Bug,
    copies: Arc<dyn SnapshotBackend>,
    /// Whether there were nodes when it was opened.
    again: bool,
    /// Layers that are not frozen, with the work areas whose trees they show.
    live: Mutex<Vec<(LayerId, WorkId)>>,
}

impl Faulty {
    /// A stage at an empty directory, with a backend that is opened as often as
    /// it is asked for.
    pub(super) fn stage(folder: &Path, bug: Bug) -> Stage {
        let root = folder.join("root");
        std::fs::create_dir(&root).unwrap();
        let open = move || {
            let copies = (mocker_backend_copy::DRIVER.open)(&root)?;
            let again = !complete(copies.list())?.is_empty();
            let opened: Arc<dyn SnapshotBackend> =
                Arc::new(Self { bug, copies, again, live: Mutex::default() });
            Ok(opened)
        };
        Stage::new(open, folder.join("plain"))
    }
}

fn forget_attribute(top: &Path) {
    for found in walkdir::WalkDir::new(top) {
        // Most do not have it.
        let _lost = rustix::fs::lremovexattr(found.unwrap().path(), OsStr::new("user.one"));
    }
}

#[async_trait]
impl SnapshotBackend for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn capabilities(&self) -> Capabilities {
        self.copies.capabilities()
    }

    async fn admit(&self, bytes: u64) -> Result<()> {
        self.copies.admit(bytes).await
    }

    async fn create(&self, work: WorkId, base: &Chain) -> Result<()> {
        match self.copies.create(work, base).await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && self.bug == Bug::ReusesNumber => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound && self.bug == Bug::MakesUpLayer => {
                self.copies.create(work, &Chain::EMPTY).await
            }
            outcome => outcome,
        }
    }

    async fn snapshot(&self, mut seal: Seal<'_>) -> Result<Sealed> {
        if self.bug == Bug::IgnoresState && seal.state == WorkState::Running {
            seal.state = WorkState::Idle;
        }
        let sealed = self.copies.snapshot(seal).await?;
        if self.bug == Bug::NotFrozen && seal.then == Then::Continue {
            self.live.lock().unwrap().push((sealed.layer, seal.work));
        }
        if self.bug == Bug::ForgetsAttribute
            && let Rootfs::Directory(path) =
                self.copies.rootfs(Node::Layer(sealed.layer), &Chain::EMPTY, Access::Read).await?
        {
            forget_attribute(&path);
        }
        Ok(sealed)
    }

    async fn persist(&self, node: Node) -> Result<()> {
        self.copies.persist(node).await
    }

    async fn delete(&self, node: NodeId) -> Result<()> {
        if self.bug == Bug::KeepsDeleted { Ok(()) } else { self.copies.delete(node).await }
    }

    async fn rootfs(&self, node: Node, base: &Chain, access: Access) -> Result<Rootfs> {
        if self.bug == Bug::WrongKind && matches!((node, access), (Node::Layer(_), Access::Write)) {
            return Err(Error::new(ErrorKind::Unsupported, "layers are for reading"));
        }
        let live = self.live.lock().unwrap().iter().find(|(layer, _)| *layer == LayerId(node.id())).copied();
        if let Some((_, work)) = live {
            let shown = self.copies.rootfs(Node::Work(work), base, access).await;
            if shown.is_ok() {
                return shown;
            }
        }
        self.copies.rootfs(node, base, access).await
    }

    async fn usage(&self, node: Node, base: &Chain) -> Result<Usage> {
        self.copies.usage(node, base).await
    }

    async fn reclaim(&self) -> Result<Reclaimed> {
        self.copies.reclaim().await
    }

    async fn list(&self) -> Result<Vec<NodeId>> {
        let mut nodes = self.copies.list().await?;
        if self.bug == Bug::ForgetsNode && self.again {
            nodes.pop();
        }
        Ok(nodes)
    }
}
