//! Numbers of nodes, with a type for each role that a node can play.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of one directory or subvolume held by a backend.
///
/// Given out by the store, kept for life, and never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u64);

/// A node in the role of an immutable tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayerId(pub NodeId);

/// A node in the role of a writable tree; it can never be a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkId(pub NodeId);

/// A node together with the role it plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Node {
    /// An immutable tree.
    Layer(LayerId),
    /// A writable tree.
    Work(WorkId),
}

impl Node {
    /// The number, whatever the role.
    pub fn id(self) -> NodeId {
        match self {
            Node::Layer(LayerId(id)) | Node::Work(WorkId(id)) => id,
        }
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for WorkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The ordered layers under a work area, base first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Chain(Vec<LayerId>);

impl Chain {
    /// A chain of no layers: what a work area stands on that starts empty.
    pub const EMPTY: Chain = Chain(Vec::new());

    /// Makes a chain; `layers` are ordered base first.
    pub fn new(layers: Vec<LayerId>) -> Self {
        Self(layers)
    }

    /// The layers, base first.
    pub fn layers(&self) -> &[LayerId] {
        &self.0
    }

    /// The topmost layer, whose view is the tree of the whole chain.
    pub fn tip(&self) -> Option<LayerId> {
        self.0.last().copied()
    }

    /// The chain with one more layer on top.
    #[must_use]
    pub fn with(mut self, layer: LayerId) -> Self {
        self.0.push(layer);
        self
    }

    /// How many layers there are.
    pub fn depth(&self) -> usize {
        self.0.len()
    }
}
