//! The suites of the main job, on every lane.
//!
//! Each area is a file; `background`, `ground`, `living` and `processes` help
//! several.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::process::ExitCode;

use mocker_conformance::harness;
use mocker_conformance::lane::Lane;
use mocker_conformance::surroundings;

mod background;
mod cli;
mod commit;
mod crash;
mod exercise;
mod faithful;
mod ground;
mod hostile;
mod living;
mod names;
mod pool;
mod processes;
mod random;
mod run;
mod storm;

fn main() -> ExitCode {
    surroundings::clear().expect("start over without the environment");
    let areas = [
        ("exercise", exercise::cases()),
        ("faithful", faithful::cases()),
        ("names", names::cases()),
        ("run", run::cases()),
        ("commit", commit::cases()),
        ("cli", cli::cases()),
        ("crash", crash::cases()),
        ("hostile", hostile::cases()),
        ("random", random::cases()),
        ("pool", pool::cases()),
        ("storm", storm::cases()),
    ];
    // The cases about the pool make their own file systems, and say the same in every lane.
    harness::run(&areas, |area, lane| area != "pool" || lane == Lane::BtrfsPool)
}
