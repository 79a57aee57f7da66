//! `rollback` dies: the name leads to the old version or to the other, and
//! nothing else has changed.

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::{at_points, die_at, next_command};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at_points!(nothing_moved, "rollback_changed_nothing", ["rollback.before-commit-point"]));
    cases.extend(at_points!(moved, "rollback_is_done", ["rollback.after-commit-point"]));
    cases
}

/// An image `base` of three versions; the container `work` shows the last.
fn three_versions(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", "echo x >> /made; wc -l < /made"]);
    fixture.ok(&["commit", "work", "base"]);
    fixture.ok(&["start", "work"]);
    fixture.ok(&["commit", "work", "base"]);
}

#[track_caller]
fn shows(fixture: &Fixture, version: u32) {
    let record = fixture.record("base").unwrap();
    assert_eq!((&record["version"], &record["versions"]), (&version.into(), &3.into()));
    let lines = fixture.ok(&["run", "--rm", "base", "sh", "-c", "cat /made 2> /dev/null | wc -l"]);
    assert_eq!(lines, (version - 1).to_string());
}

fn nothing_moved(fixture: &Fixture, point: &str) {
    three_versions(fixture);
    let before = fixture.state();
    for words in [&["rollback", "base"][..], &["rollback", "base", "1"]] {
        let left = die_at(fixture, point, words);
        next_command(fixture, &left);
        assert_eq!(fixture.state(), before, "after {words:?}");
    }
    shows(fixture, 3);
    fixture.ok(&["rollback", "base", "1"]);
    shows(fixture, 1);
}

fn moved(fixture: &Fixture, point: &str) {
    three_versions(fixture);
    let tree = oracle::look(&fixture.tree("base"));
    let before = fixture.state();
    let left = die_at(fixture, point, &["rollback", "base", "1"]);
    next_command(fixture, &left);
    shows(fixture, 1);
    oracle::assert_same(&fixture.tree("base"), &fixture.rootfs());
    let left = die_at(fixture, point, &["rollback", "base", "3"]);
    next_command(fixture, &left);
    assert_eq!(fixture.state(), before, "there and back again");
    oracle::assert_equal(&tree, &oracle::look(&fixture.tree("base")));
    fixture.ok(&["commit", "work", "base"]);
    assert_eq!(fixture.record("base").unwrap()["version"], 4);
}
