//! `commit` dies: no version, or a whole one. The container lives on.

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::{CHANGE, at_points, die_at, lasting, next_command};
use crate::suites::background::{self, wait_until};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at_points!(
        nothing_new,
        "commit_made_nothing",
        ["commit.after-intent", "commit.after-snapshot"]
    ));
    cases.extend(at_points!(a_whole_version, "commit_made_a_whole_version", ["commit.after-commit-point"]));
    cases.extend(at_points!(
        of_a_running_container,
        "the_container_runs_on_when_its_commit_dies",
        ["commit.after-intent", "commit.after-snapshot", "commit.after-commit-point"]
    ));
    cases
}

/// An image `base` and a container `work` that differs from it.
fn changed_container(fixture: &Fixture) {
    fixture.image("base");
    let run = ["run", "--name", "work", "base"].into_iter().chain(CHANGE).collect::<Vec<_>>();
    assert_eq!(fixture.mocker(&run).run().code, 3);
}

fn nothing_new(fixture: &Fixture, point: &str) {
    changed_container(fixture);
    let before = fixture.state();
    for words in [&["commit", "work", "fresh"][..], &["commit", "work", "base"], &["commit", "work"]] {
        let left = die_at(fixture, point, words);
        next_command(fixture, &left);
        assert_eq!(fixture.state(), before, "after {words:?}");
    }
    oracle::assert_same(&fixture.tree("base"), &fixture.rootfs());
    fixture.ok(&["commit", "work", "base"]);
    assert_eq!(fixture.record("base").unwrap()["versions"], 2);
    oracle::assert_same(&fixture.tree("base"), &fixture.tree("work"));
}

fn a_whole_version(fixture: &Fixture, point: &str) {
    changed_container(fixture);
    fixture.ok(&["commit", "work", "undisturbed"]);

    let left = die_at(fixture, point, &["commit", "work", "fresh"]);
    next_command(fixture, &left);
    let [fresh, undisturbed] = ["fresh", "undisturbed"].map(|name| lasting(fixture.record(name)));
    assert_eq!(fresh, undisturbed);
    oracle::assert_same(&fixture.tree("fresh"), &fixture.tree("work"));

    let left = die_at(fixture, point, &["commit", "work", "base"]);
    next_command(fixture, &left);
    assert_eq!(fixture.record("base").unwrap()["versions"], 2);
    oracle::assert_same(&fixture.tree("base"), &fixture.tree("work"));
    assert_eq!(fixture.ok(&["run", "--rm", "base", "cat", "/made"]), "made");
    assert_eq!(fixture.mocker(&["start", "work"]).run().code, 3, "the container no longer works");
}

fn of_a_running_container(fixture: &Fixture, point: &str) {
    fixture.image("base");
    let script = "echo before > /made; while ! test -e /end; do usleep 1000; done; exit 7";
    let words = ["run", "--name", "work", "base", "sh", "-c", script];
    let running = background::start(&mut background::mocker(fixture, &words));
    wait_until("the container has written", || {
        fixture.record("work").is_some() && fixture.tree("work").join("made").exists()
    });
    let left = die_at(fixture, point, &["commit", "work", "base"]);
    fixture.ok(&["ps", "-q"]);
    assert_eq!(fixture.record("work").unwrap()["status"], "running");
    let versions = if point == "commit.after-commit-point" { 2 } else { 1 };
    assert_eq!(fixture.record("base").unwrap()["versions"], versions);

    std::fs::write(fixture.tree("work").join("end"), "").unwrap();
    assert_eq!(running.end().code, Some(7));
    next_command(fixture, &left);
    assert_eq!(fixture.record("work").unwrap()["exit_code"], 7);
}
