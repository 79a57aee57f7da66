//! Plays a script on both sides, and says where they part.
//!
//! Compared are the outcome of each edit, down to the error; after each commit
//! the new layer and the work area that lives on, and a work area that was just
//! made; and every layer once more when it is deleted or the script is over,
//! because nothing that came later may have reached it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use mocker_core::backend::{
    Access, Capabilities, Chain, HardlinkCopyup, LayerId, Layers, Node, RenameDir, SnapshotBackend, WorkId,
};
use mocker_core::mount::View;
use rustix::io::Errno;

use super::model::Model;
use super::reference::{Deed, Plain};
use super::{Action, Failure, How, Label, Step, Tally};
use crate::edit::{self, Edit};
use crate::nodes::Nodes;
use crate::oracle::Tree;

mod compare;

/// A backend and a place for plain directories.
#[derive(Debug)]
pub struct Stage {
    nodes: Nodes,
    place: PathBuf,
}

impl Stage {
    /// A stage for a backend without nodes; `place` is made.
    pub fn new(backend: Arc<dyn SnapshotBackend>, place: PathBuf) -> Self {
        std::fs::create_dir(&place).expect("make a place for plain directories");
        Self { nodes: Nodes::of(backend), place }
    }

    /// Plays a script. Whatever it made is deleted again.
    ///
    /// # Errors
    /// The first difference.
    pub fn play(&self, script: &[Step]) -> Result<Tally, Failure> {
        let mut play = Play {
            stage: self,
            script,
            capabilities: self.nodes.capabilities(),
            works: BTreeMap::new(),
            layers: BTreeMap::new(),
            current: 0,
            tally: Tally::default(),
        };
        let mut outcome = play.make_work(0, None).map_err(|what| Failure { steps: 0, what });
        for (place, step) in script.iter().enumerate() {
            outcome = outcome
                .and_then(|()| play.perform(place, step).map_err(|what| Failure { steps: place + 1, what }));
        }
        let last = |what| Failure { steps: script.len(), what };
        outcome = outcome.and_then(|()| play.compare_all().map_err(last));
        match (outcome, play.delete_all()) {
            (Ok(()), Ok(())) => Ok(play.tally),
            (Ok(()), Err(what)) => Err(last(what)),
            (Err(failure), Ok(())) => Err(failure),
            (Err(mut failure), Err(what)) => {
                failure.what = format!("{}\nand then: {what}", failure.what);
                Err(failure)
            }
        }
    }
}

struct Work {
    id: WorkId,
    base: Chain,
    /// Open for writing, as a container has it.
    view: Option<View>,
    plain: Plain,
    deeds: Vec<Deed>,
    model: Model,
}

struct Layer {
    id: LayerId,
    /// It, and what it stands on.
    chain: Chain,
    expected: Tree,
    deeds: Vec<Deed>,
    model: Model,
}

struct Play<'a> {
    stage: &'a Stage,
    script: &'a [Step],
    capabilities: Capabilities,
    works: BTreeMap<Label, Work>,
    layers: BTreeMap<Label, Layer>,
    current: Label,
    tally: Tally,
}

impl Play<'_> {
    fn perform(&mut self, place: usize, step: &Step) -> Result<(), String> {
        match &step.action {
            Action::Edit(edit) => self.edit(place, step.number, edit),
            Action::Commit(_) if self.is_full() => Ok(()),
            Action::Commit(how) => self.commit(step.number, *how),
            Action::Branch(over) if over.is_none_or(|layer| self.layers.contains_key(&layer)) => {
                self.tally.branches += 1;
                self.make_work(step.number, *over)
            }
            Action::Switch(work) if self.works.contains_key(work) => {
                self.current = *work;
                Ok(())
            }
            Action::DeleteWork(work) if *work != self.current => self.delete_work(*work),
            Action::DeleteLayer(layer) => self.delete_layer(*layer),
            Action::Branch(_) | Action::Switch(_) | Action::DeleteWork(_) => Ok(()),
        }
    }

    /// Whether a chain is as long as the backend takes it.
    fn is_full(&self) -> bool {
        let depth = self.works.get(&self.current).map_or(0, |work| work.base.depth());
        self.capabilities.max_depth.is_some_and(|most| depth >= most)
    }

    fn edit(&mut self, place: usize, number: u64, edit: &Edit) -> Result<(), String> {
        let work = self.works.get_mut(&self.current).ok_or("no current work area")?;
        work.open(&self.stage.nodes)?;
        let view = work.view.as_ref().ok_or("no view")?;
        let outcome = edit.apply(view.top(), number);
        self.tally.edits += 1;
        let across = self.capabilities.rename_dir == RenameDir::Exdev
            && matches!(edit, Edit::Rename { from, to } if from != to && work.model.is_directory_beneath(from));
        if across && outcome == Err(Errno::XDEV) {
            self.tally.renames_across += 1;
            return Ok(());
        }
        if across && outcome.is_ok() {
            return Err("a directory from a layer was renamed, which is declared to be refused".to_owned());
        }
        let one_name = matches!(edit, Edit::Rename { from, to } if from == to);
        if self.capabilities.hardlink_copyup == HardlinkCopyup::Break
            && outcome.is_ok()
            && !one_name
            && let Some(subject) = edit.subject()
            && work.model.is_link_beneath(subject)
        {
            work.plain.split(subject)?;
            work.model.split(subject);
            work.deeds.push(Deed::Split(place));
            self.tally.links_broken += 1;
        }
        let expected = edit.apply(work.plain.top(), number);
        if outcome != expected {
            let told = |outcome: rustix::io::Result<()>| match outcome {
                Ok(()) => "is done".to_owned(),
                Err(errno) => format!("fails: {errno}"),
            };
            return Err(format!("it {}; in a plain directory it {}", told(outcome), told(expected)));
        }
        match outcome {
            Ok(()) => {
                work.model.follow(edit);
                work.deeds.push(Deed::Edit(place));
            }
            Err(_) => self.tally.refused += 1,
        }
        Ok(())
    }

    fn commit(&mut self, label: Label, how: How) -> Result<(), String> {
        let nodes = &self.stage.nodes;
        let work = self.works.get_mut(&self.current).ok_or("no current work area")?;
        if how == How::Paused {
            work.open(nodes)?;
        } else {
            work.view = None;
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

    fn make_work(&mut self, label: Label, over: Option<Label>) -> Result<(), String> {
        let nodes = &self.stage.nodes;
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

    fn delete_work(&mut self, label: Label) -> Result<(), String> {
        let Some(mut work) = self.works.remove(&label) else { return Ok(()) };
        work.view = None;
        self.stage.nodes.delete(work.id.0)
    }

    /// Deletes a layer where the engine would: unless a work area stands on it,
    /// or a layer that cannot do without.
    fn delete_layer(&mut self, label: Label) -> Result<(), String> {
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
        self.stage.nodes.delete(id.0)?;
        self.layers.remove(&label);
        Ok(())
    }

    /// Deletes what is left, the top of each chain first; then nothing is.
    fn delete_all(&mut self) -> Result<(), String> {
        let mut told = Vec::new();
        for (_, mut work) in std::mem::take(&mut self.works) {
            work.view = None;
            told.extend(self.stage.nodes.delete(work.id.0).err());
        }
        for (_, layer) in std::mem::take(&mut self.layers).into_iter().rev() {
            told.extend(self.stage.nodes.delete(layer.id.0).err());
        }
        let left = mocker_core::backend::complete(self.stage.nodes.backend.list());
        match left {
            Ok(left) if left.is_empty() => {}
            Ok(left) => {
                told.push(format!("nodes {left:?} are left"));
                // They would be in the way of the next script.
                left.iter().for_each(|node| told.extend(self.stage.nodes.delete(*node).err()));
            }
            Err(error) => told.push(format!("cannot list: {error}")),
        }
        if told.is_empty() { Ok(()) } else { Err(told.join("; ")) }
    }
}

impl Work {
    fn open(&mut self, nodes: &Nodes) -> Result<(), String> {
        if self.view.is_none() {
            self.view = Some(nodes.view(Node::Work(self.id), &self.base, Access::Write)?);
        }
        Ok(())
    }
}

/// Says at what something failed.
pub(crate) fn during<E: fmt::Display>(doing: &'static str) -> impl Fn(E) -> String {
    move |error| format!("cannot {doing}: {error}")
}
