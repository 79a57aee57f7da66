//! Which nodes each image, version and container needs, and what would go with
//! it: the nodes that nothing else needs.

use std::collections::{BTreeSet, HashMap};

use crate::backend::{LayerId, Layers, Measure, Member, NodeId, NodeSet};
use crate::store::survey::{Survey, SurveyedContainer};

/// Nodes, without any twice.
pub(super) type Nodes = BTreeSet<NodeId>;

/// The needs of everything on one backend.
pub(super) struct Needs<'a> {
    survey: &'a Survey,
    layers: Layers,
}

impl<'a> Needs<'a> {
    /// On a backend whose layers are these.
    pub(super) fn new(survey: &'a Survey, layers: Layers) -> Self {
        Self { survey, layers }
    }

    /// What the tree of a layer needs: where layers are differences, those
    /// beneath it too.
    pub(super) fn of_layer(&self, tip: LayerId) -> Nodes {
        let mut nodes = Nodes::new();
        let mut next = Some(tip);
        while let Some(layer) = next.filter(|layer| nodes.insert(layer.0)) {
            next = match self.layers {
                Layers::Whole => None,
                Layers::Delta => self.survey.nodes.get(&layer.0).and_then(|node| node.parent),
            };
        }
        nodes
    }

    /// What a container needs: its work area, and what that stands on.
    pub(super) fn of_container(&self, container: &SurveyedContainer) -> Nodes {
        let mut nodes = self.of_layer(container.base);
        nodes.insert(container.work);
        nodes
    }

    /// These nodes, for being measured.
    pub(super) fn set(&self, nodes: &Nodes, measure: Measure) -> NodeSet {
        let over_of: HashMap<NodeId, LayerId> =
            self.survey.containers.iter().map(|container| (container.work, container.base)).collect();
        let member = |node: &NodeId| {
            let parent = self.survey.nodes.get(node).and_then(|found| found.parent);
            Member { node: *node, over: parent.or_else(|| over_of.get(node).copied()) }
        };
        NodeSet { members: nodes.iter().map(member).collect(), measure }
    }
}

/// How many of some objects need each node.
#[derive(Debug, Default)]
pub(super) struct Users(HashMap<NodeId, u32>);

impl Users {
    /// Of what is needed by nothing but verbs under way, so far.
    pub(super) fn new(survey: &Survey) -> Self {
        Self(survey.pinned.iter().map(|node| (*node, 1)).collect())
    }

    /// Counts one object more.
    pub(super) fn add(&mut self, needs: &Nodes) {
        needs.iter().for_each(|node| *self.0.entry(*node).or_default() += 1);
    }

    /// What goes when these objects go, which were counted: the nodes that only
    /// they need.
    pub(super) fn only<'a>(&self, objects: impl IntoIterator<Item = &'a Nodes>) -> Nodes {
        let mut own = Self::default();
        objects.into_iter().for_each(|needs| own.add(needs));
        own.0.iter().filter(|(node, count)| self.0.get(node) == Some(count)).map(|(node, _)| *node).collect()
    }
}
