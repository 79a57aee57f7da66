//! The life of work areas and layers: made, frozen and deleted on both sides.

use mocker_core::backend::{Chain, CommitConsistency, Layers, Reclaim, complete};

use super::{Layer, Play, Work, during};
use crate::edit;
use crate::script::model::Model;
use crate::script::reference::Plain;
use crate::script::{How, Label};

impl Play<'_> {
    pub(super) fn commit(&mut self, label: Label, how: How) -> Result<(), String> {
        let nodes = &self.nodes;
        let work = self.works.get_mut(&self.current).ok_or("no current work area")?;
        match how {
            How::Paused | How::Running => work.open(nodes)?,
            How::Idle | How::Consume => work.view = None,
        }
        let declared = match self.capabilities.commit_running {
            CommitConsistency::Atomic => true,
            CommitConsistency::Paused => how != How::Running,
            CommitConsistency::Stopped => how != How::Running && how != How::Paused,
        };
        if !declared {
            self.tally.attempts += 1;
            nodes.refuse_snapshot(work.id, &work.base, how)?;
            let expected = work.plain.look();
            return self.compare_work(self.current, &expected);
        }
        let sealed = nodes.snapshot(work.id, &work.base, how)?;
        let mut model = work.model.clone();
        model.seal();
        let layer = Layer {
            id: sealed.layer,
            chain: work.base.clone().with(sealed.layer),
            expected: work.plain.look(),
            deeds: work.deeds.clone(),
            model,
        };
        // What it stands on grew where it became the layer itself, or starts over the layer.
        if sealed.work.is_none() || sealed.layer.0 == work.id.0 {
            (work.base, work.model) = (layer.chain.clone(), layer.model.clone());
        }
        work.id = match sealed.work {
            Some(lives) => lives,
            None => nodes.create(&work.base)?,
        };
        self.tally.commits += 1;
        let expected = layer.expected.clone();
        self.layers.insert(label, layer);
        self.compare_layer(label, &self.layers[&label])?;
        self.compare_work(self.current, &expected)
    }

    pub(super) fn make_work(&mut self, label: Label, over: Option<Label>) -> Result<(), String> {
        let nodes = &self.nodes;
        let layer = over.and_then(|label| self.layers.get(&label));
        let base = layer.map_or(Chain::EMPTY, |layer| layer.chain.clone());
        let id = nodes.create(&base)?;
        let plain = Plain::new(self.stage.place.join(id.to_string()))?;
        plain.stamp()?;
        let mut work = Work { id, base, view: None, plain, deeds: Vec::new(), model: Model::new() };
        work.open(nodes)?;
        match (layer, &work.view) {
            (Some(layer), _) => {
                work.plain.repeat(self.script, &layer.deeds)?;
                (work.deeds, work.model) = (layer.deeds.clone(), layer.model.clone());
                self.differ("the plain directory, made again,", &layer.expected, work.plain.look())?;
            }
            (None, Some(view)) => edit::stamp(view.top(), ".".as_ref(), 0).map_err(during("set a time"))?,
            (None, None) => {}
        }
        let expected = work.plain.look();
        self.works.insert(label, work);
        self.current = label;
        self.compare_work(label, &expected)
    }

    pub(super) fn delete_work(&mut self, label: Label) -> Result<(), String> {
        let Some(mut work) = self.works.remove(&label) else { return Ok(()) };
        work.view = None;
        self.deleted = Some(work.id.0);
        self.nodes.delete(work.id.0)
    }

    /// Deletes a layer where the engine would: unless a work area stands on it,
    /// or a layer that cannot do without.
    pub(super) fn delete_layer(&mut self, label: Label) -> Result<(), String> {
        let Some(layer) = self.layers.get(&label) else { return Ok(()) };
        let needs = |chain: &Chain| match self.capabilities.layers {
            Layers::Whole => chain.tip() == Some(layer.id),
            Layers::Delta => chain.layers().contains(&layer.id),
        };
        let above = self.layers.iter().filter(|(other, _)| **other != label).map(|(_, above)| &above.chain);
        if self.works.values().map(|work| &work.base).chain(above).any(needs) {
            return Ok(());
        }
        let id = layer.id;
        self.compare_layer(label, layer)?;
        self.tally.trees_compared += 1;
        self.layers.remove(&label);
        self.deleted = Some(id.0);
        self.nodes.delete(id.0)
    }

    /// Deletes what is left, the top of each chain first; then nothing is.
    pub(super) fn delete_all(&mut self) -> Result<(), String> {
        let mut told = Vec::new();
        for (_, mut work) in std::mem::take(&mut self.works) {
            work.view = None;
            told.extend(self.nodes.delete(work.id.0).err());
        }
        for (_, layer) in std::mem::take(&mut self.layers).into_iter().rev() {
            told.extend(self.nodes.delete(layer.id.0).err());
        }
        told.extend(self.compare_numbers().err());
        told.extend(self.reclaim().err());
        if told.is_empty() { Ok(()) } else { Err(told.join("; ")) }
    }

    /// Frees the space of all that is deleted; then there is none to free.
    fn reclaim(&self) -> Result<(), String> {
        let reclaim = || complete(self.nodes.backend.reclaim()).map_err(during("reclaim"));
        reclaim()?;
        // What a file system has to free may be another root's.
        if self.capabilities.reclaim == Reclaim::FileSystem {
            return Ok(());
        }
        match reclaim()?.nodes {
            0 => Ok(()),
            left => Err(format!("reclaim leaves the space of {left} nodes")),
        }
    }
}
