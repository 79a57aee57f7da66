//! L1, L2, L4, L12–L14, A4, C1, K1: random calls of create, snapshot, delete,
//! rootfs, list and reclaim, with edits and reopening in between, give what they
//! give in plain directories; and calls that the contract refuses are refused as
//! it says, and change nothing.
//!
//! Each case is a seed, the same on all lanes: where long runs are asked for
//! (`make soak`) 100 scripts of 50 to 100 steps of it, otherwise the first tenth
//! of them.

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::script::search;

const RUNS: u32 = 100;
const RUNS_USUALLY: u32 = RUNS / 10;

/// One case for each seed.
macro_rules! seeds {
    ($($seed:literal),*) => {
        vec![$(Case { name: concat!("random_calls_", stringify!($seed)), run: play::<$seed>, alone: false }),*]
    };
}

pub(crate) fn cases() -> Vec<Case> {
    seeds![0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
}

fn play<const SEED: u64>(fixture: &Fixture) {
    let runs = if crate::soaks() { RUNS } else { RUNS_USUALLY };
    match search(&fixture.stage(), SEED, runs) {
        Ok(tally) => {
            // Scripts in which nearly nothing happens would prove little.
            let each = u64::from(runs);
            let enough = tally.refused * 2 < tally.edits
                && tally.commits > 2 * each
                && tally.branches > each
                && tally.reopened > each
                && tally.attempts > 5 * each;
            assert!(enough, "seed {SEED} says little: {tally:?}");
        }
        Err(found) => panic!("seed {SEED} on {} fails with this script:\n{found}", fixture.lane()),
    }
}
