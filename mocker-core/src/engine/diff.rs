//! `diff`: what was changed in a container, or from one tree to another.
//!
//! Only reads, but for the snapshot by which a running container may have to be
//! frozen: that goes again when the list is made. `trees.rs` finds out which two
//! trees are meant, `targets.rs` keeps the engine's own mount points out.

use serde::Serialize;

use crate::backend::{Access, Candidates, LayerId, Look, Node, Observed, Sparse, WorkState, blocking};
use crate::change::{self, Change, Comparison, Kind};
use crate::engine::Engine;
use crate::error::{ErrorKind, Result};
use crate::mount::View;
use crate::store::{Durability, container, journal};

use trees::{Tree, sides};

mod targets;
mod trees;

/// What `diff` is asked for.
#[derive(Debug, Clone, Default)]
pub struct DiffRequest {
    /// A container, or an image with or without `@VERSION`.
    pub subject: String,
    /// Another one, to which the way is wanted. Without it: for a container what
    /// it changed in its image, for a version what it changed in the one before.
    pub other: Option<String>,
}

/// What differs between two trees.
#[derive(Debug)]
pub struct Diff {
    /// Where the way begins; `None` for a tree that holds nothing.
    pub from: Option<Side>,
    /// Where it leads.
    pub to: Side,
    /// Whether nothing changed the trees while they were compared. Otherwise an
    /// entry is told as it was at one moment or another.
    pub frozen: bool,
    /// The changes, in the order of their paths.
    pub changes: Vec<Change>,
    /// What the user should know, such as volumes that the image declares.
    pub notes: Vec<String>,
}

/// A tree that was compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Side {
    /// A container's, as it is now.
    Container {
        /// `ps_…`.
        id: String,
    },
    /// A version of an image.
    Image {
        /// `img_…`.
        id: String,
        /// The version.
        version: u32,
    },
    /// The tree beneath the topmost layer of a version.
    Beneath {
        /// `img_…`.
        id: String,
        /// The version.
        version: u32,
    },
}

impl Engine {
    /// Lists what differs between two trees: of a container and what it was
    /// made from, of two versions of an image, or of any two of those.
    ///
    /// A container runs on undisturbed, and is looked at as it was at one moment
    /// where the backend can freeze that.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidInput`] for what can be no
    /// name; those of the backends and of reading the trees.
    pub async fn diff(&self, request: &DiffRequest) -> Result<Diff> {
        let actor = self.actor()?;
        let (intent, from, to) = self.store.write(Durability::Quick, |tx| {
            let (mut from, mut to) = sides(tx, request)?;
            let intent = journal::begin(tx, actor, &[])?;
            from.iter_mut().chain([&mut to]).try_for_each(|tree| tree.pin(tx, intent))?;
            Ok((intent, from, to))
        })?;
        crate::crash_point!("diff.after-intent");
        let compared = self.compare(from.as_ref(), &to).await;
        crate::crash_point!("diff.after-comparison");
        let (changes, frozen) = match compared {
            Ok(compared) => compared,
            Err(error) => return self.give_up(intent, error.context("cannot compare")).await,
        };
        self.settle(intent).await?;
        let mut frozen = frozen;
        for tree in from.iter().chain([&to]) {
            frozen &= self.is_as_it_was(tree)?;
        }
        let notes =
            [from.as_ref(), Some(&to)].into_iter().flatten().filter_map(|tree| tree.note.clone()).collect();
        Ok(Diff { from: from.map(|tree| tree.side), to: to.side, frozen, changes, notes })
    }

    async fn compare(&self, from: Option<&Tree>, to: &Tree) -> Result<(Vec<Change>, bool)> {
        if from.is_some_and(|from| from.node == to.node) {
            return Ok((Vec::new(), true));
        }
        let ancestor = from.and_then(|from| from.ancestor(to));
        let (there, to_keeps) = self.observe(to, ancestor).await?;
        let (here, from_keeps) = match from {
            // What the changes are counted from needs no search of its own.
            Some(tree) if ancestor.map(Node::Layer) == Some(tree.node) => {
                let backend = self.backend(&tree.backend).await?;
                let view = backend.rootfs(tree.node, &tree.base, Access::Read).await?;
                let candidates = Candidates::Paths(Vec::new());
                (Some(Observed { view, candidates, scratch_used: false, frozen: true }), to_keeps)
            }
            Some(tree) => {
                let (seen, keeps) = self.observe(tree, ancestor).await?;
                (Some(seen), keeps)
            }
            None => (None, to_keeps),
        };
        let (here, mut candidates, frozen) = match here {
            Some(here) => {
                (Some(here.view), here.candidates.and(there.candidates), here.frozen && there.frozen)
            }
            None => (None, Candidates::ALL, there.frozen),
        };
        if ancestor.is_none() {
            candidates = Candidates::ALL;
        }
        match &candidates {
            Candidates::Everything { .. } => crate::story!("comparing everything in the two trees"),
            Candidates::Paths(paths) => {
                crate::story!("looking at the {} places that may differ", paths.len());
            }
        }
        let holes = from_keeps && to_keeps;
        let one_file_system = from.is_some_and(|from| from.backend == to.backend);
        let from_targets = from.map(|from| from.leave_out.clone()).unwrap_or_default();
        let to_targets = to.leave_out.clone();
        let changes = blocking(move || {
            let here = here.as_ref().map(View::open).transpose()?;
            let there = View::open(&there.view)?;
            let (from, to) = (here.as_ref().map(View::top), there.top());
            let mut changes = change::compare(Comparison { from, to, holes, one_file_system }, candidates)?;
            targets::forget(&mut changes, Kind::Added, &to_targets, to)?;
            if let Some(from) = from {
                targets::forget(&mut changes, Kind::Deleted, &from_targets, from)?;
            }
            Ok(changes)
        })
        .await?;
        Ok((changes, frozen))
    }

    /// Asks the backend of a tree for it, and whether holes in it mean anything.
    async fn observe(&self, tree: &Tree, since: Option<LayerId>) -> Result<(Observed, bool)> {
        let backend = self.backend(&tree.backend).await?;
        let look =
            Look { node: tree.node, base: &tree.base, since, state: tree.state, scratch: tree.scratch };
        let observed = backend.observe(look).await?;
        if let (false, Some(unused)) = (observed.scratch_used, tree.scratch) {
            self.store.write(Durability::Quick, |tx| journal::forget(tx, unused))?;
        }
        Ok((observed, backend.capabilities().sparse == Sparse::Kept))
    }

    /// Whether no verb began to change a container while it was looked at.
    fn is_as_it_was(&self, tree: &Tree) -> Result<bool> {
        let Side::Container { id } = &tree.side else { return Ok(true) };
        let now = match container::find(self.store.read(), id) {
            Ok(now) => now,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let idle = now.lease.is_none() || tree.state != WorkState::Idle;
        Ok(idle && Node::Work(now.work) == tree.node && Some(now.base) == tree.base.tip())
    }
}
