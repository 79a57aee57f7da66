//! `backend-plain` with four faults, each marked.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use mocker_backend_plain::Plain;
use mocker_core::backend::{
    Access, Chain, Driver, Look, Node, NodeSet, Observed, Reclaimed, Rootfs, Seal, Sealed, SnapshotBackend,
    Then, WorkState, blocking,
};
use mocker_core::{Capabilities, Error, ErrorKind, LayerId, NodeId, Result, WorkId};

/// The line for the table of drivers.
pub const DRIVER: Driver = Driver {
    name: "broken",
    summary: "an example: what goes wrong where nobody tests",
    probe: mocker_backend_plain::DRIVER.probe,
    open: |root| Ok(Arc::new(Broken(Plain::at(&root.join(DRIVER.name))?))),
};

/// A backend that its author thought was finished.
#[derive(Debug)]
pub struct Broken(Plain);

impl Broken {
    async fn tree(&self, node: Node) -> Result<PathBuf> {
        match self.0.rootfs(node, &Chain::EMPTY, Access::Read).await? {
            Rootfs::Directory(path) => Ok(path),
            other => Err(Error::new(ErrorKind::Unsupported, format!("not a directory: {other:?}"))),
        }
    }

    /// Makes the node `to` with a copy of the tree of `from`.
    async fn copy(&self, from: Node, to: NodeId) -> Result<()> {
        let source = self.tree(from).await?;
        self.0.create(WorkId(to), &Chain::EMPTY).await?;
        let destination = self.tree(Node::Work(WorkId(to))).await?;
        blocking(move || cp(&source, &destination)).await
    }
}

/// Fault 1: extended attributes are forgotten, and hard links become files.
fn cp(source: &Path, destination: &Path) -> Result<()> {
    let mut copy = Command::new("cp");
    copy.args(["--recursive", "--preserve=mode,ownership,timestamps", "--no-target-directory", "--"]);
    let output = copy.arg(source).arg(destination).output();
    let output = output.map_err(|error| Error::io("cannot start cp", error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::new(ErrorKind::Io, format!("cannot copy '{}': {said}", source.display())))
}

#[async_trait]
impl SnapshotBackend for Broken {
    fn name(&self) -> &'static str {
        DRIVER.name
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn admit(&self, bytes: u64) -> Result<()> {
        self.0.admit(bytes).await
    }

    async fn create(&self, work: WorkId, base: &Chain) -> Result<()> {
        // Fault 3: what has the number already is gone.
        self.0.delete(work.0).await?;
        match base.tip() {
            Some(layer) => self.copy(Node::Layer(layer), work.0).await,
            None => self.0.create(work, base).await,
        }
    }

    async fn snapshot(&self, seal: Seal<'_>) -> Result<Sealed> {
        if seal.then == Then::Consume || seal.state == WorkState::Running {
            return self.0.snapshot(seal).await;
        }
        // Fault 2: what the engine wants left out of the layer gets into it.
        self.copy(Node::Work(seal.work), seal.spare).await?;
        Ok(Sealed { layer: LayerId(seal.spare), work: Some(seal.work) })
    }

    async fn persist(&self, node: Node) -> Result<()> {
        self.0.persist(node).await
    }

    async fn delete(&self, node: NodeId) -> Result<()> {
        self.0.delete(node).await
    }

    async fn rootfs(&self, node: Node, base: &Chain, access: Access) -> Result<Rootfs> {
        self.0.rootfs(node, base, access).await
    }

    async fn observe(&self, look: Look<'_>) -> Result<Observed> {
        self.0.observe(look).await
    }

    async fn usage(&self, sets: &[NodeSet]) -> Result<Vec<Option<u64>>> {
        let figures = self.0.usage(sets).await?;
        // Fault 4: whoever asks for what is gone is told a figure.
        Ok(figures.into_iter().map(|figure| figure.or(Some(0))).collect())
    }

    async fn reclaim(&self) -> Result<Reclaimed> {
        self.0.reclaim().await
    }

    async fn list(&self) -> Result<Vec<NodeId>> {
        self.0.list().await
    }
}
