//! `run` and `start` die: no container, or one that can be used. Its command
//! is over.

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;
use serde_json::Value;

use super::{CHANGE, at_points, die_at, lasting, next_command};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at_points!(
        nothing_new,
        "run_made_nothing",
        ["run.after-intent", "run.after-fork", "run.after-create"]
    ));
    cases.extend(at_points!(
        never_started,
        "the_container_was_made_and_never_started",
        ["run.after-commit-point", "run.after-targets"]
    ));
    cases.extend(at_points!(
        ended,
        "the_container_is_there_and_over",
        ["run.after-start", "run.after-exit", "run.after-clean-targets", "run.after-finish"]
    ));
    cases.extend(at_points!(
        removed,
        "nothing_is_left_of_run_rm",
        [
            "run.after-intent",
            "run.after-fork",
            "run.after-create",
            "run.after-commit-point",
            "run.after-targets",
            "run.after-start",
            "run.after-exit",
            "run.after-finish",
            "rm.before-commit-point",
            "rm.after-commit-point",
            "rm.after-delete",
        ]
    ));
    cases.extend(at_points!(
        started_again,
        "the_container_of_start_is_whole",
        [
            "run.after-fork",
            "run.after-targets",
            "run.after-start",
            "run.after-exit",
            "run.after-clean-targets",
            "run.after-finish",
        ]
    ));
    cases
}

/// An image that lacks every mount point, so that a run makes all of them.
fn base(fixture: &Fixture) {
    for name in ["proc", "sys", "dev", "etc/resolv.conf", "etc/hosts", "etc/hostname"] {
        let path = fixture.rootfs().join(name);
        let _there = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
    }
    fixture.image("base");
}

fn run<'a>(name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let words = ["run", "--name", name].into_iter().chain(more.iter().copied());
    words.chain(["base"]).chain(CHANGE).collect()
}

fn nothing_new(fixture: &Fixture, point: &str) {
    base(fixture);
    let before = fixture.state();
    let left = die_at(fixture, point, &run("work", &[]));
    next_command(fixture, &left);
    assert_eq!(fixture.state(), before);
    // The name is free.
    assert_eq!(fixture.mocker(&run("work", &[])).run().code, 3);
}

fn never_started(fixture: &Fixture, point: &str) {
    base(fixture);
    let left = die_at(fixture, point, &run("work", &[]));
    next_command(fixture, &left);
    let work = fixture.record("work").unwrap();
    assert_eq!((&work["status"], &work["exit_code"]), (&Value::from("created"), &Value::Null));
    // No mount point stays in it, and its command has not run.
    oracle::assert_same(&fixture.tree("work"), &fixture.tree("base"));
    assert_eq!(fixture.mocker(&["start", "work"]).run().code, 3);
    assert_usable(fixture);
}

fn ended(fixture: &Fixture, point: &str) {
    base(fixture);
    assert_eq!(fixture.mocker(&run("undisturbed", &[])).run().code, 3);
    let left = die_at(fixture, point, &run("work", &[]));
    next_command(fixture, &left);

    let (mut work, undisturbed) = (lasting(fixture.record("work")), lasting(fixture.record("undisturbed")));
    if point != "run.after-finish" {
        assert_killed(&mut work);
        for field in ["exit_code", "failure"] {
            work[field] = undisturbed[field].clone();
        }
    }
    assert_eq!(work, undisturbed);
    let expected = if point == "run.after-start" { "base" } else { "undisturbed" };
    oracle::assert_same(&fixture.tree("work"), &fixture.tree(expected));
    assert_eq!(fixture.mocker(&["start", "work"]).run().code, 3);
    assert_usable(fixture);
}

fn removed(fixture: &Fixture, point: &str) {
    base(fixture);
    let before = fixture.state();
    let left = die_at(fixture, point, &run("work", &["--rm"]));
    next_command(fixture, &left);
    assert_eq!(fixture.state(), before);
    assert_eq!(fixture.mocker(&run("work", &["--rm"])).run().code, 3);
    assert_eq!(fixture.state(), before);
}

fn started_again(fixture: &Fixture, point: &str) {
    base(fixture);
    assert_eq!(fixture.mocker(&run("work", &[])).run().code, 3);
    assert_eq!(fixture.mocker(&run("undisturbed", &[])).run().code, 3);
    let before = fixture.state();
    let left = die_at(fixture, point, &["start", "work"]);
    next_command(fixture, &left);
    match point {
        "run.after-fork" | "run.after-targets" => assert_eq!(fixture.state(), before),
        "run.after-finish" => assert_eq!(fixture.record("work").unwrap()["exit_code"], 3),
        _ => assert_killed(&mut fixture.record("work").unwrap()),
    }
    oracle::assert_same(&fixture.tree("work"), &fixture.tree("undisturbed"));
    assert_eq!(fixture.mocker(&["start", "work"]).run().code, 3);
    assert_usable(fixture);
}

#[track_caller]
fn assert_killed(record: &mut Value) {
    assert_eq!((&record["status"], &record["exit_code"]), (&Value::from("exited"), &Value::from(137)));
    let failure = record["failure"].as_str().unwrap_or_default();
    assert!(failure.contains("killed"), "nothing says why it ended: {record}");
}

/// The container `work` has run by now; it can be committed and removed.
#[track_caller]
fn assert_usable(fixture: &Fixture) {
    fixture.ok(&["commit", "work", "result"]);
    oracle::assert_same(&fixture.tree("result"), &fixture.tree("work"));
    fixture.ok(&["rm", "work"]);
    fixture.assert_consistent();
}
