//! The command that cleans up after a crash dies as well.

use crate::fixture::Fixture;
use crate::harness::Case;

use super::{CHANGE, Left, at_points, die_at, every_tree, next_command};
use crate::suites::background::{self, wait_until};
use crate::suites::processes;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at_points!(
        once_more,
        "the_clean_up_of_a_dead_run_rm_dies_too",
        ["rm.before-commit-point", "rm.after-commit-point", "rm.after-delete"]
    ));
    cases.extend(at_points!(
        again_and_again,
        "the_clean_up_dies_three_times_and_still_comes_to_an_end",
        ["rm.before-commit-point", "rm.after-commit-point", "rm.after-delete"]
    ));
    cases
}

fn once_more(fixture: &Fixture, point: &str) {
    fixture.image("base");
    let before = fixture.state();
    let run: Vec<_> = ["run", "--rm", "base"].into_iter().chain(CHANGE).collect();
    let first = die_at(fixture, "run.after-exit", &run);
    let second = die_at(fixture, point, &["ps"]);
    next_command(fixture, &first);
    next_command(fixture, &second);
    assert_eq!(fixture.state(), before);
}

fn again_and_again(fixture: &Fixture, point: &str) {
    fixture.image("base");
    let before = fixture.state();
    let words = ["run", "--rm", "base", "sleep", "98765"];
    let jobs = [(); 3].map(|()| background::start(&mut background::mocker(fixture, &words)));
    wait_until("three containers run", || fixture.ok(&["ps", "--running", "-q"]).lines().count() == 3);
    let left = jobs.map(|job| {
        let processes = processes::left_of(job.pid(), &every_tree(fixture.root()));
        job.kill();
        Left { processes }
    });
    let sweepers = [(); 3].map(|()| die_at(fixture, point, &["ps"]));
    for left in left.iter().chain(&sweepers) {
        next_command(fixture, left);
    }
    assert_eq!(fixture.state(), before);
}
