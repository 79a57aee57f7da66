//! Makes a script out of a seed: here what becomes of layers and work areas, in
//! `edits.rs` the edits.
//!
//! Most steps are possible, because the generator keeps a [`Model`] of each work
//! area; some are not, because refusals are compared too. The names are few, so
//! that they are used again and again: a file where a directory was, in the next
//! layer or over the same whiteout, is where drivers go wrong.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

use fastrand::Rng;
use rustix::fs::FileType;

use super::model::Model;
use super::{Action, How, Label, Step};
use crate::edit::Edit;

mod edits;

/// Layers in a chain, from which on the next step goes back to a shorter one.
const LONGEST_CHAIN: usize = 40;
/// Work areas and layers that are kept at a time.
const MOST_WORKS: usize = 3;
const MOST_LAYERS: usize = 40;

/// Makes a script of so many steps; a shorter one is the beginning of a longer.
pub fn generate(seed: u64, steps: u64) -> Vec<Step> {
    let mut generator = Generator {
        random: Rng::with_seed(seed),
        works: BTreeMap::from([(0, Work { model: Model::new(), depth: 0, over: None })]),
        layers: BTreeMap::new(),
        current: 0,
        planned: VecDeque::new(),
    };
    (1..=steps).map(|number| Step { number, action: generator.next(number) }).collect()
}

struct Work {
    model: Model,
    depth: usize,
    over: Option<Label>,
}

struct Layer {
    model: Model,
    depth: usize,
    over: Option<Label>,
}

struct Generator {
    random: Rng,
    works: BTreeMap<Label, Work>,
    layers: BTreeMap<Label, Layer>,
    current: Label,
    /// Edits of the current work area that belong together.
    planned: VecDeque<Edit>,
}

impl Generator {
    fn next(&mut self, number: Label) -> Action {
        let action = match self.random.u32(0..1000) {
            _ if self.work().depth >= LONGEST_CHAIN => self.branch(),
            0..25 => self.commit(number),
            25..30 => self.branch(),
            30..38 => self.switch(),
            38..41 => self.delete_work(),
            41..48 => self.delete_layer(),
            _ => None,
        };
        if let Some(action) = action {
            if let Action::Branch(over) = action {
                let (model, depth) = over
                    .and_then(|label| self.layers.get(&label))
                    .map_or_else(|| (Model::new(), 0), |layer| (layer.model.clone(), layer.depth));
                self.works.insert(number, Work { model, depth, over });
                self.current = number;
                self.planned.clear();
            }
            return action;
        }
        let edit = match self.planned.pop_front() {
            Some(edit) if self.random.u32(0..4) > 0 => edit,
            put_off => {
                self.planned.extend(put_off);
                self.planned.rotate_right(usize::from(!self.planned.is_empty()));
                self.edit()
            }
        };
        if self.would_succeed(&edit) {
            self.work_mut().model.follow(&edit);
        }
        Action::Edit(edit)
    }

    fn work(&self) -> &Work {
        &self.works[&self.current]
    }

    fn work_mut(&mut self) -> &mut Work {
        self.works.entry(self.current).or_insert_with(|| unreachable!("the current work area is there"))
    }

    fn commit(&mut self, number: Label) -> Option<Action> {
        let how = match self.random.u32(0..10) {
            0..6 => How::Idle,
            6..8 => How::Paused,
            _ => How::Consume,
        };
        if self.layers.len() >= MOST_LAYERS {
            return self.delete_layer();
        }
        let work = self.work_mut();
        let mut model = work.model.clone();
        model.seal();
        let layer = Layer { model: model.clone(), depth: work.depth + 1, over: work.over };
        // A work area that was in use stands on what it stood on before.
        if how != How::Paused {
            work.model = model;
            work.depth += 1;
            work.over = Some(number);
        }
        self.layers.insert(number, layer);
        Some(Action::Commit(how))
    }

    fn branch(&mut self) -> Option<Action> {
        if self.works.len() >= MOST_WORKS {
            // The oldest one that is not the current one makes room.
            let oldest = *self.works.keys().find(|label| **label != self.current)?;
            self.works.remove(&oldest);
            return Some(Action::DeleteWork(oldest));
        }
        let short: Vec<_> = self
            .layers
            .iter()
            .filter(|(_, layer)| layer.depth < LONGEST_CHAIN / 2)
            .map(|(label, _)| *label)
            .collect();
        let over = if self.random.u32(0..25) == 0 { None } else { self.random.choice(short) };
        Some(Action::Branch(over))
    }

    fn switch(&mut self) -> Option<Action> {
        let others: Vec<_> = self.works.keys().copied().filter(|label| *label != self.current).collect();
        self.current = self.random.choice(others)?;
        self.planned.clear();
        Some(Action::Switch(self.current))
    }

    fn delete_work(&mut self) -> Option<Action> {
        let others: Vec<_> = self.works.keys().copied().filter(|label| *label != self.current).collect();
        let label = self.random.choice(others)?;
        self.works.remove(&label);
        Some(Action::DeleteWork(label))
    }

    /// One that nothing stands on, or now and then any that no work area stands
    /// on directly, which only whole layers bear.
    fn delete_layer(&mut self) -> Option<Action> {
        let inner = self.random.u32(0..4) == 0;
        let in_use = |label: &Label| {
            let over = Some(*label);
            self.works.values().any(|work| work.over == over)
                || !inner && self.layers.values().any(|layer| layer.over == over)
        };
        let free: Vec<_> = self.layers.keys().filter(|label| !in_use(label)).copied().collect();
        let label = self.random.choice(free)?;
        self.layers.remove(&label);
        Some(Action::DeleteLayer(label))
    }

    /// Roughly what a kernel would say. Wrong guesses do no harm: the steps that
    /// build on them are refused on all sides.
    fn would_succeed(&self, edit: &Edit) -> bool {
        let model = &self.work().model;
        let free = |path: &Path| {
            let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
            model.kind(path).is_none() && model.kind(parent) == Some(FileType::Directory)
        };
        let empty = |path: &Path| path != Path::new(".") && model.emptying(path).len() <= 1;
        match edit {
            Edit::Create { path, .. }
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
