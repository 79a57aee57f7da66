//! K1, K3: a repair that is killed, at every step and at any moment, is done
//! again, and everything is there.

use std::time::{Duration, Instant};

use super::records::{assert_every_verb_says_so, database};
use super::{World, checked, world};
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::background;

pub(super) fn cases() -> Vec<Case> {
    cases![k3_a_repair_that_is_killed_at_any_moment_is_done_again]
}

/// A repair of a database that is gone dies at a crash point, and is done again.
pub(crate) fn exchanged_at(fixture: &Fixture, point: &str) {
    let world = world(fixture);
    break_it(fixture);
    let mut repair = background::mocker(fixture, &["check", "--repair"]);
    let ended = background::finish(repair.env("MOCKER_CRASH_AT", point));
    assert_eq!(ended.signal, Some(9), "it never came to {point}: {ended:?}");
    if point != "check.after-exchange" {
        // Half of it is as good as nothing, and nobody goes on with it by mistake.
        assert_every_verb_says_so(fixture);
    }
    assert_comes_back(&world);
}

fn break_it(fixture: &Fixture) {
    super::records::fold(fixture);
    std::fs::write(database(fixture, ""), "no database").unwrap();
}

#[track_caller]
fn assert_comes_back(world: &World<'_>) {
    let (left, _) = checked(world.fixture, &["--repair"]);
    assert_eq!(left, []);
    assert!(!database(world.fixture, ".new").exists(), "something half done is left");
    world.assert_as_before();
}

fn k3_a_repair_that_is_killed_at_any_moment_is_done_again(fixture: &Fixture) {
    const MOMENTS: u32 = 12;
    let world = world(fixture);
    let before = (fixture.images(), fixture.containers());
    break_it(fixture);
    let started = Instant::now();
    fixture.ok(&["check", "--repair"]);
    let length = started.elapsed();
    for moment in 0..MOMENTS {
        break_it(fixture);
        // Orphans, too, and something to be written.
        super::planted::unneeded_storage(fixture, u64::from(moment));
        let job = background::start(&mut background::mocker(fixture, &["check", "--repair"]));
        std::thread::sleep(length * moment / MOMENTS + Duration::from_micros(200));
        // It may have ended; then it is a zombie, which takes every signal.
        job.signal(rustix::process::Signal::KILL);
        drop(job.end());
        let (left, _) = checked(fixture, &["--repair"]);
        assert!(left.iter().all(|(code, _)| code == "orphan-node"), "{left:?}");
        assert_eq!((fixture.images(), fixture.containers()), before, "killed at moment {moment}");
        assert_eq!(checked(fixture, &["--repair"]).0, []);
    }
    world.assert_as_before();
}
