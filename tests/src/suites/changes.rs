//! D1, D11, D15, D16, D19, A4: what a backend says of where a tree may differ,
//! and the list of changes that the core makes of it.
//!
//! Each case `d15_seed_…` is a random script in which trees are compared again
//! and again: layers and work areas of one chain, siblings, unrelated ones. It is
//! the same on all lanes: where long runs are asked for (`make soak`) 2,500 steps
//! of it, otherwise the first tenth of them; one in seven compares two trees.
//! `contract.rs` holds a backend to what the trait says of `observe`, and
//! `lists.rs` to what is rare in random scripts.

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::script::{self, Tally};
use mocker_core::backend::Sparse;

mod contract;
mod lists;

const STEPS: u64 = 2500;
const STEPS_USUALLY: u64 = STEPS / 10;

/// One case for each seed.
macro_rules! seeds {
    ($($seed:literal),*) => {
        vec![$(Case { name: concat!("d15_seed_", stringify!($seed)), run: play::<$seed>, alone: false }),*]
    };
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = seeds![1, 2, 3, 4, 5];
    cases.extend(contract::cases());
    cases.extend(lists::cases());
    cases
}

fn play<const SEED: u64>(fixture: &Fixture) {
    let stage = fixture.stage();
    let steps = if crate::soaks() { STEPS } else { STEPS_USUALLY };
    let script = script::generate_comparisons(SEED, steps);
    let failure = match stage.play(&script) {
        Ok(tally) => {
            let Tally { retyped, content_alone, xattr_alone, holes_alone, .. } = tally;
            let holes = fixture.capabilities().sparse == Sparse::Filled || holes_alone > 0;
            // What is hard to find is there, though not in the beginning of each script.
            let hard = retyped.min(content_alone).min(xattr_alone) > 0 && holes;
            let enough = (hard || !crate::soaks())
                && tally.comparisons * 15 >= steps
                && tally.changes > 4 * tally.comparisons;
            return assert!(enough, "seed {SEED} says little: {tally:?}");
        }
        Err(failure) => failure,
    };
    let found = format!("in step {} of {steps}: {failure}", failure.steps);
    let shortest = script::shrink(&stage, &script, failure);
    panic!("seed {SEED} on {} fails {found}\nshrunk to:\n{shortest}", fixture.lane());
}
