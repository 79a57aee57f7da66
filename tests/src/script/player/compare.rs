//! Compares the trees of the backend with those of the plain side.

use std::collections::BTreeSet;

use mocker_core::backend::{Access, Node, Sparse, complete};

use super::{Layer, Play, during};
use crate::nodes;
use crate::oracle::{self, Tree};
use crate::script::Label;

impl Play<'_> {
    pub(super) fn compare_layer(&self, label: Label, layer: &Layer) -> Result<(), String> {
        let view = self.nodes.view(Node::Layer(layer.id), &layer.chain, Access::Read)?;
        self.differ(&format!("layer {label}"), &layer.expected, nodes::look(&view))
    }

    pub(super) fn compare_work(&mut self, label: Label, expected: &Tree) -> Result<(), String> {
        let work = self.works.get_mut(&label).ok_or("no such work area")?;
        work.open(&self.nodes)?;
        let found = work.view.as_ref().map(nodes::look).ok_or("no view")?;
        self.tally.trees_compared += 2;
        self.differ(&format!("work area {label}"), expected, found)
    }

    /// Everything that is there in the end; the work areas for reading, which is
    /// another way than for writing.
    pub(super) fn compare_all(&mut self) -> Result<(), String> {
        for (label, layer) in &self.layers {
            self.compare_layer(*label, layer)?;
        }
        for (label, work) in &mut self.works {
            work.view = None;
            let view = self.nodes.view(Node::Work(work.id), &work.base, Access::Read)?;
            let found = nodes::look(&view);
            differ(self.capabilities.sparse, &format!("work area {label}"), &work.plain.look(), found)?;
        }
        self.tally.trees_compared += (self.layers.len() + self.works.len()) as u64;
        Ok(())
    }

    /// The backend has all nodes that there should be, and no others.
    pub(super) fn compare_numbers(&self) -> Result<(), String> {
        let listed = complete(self.nodes.backend.list()).map_err(during("list the nodes"))?;
        let works = self.works.values().map(|work| work.id.0);
        let expected: BTreeSet<_> = works.chain(self.layers.values().map(|layer| layer.id.0)).collect();
        let listed: Vec<_> = listed.into_iter().filter(|node| !self.strangers.contains(node)).collect();
        if listed.iter().eq(&expected) {
            return Ok(());
        }
        Err(format!("it lists the nodes {listed:?}, and there should be {expected:?}"))
    }

    pub(super) fn differ(&self, what: &str, expected: &Tree, found: Tree) -> Result<(), String> {
        differ(self.capabilities.sparse, what, expected, found)
    }
}

fn differ(sparse: Sparse, what: &str, expected: &Tree, found: Tree) -> Result<(), String> {
    let differences = match sparse {
        Sparse::Kept => oracle::differences(expected, &found),
        Sparse::Filled => oracle::differences(&expected.clone().without_holes(), &found.without_holes()),
    };
    if differences.is_empty() {
        return Ok(());
    }
    Err(format!("{what} is not as it should be:\n{}", differences.join("\n")))
}
