//! `diff`: what was changed in a container, or from one tree to another.
//!
//! Only reads, but for the snapshot by which a running container may have to be
//! frozen: that goes again when the list is made.

use std::collections::HashSet;

use rusqlite::Connection;
use serde::Serialize;

use crate::backend::{
    Access, Candidates, Chain, LayerId, Look, Node, NodeId, Observed, Sparse, WorkState, blocking,
};
use crate::change::{self, Change, Comparison, Kind};
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{CONTAINER_PREFIX, Config, IMAGE_PREFIX, printable};
use crate::mount::View;
use crate::store::container::Container;
use crate::store::image::Image;
use crate::store::{Durability, container, image, journal, node, version};
use crate::tree::leave_out::LeaveOut;

mod targets;

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

/// A tree to be compared, as the records have it.
#[derive(Debug, Clone)]
struct Tree {
    side: Side,
    backend: String,
    node: Node,
    base: Chain,
    state: WorkState,
    /// A number for a frozen copy; a layer needs none.
    scratch: Option<NodeId>,
    leave_out: Vec<LeaveOut>,
    note: Option<String>,
}

impl Tree {
    fn of_layer(connection: &Connection, side: Side, backend: &str, layer: LayerId) -> Result<Self> {
        Ok(Self {
            side,
            backend: backend.to_owned(),
            node: Node::Layer(layer),
            base: node::chain(connection, layer)?,
            state: WorkState::Idle,
            scratch: None,
            leave_out: Vec::new(),
            note: None,
        })
    }

    fn of_version(connection: &Connection, image: &Image) -> Result<Self> {
        let side = Side::Image { id: image.id.clone(), version: image.version };
        Self::of_layer(connection, side, &image.backend, image.layer)
    }

    fn of_container(connection: &Connection, this: &Container) -> Result<Self> {
        Ok(Self {
            side: Side::Container { id: this.id.clone() },
            backend: this.backend.clone(),
            node: Node::Work(this.work),
            base: node::chain(connection, this.base)?,
            state: if this.lease.is_some() { WorkState::Running } else { WorkState::Idle },
            scratch: None,
            leave_out: this.leave_out.clone(),
            note: volumes(&this.config),
        })
    }

    /// The topmost layer that both stand on.
    fn ancestor(&self, other: &Self) -> Option<LayerId> {
        let others: HashSet<_> = other.base.layers().iter().collect();
        let shared = self.base.layers().iter().rev().find(|layer| others.contains(layer)).copied();
        shared.filter(|_| self.backend == other.backend)
    }

    /// Begins to read it: nothing of it may go, whoever removes what.
    fn pin(&mut self, tx: &rusqlite::Transaction<'_>, intent: i64) -> Result<()> {
        self.base.layers().iter().try_for_each(|layer| node::pin(tx, intent, layer.0))?;
        if let Node::Work(work) = self.node {
            node::pin(tx, intent, work.0)?;
            self.scratch = Some(node::allocate(tx, intent, &self.backend)?);
        }
        Ok(())
    }
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

/// Which trees are meant.
fn sides(connection: &Connection, request: &DiffRequest) -> Result<(Option<Tree>, Tree)> {
    let subject = find(connection, &request.subject)?;
    if let Some(other) = &request.other {
        return Ok((Some(subject.tree(connection)?), find(connection, other)?.tree(connection)?));
    }
    let tree = subject.tree(connection)?;
    let before = match &subject {
        Subject::Container(this) => Some(origin(connection, this)?),
        Subject::Version(image) => before(connection, image, &tree.base)?,
    };
    Ok((before, tree))
}

/// In Docker a volume is mounted over what the image has there.
fn volumes(config: &Config) -> Option<String> {
    let declared: Vec<_> = config.volumes.keys().map(|path| printable(path)).collect();
    (!declared.is_empty()).then(|| {
        format!(
            "the image declares volumes ({}); mocker mounts none, so what is in them is in the list",
            declared.join(", ")
        )
    })
}

enum Subject {
    Container(Box<Container>),
    Version(Box<Image>),
}

impl Subject {
    fn tree(&self, connection: &Connection) -> Result<Tree> {
        match self {
            Self::Container(this) => Tree::of_container(connection, this),
            Self::Version(image) => Tree::of_version(connection, image),
        }
    }
}

/// A container of this name, else an image: a container's is what `diff` is for
/// in the first place.
fn find(connection: &Connection, text: &str) -> Result<Subject> {
    let is_image = text.starts_with(IMAGE_PREFIX) || text.contains(['@', ':', '/']);
    if !is_image {
        match container::find(connection, text) {
            Ok(found) => return Ok(Subject::Container(Box::new(found))),
            Err(error) if error.kind() != ErrorKind::NotFound || text.starts_with(CONTAINER_PREFIX) => {
                return Err(error);
            }
            Err(_) => {}
        }
    }
    match image::find(connection, text) {
        Err(error) if error.kind() == ErrorKind::NotFound && !is_image => Err(Error::new(
            ErrorKind::NotFound,
            format!("No container or image named '{}' exists", printable(text)),
        )
        .with_hint("'mocker ps' and 'mocker images' list those that do")),
        found => found.map(|image| Subject::Version(Box::new(image))),
    }
}

/// What a container was made from.
fn origin(connection: &Connection, this: &Container) -> Result<Tree> {
    let side = Side::Image { id: this.image.clone(), version: this.image_version };
    Tree::of_layer(connection, side, &this.backend, this.origin)
}

/// What came before a version: the version before it, else the tree beneath its
/// topmost layer; for one whose only layer it is, nothing.
fn before(connection: &Connection, image: &Image, chain: &Chain) -> Result<Option<Tree>> {
    if let Some(earlier) = version::before(connection, &image.id, image.version)? {
        let earlier = image::find(connection, &format!("{}@{earlier}", image.id))?;
        return Tree::of_version(connection, &earlier).map(Some);
    }
    let [.., beneath, _] = chain.layers() else { return Ok(None) };
    let side = Side::Beneath { id: image.id.clone(), version: image.version };
    Tree::of_layer(connection, side, &image.backend, *beneath).map(Some)
}
