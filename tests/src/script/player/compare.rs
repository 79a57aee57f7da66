//! Compares the trees of the backend with those of the plain side.

use mocker_core::backend::{Access, Node, Sparse};

use super::{Layer, Play};
use crate::nodes;
use crate::oracle::{self, Tree};
use crate::script::Label;

impl Play<'_> {
    pub(super) fn compare_layer(&self, label: Label, layer: &Layer) -> Result<(), String> {
        let view = self.stage.nodes.view(Node::Layer(layer.id), &layer.chain, Access::Read)?;
        self.differ(&format!("layer {label}"), &layer.expected, nodes::look(&view))
    }

    pub(super) fn compare_work(&mut self, label: Label, expected: &Tree) -> Result<(), String> {
        let work = self.works.get_mut(&label).ok_or("no such work area")?;
        work.open(&self.stage.nodes)?;
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
            let view = self.stage.nodes.view(Node::Work(work.id), &work.base, Access::Read)?;
            let found = nodes::look(&view);
            differ(self.capabilities.sparse, &format!("work area {label}"), &work.plain.look(), found)?;
        }
        self.tally.trees_compared += (self.layers.len() + self.works.len()) as u64;
        Ok(())
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
