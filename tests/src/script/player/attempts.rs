//! Calls that the contract refuses, and one that has nothing to do. Nothing
//! changes by them.

use mocker_core::ErrorKind;
use mocker_core::backend::{Access, Chain, LayerId, Layers, Node, NodeId, WorkId, complete};

use super::{Play, during};
use crate::nodes::must_fail;
use crate::script::{Attempt, Label, Missing};

impl Play<'_> {
    pub(super) fn attempt(&mut self, attempt: Attempt) -> Result<(), String> {
        match attempt {
            Attempt::MakeWork(label) => self.make_again(label, self.works.get(&label).map(|work| work.id.0)),
            Attempt::MakeLayer(label) => {
                self.make_again(label, self.layers.get(&label).map(|layer| layer.id.0))
            }
            Attempt::WriteTo(label) => self.write_to(label),
            Attempt::MakeOver(missing) => self.on_missing(missing, Self::make_over),
            Attempt::Open(missing) => self.on_missing(missing, Self::open),
            Attempt::Measure(missing) => self.on_missing(missing, Self::measure),
            Attempt::Delete(missing) => self.on_missing(missing, Self::delete),
        }
    }

    fn make_again(&mut self, label: Label, node: Option<NodeId>) -> Result<(), String> {
        let Some(node) = node else { return Ok(()) };
        self.tally.attempts += 1;
        // Over a layer that a copy would have to be made of, where there is one.
        let base = self.layers.values().next().map_or(Chain::EMPTY, |layer| layer.chain.clone());
        let outcome = complete(self.nodes.backend.create(WorkId(node), &base));
        must_fail("create under a number in use", outcome, ErrorKind::AlreadyExists)?;
        match self.layers.get(&label) {
            Some(layer) if layer.id.0 == node => self.compare_layer(label, layer),
            _ => {
                let expected = self.works.get(&label).ok_or("no such work area")?.plain.look();
                self.compare_work(label, &expected)
            }
        }
    }

    fn write_to(&mut self, label: Label) -> Result<(), String> {
        let Some(layer) = self.layers.get(&label) else { return Ok(()) };
        self.tally.attempts += 1;
        let outcome = complete(self.nodes.backend.rootfs(Node::Layer(layer.id), &layer.chain, Access::Write));
        must_fail("rootfs of a layer for writing", outcome, ErrorKind::InvalidInput)
    }

    fn on_missing(
        &mut self,
        missing: Missing,
        call: fn(&Self, NodeId) -> Result<(), String>,
    ) -> Result<(), String> {
        let node = match missing {
            Missing::Never => Some(self.nodes.fresh()),
            Missing::Deleted => self.deleted,
        };
        let Some(node) = node else { return Ok(()) };
        self.tally.attempts += 1;
        call(self, node)
    }

    fn make_over(&self, node: NodeId) -> Result<(), String> {
        let call = "create over a layer that is not there";
        let alone = Chain::EMPTY.with(LayerId(node));
        // Whole layers do without what they stand on.
        let beneath = match self.layers.values().next() {
            Some(layer) if self.capabilities.layers == Layers::Delta => Some(alone.clone().with(layer.id)),
            _ => None,
        };
        for base in std::iter::once(alone).chain(beneath) {
            let outcome = complete(self.nodes.backend.create(WorkId(self.nodes.fresh()), &base));
            must_fail(call, outcome, ErrorKind::NotFound)?;
        }
        Ok(())
    }

    fn open(&self, node: NodeId) -> Result<(), String> {
        let call = "rootfs of a node that is not there";
        for (role, base, access) in as_both(node) {
            let outcome = complete(self.nodes.backend.rootfs(role, &base, access));
            must_fail(call, outcome, ErrorKind::NotFound)?;
        }
        Ok(())
    }

    fn measure(&self, node: NodeId) -> Result<(), String> {
        match self.nodes.usage(&[node], &Chain::EMPTY).map_err(during("measure"))?.as_slice() {
            [None] => Ok(()),
            other => Err(format!("a node that is not there is said to hold {other:?}")),
        }
    }

    fn delete(&self, node: NodeId) -> Result<(), String> {
        complete(self.nodes.backend.delete(node)).map_err(during("delete a node that is not there"))
    }
}

/// In either role, and for what that is opened.
fn as_both(node: NodeId) -> [(Node, Chain, Access); 2] {
    let layer = LayerId(node);
    [
        (Node::Work(WorkId(node)), Chain::EMPTY, Access::Write),
        (Node::Layer(layer), Chain::EMPTY.with(layer), Access::Read),
    ]
}
