//! What there is after some steps, as far as can be told without looking: work
//! areas, layers, and the names in their trees.
//!
//! Both makers of scripts plan with it. Wrong guesses do no harm: a step that
//! builds on one is refused on both sides, or does nothing.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::FileType;

use super::model::Model;
use super::{Action, Attempt, How, Label, Missing, Step};
use crate::edit::Edit;

/// Everything there is.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) works: BTreeMap<Label, Node>,
    pub(super) layers: BTreeMap<Label, Node>,
    pub(super) current: Label,
    deletions: bool,
}

/// A work area or a layer.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) model: Model,
    /// How many layers it has, itself included if it is one.
    pub(super) depth: usize,
    pub(super) over: Option<Label>,
}

impl World {
    /// One empty work area.
    pub(super) fn new() -> Self {
        let first = Node { model: Model::new(), depth: 0, over: None };
        Self { works: BTreeMap::from([(0, first)]), layers: BTreeMap::new(), current: 0, deletions: false }
    }

    /// The current work area.
    pub(super) fn work(&self) -> &Node {
        &self.works[&self.current]
    }

    /// Whether anything was deleted.
    pub(super) fn has_deleted(&self) -> bool {
        self.deletions
    }

    /// Whether a work area stands right on a layer.
    pub(super) fn bears_work(&self, layer: Label) -> bool {
        self.works.values().any(|work| work.over == Some(layer))
    }

    /// Whether a layer stands right on another one.
    pub(super) fn bears_layer(&self, layer: Label) -> bool {
        self.layers.values().any(|above| above.over == Some(layer))
    }

    /// Whether everything that a step names is there.
    pub(super) fn allows(&self, step: &Step) -> bool {
        let missing = |missing| missing == Missing::Never || self.deletions;
        match step.action {
            Action::Edit(_) | Action::Commit(_) | Action::Branch(None) | Action::Reopen => true,
            Action::Branch(Some(layer)) => self.layers.contains_key(&layer),
            Action::Switch(work) | Action::DeleteWork(work) => {
                work != self.current && self.works.contains_key(&work)
            }
            Action::DeleteLayer(layer) => self.layers.contains_key(&layer) && !self.bears_work(layer),
            Action::Compare(from, to) => {
                [from, to].iter().all(|node| self.works.contains_key(node) || self.layers.contains_key(node))
            }
            Action::Try(Attempt::MakeWork(work)) => self.works.contains_key(&work),
            Action::Try(Attempt::MakeLayer(layer) | Attempt::WriteTo(layer)) => {
                self.layers.contains_key(&layer)
            }
            Action::Try(
                Attempt::MakeOver(what)
                | Attempt::Open(what)
                | Attempt::Measure(what)
                | Attempt::Delete(what),
            ) => missing(what),
        }
    }

    /// Follows a step.
    pub(super) fn follow(&mut self, step: &Step) {
        match &step.action {
            Action::Edit(edit) => {
                if self.would_succeed(edit)
                    && let Some(work) = self.works.get_mut(&self.current)
                {
                    work.model.follow(edit);
                }
            }
            Action::Commit(how) => self.commit(step.number, *how),
            Action::Branch(over) => {
                let layer = over.and_then(|label| self.layers.get(&label));
                let (model, depth) =
                    layer.map_or_else(|| (Model::new(), 0), |layer| (layer.model.clone(), layer.depth));
                self.works.insert(step.number, Node { model, depth, over: *over });
                self.current = step.number;
            }
            Action::Switch(work) => self.current = *work,
            Action::DeleteWork(work) => self.deletions |= self.works.remove(work).is_some(),
            Action::DeleteLayer(layer) => self.deletions |= self.layers.remove(layer).is_some(),
            Action::Reopen | Action::Try(_) | Action::Compare(..) => {}
        }
    }

    fn commit(&mut self, label: Label, how: How) {
        let Some(work) = self.works.get_mut(&self.current) else { return };
        let mut model = work.model.clone();
        model.seal();
        let layer = Node { model: model.clone(), depth: work.depth + 1, over: work.over };
        // A work area that was in use stands on what it stood on before.
        if matches!(how, How::Idle | How::Consume) {
            *work = Node { model, depth: layer.depth, over: Some(label) };
        }
        self.layers.insert(label, layer);
    }

    /// Roughly what a kernel would say.
    fn would_succeed(&self, edit: &Edit) -> bool {
        let model = &self.work().model;
        let free = |path: &Path| {
            let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
            model.kind(path).is_none() && model.kind(parent) == Some(FileType::Directory)
        };
        let empty = |path: &Path| path != Path::new(".") && model.emptying(path).len() <= 1;
        match edit {
            Edit::Create { path, .. }
            | Edit::CreateUnnamed { path, .. }
            | Edit::MakeDirectory { path, .. }
            | Edit::Symlink { path, .. }
            | Edit::MakeNode { path, .. } => free(path),
            Edit::Unlink { path } => model.kind(path).is_some_and(|kind| kind != FileType::Directory),
            Edit::RemoveDirectory { path } => model.kind(path) == Some(FileType::Directory) && empty(path),
            Edit::Link { from, to } => {
                model.kind(from).is_some_and(|kind| kind != FileType::Directory) && free(to)
            }
            Edit::Rename { from, to } => {
                let (Some(old), new) = (model.kind(from), model.kind(to)) else { return false };
                let same_kind = |new| (old == FileType::Directory) == (new == FileType::Directory);
                from != Path::new(".")
                    && !to.starts_with(from)
                    && new.map_or_else(|| free(to), |new| same_kind(new) && empty(to))
            }
            _ => edit.subject().is_some_and(|path| model.kind(path).is_some()),
        }
    }
}
