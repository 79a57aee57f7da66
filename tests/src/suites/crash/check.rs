//! `check --repair` dies: what it had begun is done by the next command, or by the
//! next repair.

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::check;

use super::{at_points, die_at, next_command};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at_points!(
        check::exchanged_at,
        "the_database_is_exchanged_by_the_next_repair",
        ["check.before-set-aside", "check.after-set-aside", "check.after-exchange"]
    ));
    cases.extend(at_points!(deleted, "the_next_command_deletes_the_node", ["check.after-condemned"]));
    cases.extend(at_points!(removed, "the_version_is_gone_and_the_rest_stays", ["check.after-removed"]));
    cases
}

fn deleted(fixture: &Fixture, point: &str) {
    fixture.image("base");
    let before = fixture.state();
    check::unneeded(fixture);
    let left = die_at(fixture, point, &["check", "--repair"]);
    // The next command goes on with one, and the next repair with the others.
    fixture.ok(&["ps", "-q"]);
    fixture.ok(&["check", "--repair"]);
    next_command(fixture, &left);
    assert_eq!(fixture.state(), before);
}

fn removed(fixture: &Fixture, point: &str) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "touch", "/made"]);
    fixture.ok(&["run", "--name", "other", "base", "true"]);
    fixture.ok(&["commit", "work", "base"]);
    fixture.ok(&["tag", "base", "kept:v2"]);
    fixture.ok(&["rollback", "base"]);
    let broken = check::hole(fixture);
    let left = die_at(fixture, point, &["check", "--repair", "--remove-broken"]);
    fixture.ok(&["ps", "-q"]);
    fixture.ok(&["check", "--repair", "--remove-broken"]);
    next_command(fixture, &left);
    assert!(fixture.record("kept:v2").is_none(), "{broken:?}");
    fixture.ok(&["run", "--rm", "base", "true"]);
}
