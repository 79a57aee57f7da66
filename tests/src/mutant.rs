//! Backends with a bug: the kit has to find each of them, or it proves nothing.
//!
//! A [`Mutant`] is a sound backend in a wrapper that does one thing wrong:
//! `bug.rs` lists what, `damage.rs` is what it does to trees, `places.rs` what it
//! says of where they differ. `tests/mutants.rs`
//! names the case that catches each bug, and plays it.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use mocker_core::backend::{
    Access, Candidates, Capabilities, Chain, CommitCost, DiffCost, Driver, HardlinkCopyup, Look, Node,
    NodeId, NodeSet, Observed, Reclaimed, RenameDir, Rootfs, Seal, Sealed, SnapshotBackend, Sparse, Then,
    WorkId, WorkState, complete,
};
use mocker_core::{Error, ErrorKind, Result};

mod bug;
mod damage;
mod places;

pub use bug::Bug;

/// A backend with a bug.
#[derive(Debug)]
pub struct Mutant {
    sound: Arc<dyn SnapshotBackend>,
    bug: Bug,
    /// Whether there were nodes when it was opened.
    again: bool,
}

impl Mutant {
    /// Opens a sound backend below a root, and plants a bug.
    ///
    /// # Errors
    /// Those of opening the sound one.
    pub fn open(sound: &Driver, root: &Path, bug: Bug) -> Result<Arc<dyn SnapshotBackend>> {
        let sound = (sound.open)(root)?;
        let again = !complete(sound.list())?.is_empty();
        Ok(Arc::new(Self { sound, bug, again }))
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    /// The directory of a node's own that holds its tree, or its part of one.
    async fn own(&self, node: Node, base: &Chain) -> Result<PathBuf> {
        match self.sound.rootfs(node, base, Access::Read).await? {
            Rootfs::Directory(path) => Ok(path),
            Rootfs::Overlay(mut plan) => Ok(plan.lower.swap_remove(0)),
            other => panic!("a kind of tree that the mutants do not know: {other:?}"),
        }
    }

    /// What this backend says instead of that something is missing.
    fn told<T>(&self, outcome: Result<T>) -> Result<T> {
        match outcome {
            Err(error) if self.has(Bug::WrongKind) && error.kind() == ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::Io, error.to_string()))
            }
            outcome => outcome,
        }
    }

    async fn exists(&self, node: NodeId) -> Result<bool> {
        Ok(self.sound.list().await?.contains(&node))
    }
}

#[async_trait]
impl SnapshotBackend for Mutant {
    fn name(&self) -> &'static str {
        self.sound.name()
    }

    fn capabilities(&self) -> Capabilities {
        let honest = self.sound.capabilities();
        match self.bug {
            Bug::DeclaresExdev => honest.rename_dir(RenameDir::Exdev),
            Bug::DeclaresBreak => honest.hardlink_copyup(HardlinkCopyup::Break),
            Bug::DeclaresKept => honest.sparse(Sparse::Kept),
            Bug::DeclaresChanges => honest.diff_cost(DiffCost::Changes),
            Bug::DeclaresConstant => honest.commit_cost(CommitCost::Constant),
            _ => honest,
        }
    }

    async fn admit(&self, bytes: u64) -> Result<()> {
        if self.has(Bug::AdmitsAnything) {
            return Ok(());
        }
        self.sound.admit(bytes).await
    }

    async fn create(&self, work: WorkId, base: &Chain) -> Result<()> {
        let mut made = self.sound.create(work, base).await;
        let kind = made.as_ref().err().map(Error::kind);
        if self.has(Bug::ReusesNumber) && kind == Some(ErrorKind::AlreadyExists) {
            self.sound.delete(work.0).await?;
            made = self.sound.create(work, base).await;
        }
        if self.has(Bug::MakesUpLayer) && kind == Some(ErrorKind::NotFound) {
            made = self.sound.create(work, &Chain::EMPTY).await;
        }
        self.told(made)?;
        match base.tip() {
            Some(tip) if self.has(Bug::SharesFiles) => {
                let layer = self.own(Node::Layer(tip), base).await?;
                damage::share(&layer, &self.own(Node::Work(work), base).await?);
            }
            None if self.has(Bug::KeepsUmask) => {
                let top = self.own(Node::Work(work), base).await?;
                std::fs::remove_dir(&top).and_then(|()| std::fs::create_dir(&top)).expect("make a directory");
            }
            _ => {}
        }
        Ok(())
    }

    async fn snapshot(&self, seal: Seal<'_>) -> Result<Sealed> {
        let mut asked = seal;
        if self.has(Bug::ConsumeCopies) {
            asked.then = Then::Continue;
        }
        if self.has(Bug::IgnoresState) && asked.state == WorkState::Running {
            asked.state = WorkState::Idle;
        }
        if self.has(Bug::KeepsMountPoints) {
            asked.leave_out = &[];
        }
        let mut sealed = self.told(self.sound.snapshot(asked).await)?;
        let chain = seal.base.clone().with(sealed.layer);
        let layer = self.own(Node::Layer(sealed.layer), &chain).await?;
        damage::damage(self.bug, &layer);
        if let Some(work) = sealed.work {
            let work = self.own(Node::Work(work), seal.base).await?;
            match self.bug {
                Bug::NotFrozen => damage::share(&work, &layer),
                Bug::TouchesWork => damage::touch(&work),
                _ => {}
            }
        }
        match (seal.then, self.bug) {
            (Then::Consume, Bug::ConsumeCopies) => sealed.work = None,
            (Then::Consume, Bug::ConsumeLivesOn) => sealed.work = Some(seal.work),
            _ => {}
        }
        Ok(sealed)
    }

    async fn persist(&self, node: Node) -> Result<()> {
        self.told(self.sound.persist(node).await)
    }

    async fn delete(&self, node: NodeId) -> Result<()> {
        match self.bug {
            Bug::KeepsDeleted => return Ok(()),
            Bug::DeletesOnce if !self.exists(node).await? => {
                return Err(Error::new(ErrorKind::NotFound, format!("node {node} does not exist")));
            }
            Bug::WalksToDelete if self.exists(node).await? => {
                let tree = self.own(Node::Work(WorkId(node)), &Chain::EMPTY).await?;
                std::fs::remove_dir_all(tree).expect("remove a tree");
            }
            _ => {}
        }
        self.sound.delete(node).await
    }

    async fn rootfs(&self, node: Node, base: &Chain, access: Access) -> Result<Rootfs> {
        let access = match node {
            Node::Layer(_) if self.has(Bug::HandsOutLayer) => Access::Read,
            _ => access,
        };
        self.told(self.sound.rootfs(node, base, access).await)
    }

    async fn observe(&self, look: Look<'_>) -> Result<Observed> {
        let mut asked = look;
        if self.has(Bug::ForgetsLayers) && look.since.is_some() {
            let above = look.base.layers().iter().rev().find(|layer| Node::Layer(**layer) != look.node);
            asked.since = above.copied();
        }
        let seen = match self.sound.observe(asked).await {
            Err(_) if self.has(Bug::ObservesHost) => {
                let view = Rootfs::Directory("/".into());
                let candidates = Candidates::ALL;
                return Ok(Observed { view, candidates, scratch_used: false, frozen: true });
            }
            seen => self.told(seen)?,
        };
        let since = match look.since {
            Some(layer) => {
                let chain = look.base.layers().iter().copied().take_while(|other| *other != layer);
                let chain = Chain::new(chain.chain([layer]).collect());
                self.sound.rootfs(Node::Layer(layer), &chain, Access::Read).await.ok()
            }
            None => None,
        };
        let mut seen = places::spoil(self.bug, seen, since.as_ref());
        if let (Node::Work(_), Bug::MountsTwice) = (look.node, self.bug) {
            seen.view = self.sound.rootfs(look.node, look.base, Access::Write).await?;
        }
        Ok(seen)
    }

    async fn usage(&self, sets: &[NodeSet]) -> Result<Vec<Option<u64>>> {
        let mut figures = self.told(self.sound.usage(sets).await)?;
        match self.bug {
            Bug::MeasuresNothing => figures.iter_mut().for_each(|figure| *figure = figure.or(Some(0))),
            Bug::MeasuresTwice => {
                for (set, figure) in sets.iter().zip(&mut figures) {
                    let nodes = set.members.len() as u64;
                    *figure = figure.map(|bytes| bytes * nodes);
                }
            }
            Bug::ReadsToMeasure => {
                for member in sets.iter().flat_map(|set| &set.members) {
                    // That it lies over others makes no difference to where its own is.
                    let tree = self.own(Node::Work(WorkId(member.node)), &Chain::EMPTY).await?;
                    damage::each(&tree, |path, meta| {
                        if meta.is_file() && meta.size() < 1 << 30 {
                            std::fs::read(path).expect("read a file");
                        }
                    });
                }
            }
            _ => {}
        }
        Ok(figures)
    }

    async fn reclaim(&self) -> Result<Reclaimed> {
        if self.has(Bug::NeverReclaims) {
            return Ok(Reclaimed { nodes: 0 });
        }
        self.sound.reclaim().await
    }

    async fn list(&self) -> Result<Vec<NodeId>> {
        let mut nodes = self.sound.list().await?;
        match self.bug {
            Bug::ListsBackwards => nodes.reverse(),
            Bug::ForgetsNode if self.again => drop(nodes.pop()),
            Bug::HidesHalfMade => {
                let mut whole = Vec::new();
                for node in nodes {
                    if self.own(Node::Work(WorkId(node)), &Chain::EMPTY).await?.exists() {
                        whole.push(node);
                    }
                }
                return Ok(whole);
            }
            _ => {}
        }
        Ok(nodes)
    }
}
