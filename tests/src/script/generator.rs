//! Makes a script out of a seed: here what becomes of layers and work areas, in
//! `edits.rs` the edits, in `plans.rs` those that belong together.
//!
//! Most steps are possible, because the generator keeps a [`World`]; some are
//! not, because refusals are compared too. The names are few, so that they are
//! used again and again: a file where a directory was, in the next layer or over
//! the same whiteout, is where drivers go wrong.

use std::collections::VecDeque;

use fastrand::Rng;

use super::world::World;
use super::{Action, How, Label, Step};
use crate::edit::Edit;

pub(super) mod edits;
mod plans;

/// Layers in a chain, from which on the next step goes back to a shorter one.
const LONGEST_CHAIN: usize = 40;
/// Work areas and layers that are kept at a time.
const MOST_WORKS: usize = 3;
const MOST_LAYERS: usize = 40;

/// Makes a script of so many steps; a shorter one is the beginning of a longer.
pub fn generate(seed: u64, steps: u64) -> Vec<Step> {
    let mut generator =
        Generator { random: Rng::with_seed(seed), world: World::new(), planned: VecDeque::new() };
    (1..=steps).map(|number| generator.next(number)).collect()
}

struct Generator {
    random: Rng,
    world: World,
    /// Edits of the current work area that belong together.
    planned: VecDeque<Edit>,
}

impl Generator {
    fn next(&mut self, number: Label) -> Step {
        let step = Step { number, action: self.action() };
        self.world.follow(&step);
        if matches!(step.action, Action::Branch(_) | Action::Switch(_)) {
            self.planned.clear();
        }
        step
    }

    fn action(&mut self) -> Action {
        let action = match self.random.u32(0..1000) {
            _ if self.world.work().depth >= LONGEST_CHAIN => self.branch(),
            0..25 => self.commit(),
            25..30 => self.branch(),
            30..38 => self.switch(),
            38..41 => self.delete_work(),
            41..48 => self.delete_layer(),
            _ => None,
        };
        action.unwrap_or_else(|| Action::Edit(self.next_edit()))
    }

    fn next_edit(&mut self) -> Edit {
        match self.planned.pop_front() {
            Some(edit) if self.random.u32(0..4) > 0 => edit,
            put_off => {
                self.planned.extend(put_off);
                self.planned.rotate_right(usize::from(!self.planned.is_empty()));
                self.edit()
            }
        }
    }

    fn commit(&mut self) -> Option<Action> {
        let how = match self.random.u32(0..10) {
            0..6 => How::Idle,
            6..8 => How::Paused,
            _ => How::Consume,
        };
        if self.world.layers.len() >= MOST_LAYERS {
            return self.delete_layer();
        }
        Some(Action::Commit(how))
    }

    fn branch(&mut self) -> Option<Action> {
        if self.world.works.len() >= MOST_WORKS {
            // The oldest one that is not the current one makes room.
            return self.other_works().first().copied().map(Action::DeleteWork);
        }
        let short: Vec<_> = self
            .world
            .layers
            .iter()
            .filter(|(_, layer)| layer.depth < LONGEST_CHAIN / 2)
            .map(|(label, _)| *label)
            .collect();
        let over = if self.random.u32(0..25) == 0 { None } else { self.random.choice(short) };
        Some(Action::Branch(over))
    }

    fn switch(&mut self) -> Option<Action> {
        let others = self.other_works();
        self.random.choice(others).map(Action::Switch)
    }

    fn delete_work(&mut self) -> Option<Action> {
        let others = self.other_works();
        self.random.choice(others).map(Action::DeleteWork)
    }

    fn other_works(&self) -> Vec<Label> {
        self.world.works.keys().copied().filter(|label| *label != self.world.current).collect()
    }

    /// One that nothing stands on, or now and then any that no work area stands
    /// on directly, which only whole layers bear.
    fn delete_layer(&mut self) -> Option<Action> {
        let inner = self.random.u32(0..4) == 0;
        let world = &self.world;
        let in_use = |label: Label| world.bears_work(label) || !inner && world.bears_layer(label);
        let free: Vec<_> = world.layers.keys().copied().filter(|label| !in_use(*label)).collect();
        self.random.choice(free).map(Action::DeleteLayer)
    }
}
