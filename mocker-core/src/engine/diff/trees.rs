//! Which two trees are meant, and what the records say of them.

use std::collections::HashSet;

use rusqlite::{Connection, Transaction};

use super::{DiffRequest, Side};
use crate::backend::{Chain, LayerId, Node, NodeId, WorkState};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{CONTAINER_PREFIX, Config, IMAGE_PREFIX, printable};
use crate::store::container::Container;
use crate::store::image::Image;
use crate::store::{container, image, node, version};
use crate::tree::leave_out::LeaveOut;

/// A tree to be compared, as the records have it.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) side: Side,
    pub(super) backend: String,
    pub(super) node: Node,
    pub(super) base: Chain,
    pub(super) state: WorkState,
    /// A number for a frozen copy; a layer needs none.
    pub(super) scratch: Option<NodeId>,
    pub(super) leave_out: Vec<LeaveOut>,
    pub(super) note: Option<String>,
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
    pub(super) fn ancestor(&self, other: &Self) -> Option<LayerId> {
        let others: HashSet<_> = other.base.layers().iter().collect();
        let shared = self.base.layers().iter().rev().find(|layer| others.contains(layer)).copied();
        shared.filter(|_| self.backend == other.backend)
    }

    /// Begins to read it: nothing of it may go, whoever removes what.
    pub(super) fn pin(&mut self, tx: &Transaction<'_>, intent: i64) -> Result<()> {
        self.base.layers().iter().try_for_each(|layer| node::pin(tx, intent, layer.0))?;
        if let Node::Work(work) = self.node {
            node::pin(tx, intent, work.0)?;
            self.scratch = Some(node::allocate(tx, intent, &self.backend)?);
        }
        Ok(())
    }
}

/// Which trees are meant.
pub(super) fn sides(connection: &Connection, request: &DiffRequest) -> Result<(Option<Tree>, Tree)> {
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
