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

/// How many of a thousand steps are of each kind; the rest are edits, and so are
/// the first ones.
#[derive(Debug, Clone, Copy)]
struct Shares {
    first_edits: Label,
    /// Edits that hardly show.
    quiet: u32,
    commit: u32,
    branch: u32,
    switch: u32,
    delete_work: u32,
    delete_layer: u32,
    compare: u32,
    /// One in so many work areas stands over nothing.
    over_nothing: u32,
}

/// A tree grows through dozens of layers.
const LONG: Shares = Shares {
    first_edits: 0,
    quiet: 15,
    commit: 25,
    branch: 5,
    switch: 8,
    delete_work: 3,
    delete_layer: 7,
    compare: 0,
    over_nothing: 25,
};

/// Many trees that are nearly the same, and some that have nothing in common.
const COMPARING: Shares = Shares {
    first_edits: 60,
    quiet: 120,
    commit: 60,
    branch: 25,
    switch: 25,
    delete_work: 8,
    delete_layer: 8,
    compare: 160,
    over_nothing: 6,
};

/// Makes a script of so many steps; a shorter one is the beginning of a longer.
pub fn generate(seed: u64, steps: u64) -> Vec<Step> {
    make(LONG, seed, steps)
}

/// As [`generate`], a script in which trees are compared with each other.
pub fn generate_comparisons(seed: u64, steps: u64) -> Vec<Step> {
    make(COMPARING, seed, steps)
}

fn make(shares: Shares, seed: u64, steps: u64) -> Vec<Step> {
    let mut generator =
        Generator { shares, random: Rng::with_seed(seed), world: World::new(), planned: VecDeque::new() };
    (1..=steps).map(|number| generator.next(number)).collect()
}

/// Makes a step of one kind; `None` where there is nothing to do it to.
type Choose = fn(&mut Generator) -> Option<Action>;

struct Generator {
    shares: Shares,
    random: Rng,
    world: World,
    /// Edits of the current work area that belong together.
    planned: VecDeque<Edit>,
}

impl Generator {
    fn next(&mut self, number: Label) -> Step {
        let step = Step { number, action: self.action(number) };
        self.world.follow(&step);
        if matches!(step.action, Action::Branch(_) | Action::Switch(_)) {
            self.planned.clear();
        }
        step
    }

    fn action(&mut self, number: Label) -> Action {
        let action = if number <= self.shares.first_edits {
            None
        } else if self.world.work().depth >= LONGEST_CHAIN {
            self.branch()
        } else {
            self.share().and_then(|choose| choose(self))
        };
        action.unwrap_or_else(|| Action::Edit(self.next_edit()))
    }

    /// Something else than an edit, as often as it is due.
    fn share(&mut self) -> Option<Choose> {
        let Shares { quiet, commit, branch, switch, delete_work, delete_layer, compare, .. } = self.shares;
        let choices: [(u32, Choose); 7] = [
            (quiet, |this| Some(Action::Edit(this.change_a_twin()))),
            (commit, Self::commit),
            (branch, Self::branch),
            (switch, Self::switch),
            (delete_work, Self::delete_work),
            (delete_layer, Self::delete_layer),
            (compare, Self::compare),
        ];
        let mut at = self.random.u32(0..1000);
        for (share, choose) in choices {
            match at.checked_sub(share) {
                None => return Some(choose),
                Some(rest) => at = rest,
            }
        }
        None
    }

    /// Any two trees, now and then one with itself; most often one of them is the
    /// one that is being changed.
    fn compare(&mut self) -> Option<Action> {
        let all: Vec<_> = self.world.layers.keys().chain(self.world.works.keys()).copied().collect();
        let mut any = |but: Option<Label>| {
            let one = match self.random.u32(0..3) {
                0 => Some(self.world.current),
                _ => self.random.choice(&all).copied(),
            };
            one.filter(|one| Some(*one) != but).or_else(|| self.random.choice(&all).copied())
        };
        let from = any(None)?;
        Some(Action::Compare(from, any(Some(from))?))
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
        let over =
            if self.random.u32(0..self.shares.over_nothing) == 0 { None } else { self.random.choice(short) };
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
