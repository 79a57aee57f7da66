//! L1, L12–L14, F, C1: a random script of edits, commits, branches and deletions
//! gives the same trees as it gives in plain directories, on every lane.
//!
//! Each case is a seed, the same on all lanes: where long runs are asked for
//! (`make soak`) 5,000 steps of it, otherwise the first tenth of them.

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::script;

const STEPS: u64 = 5000;
const STEPS_USUALLY: u64 = STEPS / 10;

/// One case for each seed.
macro_rules! seeds {
    ($($seed:literal),*) => {
        vec![$(Case { name: concat!("seed_", stringify!($seed)), run: play::<$seed>, alone: false }),*]
    };
}

pub(crate) fn cases() -> Vec<Case> {
    // Not 3: over an overlay more than half of its edits are refused.
    seeds![1, 2, 21, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]
}

fn play<const SEED: u64>(fixture: &Fixture) {
    let stage = fixture.stage();
    let steps = if crate::soaks() { STEPS } else { STEPS_USUALLY };
    let script = script::generate(SEED, steps);
    let failure = match stage.play(&script) {
        Ok(tally) => {
            // What is mostly refused, or never committed, would prove little.
            let enough = tally.refused * 2 < tally.edits && tally.commits * 100 >= steps;
            return assert!(enough, "seed {SEED} says little: {tally:?}");
        }
        Err(failure) => failure,
    };
    let found = format!("in step {} of {steps}: {failure}", failure.steps);
    let shortest = script::shrink(&stage, &script, failure);
    panic!("seed {SEED} on {} fails {found}\nshrunk to:\n{shortest}", fixture.lane());
}
