//! `prune` dies: all the versions are there, or all that were to go are gone.

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::nodes::bash;

use super::{at_points, die_at, next_command};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at_points!(nothing_gone, "prune_removed_nothing", ["prune.before-commit-point"]));
    cases.extend(at_points!(
        all_gone,
        "the_old_versions_are_gone",
        ["prune.after-commit-point", "prune.after-delete"]
    ));
    cases.extend(at_points!(
        containers_first,
        "a_container_that_was_to_go_is_whole_or_gone",
        ["rm.before-commit-point", "rm.after-commit-point", "rm.after-delete", "prune.before-commit-point"]
    ));
    cases
}

const PRUNE: [&str; 2] = ["prune", "--force"];

/// An image `base` of three versions that do not stand on each other.
fn three_versions(fixture: &Fixture) {
    let source = fixture.rootfs();
    for number in 1..=3 {
        bash(&source, &format!("echo {number} > number"));
        fixture.image("base");
    }
}

#[track_caller]
fn number(fixture: &Fixture, image: &str) -> String {
    fixture.ok(&["run", "--rm", image, "cat", "/number"])
}

fn nothing_gone(fixture: &Fixture, point: &str) {
    three_versions(fixture);
    let before = fixture.state();
    let left = die_at(fixture, point, &PRUNE);
    next_command(fixture, &left);
    assert_eq!(fixture.state(), before);
    for version in ["1", "2", "3"] {
        assert_eq!(number(fixture, &format!("base@{version}")), version);
    }
    fixture.ok(&PRUNE);
    fixture.fails(&["run", "base@1", "true"], 125);
    fixture.assert_consistent();
}

fn all_gone(fixture: &Fixture, point: &str) {
    three_versions(fixture);
    let left = die_at(fixture, point, &PRUNE);
    next_command(fixture, &left);
    for version in ["base@1", "base@2"] {
        let said = fixture.fails(&["run", version, "true"], 125);
        assert!(said.contains("was pruned"), "{said}");
    }
    assert_eq!(number(fixture, "base"), "3");
    let again = fixture.mocker(&PRUNE).run();
    assert!(again.err().contains("nothing to prune"), "{}", again.err());
    // The storage has nothing of them either: that is what `next_command` compares.
    assert_eq!(fixture.node_numbers().len(), 1);
}

fn containers_first(fixture: &Fixture, point: &str) {
    three_versions(fixture);
    fixture.ok(&["run", "--name", "work", "base@1", "cat", "/number"]);
    let left = die_at(fixture, point, &["prune", "--force", "--containers"]);
    next_command(fixture, &left);
    // No version goes before the containers.
    for version in ["1", "2", "3"] {
        assert_eq!(number(fixture, &format!("base@{version}")), version);
    }
    if fixture.record("work").is_some() {
        assert_eq!(fixture.ok(&["start", "work"]), "1");
    }
    fixture.ok(&["prune", "--force", "--containers"]);
    assert!(fixture.record("work").is_none());
    fixture.fails(&["run", "base@1", "true"], 125);
    fixture.assert_consistent();
}
