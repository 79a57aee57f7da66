//! `rm` dies: all is there, or all is gone.

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::{CHANGE, at_points, die_at, next_command};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at_points!(nothing_gone, "rm_removed_nothing", ["rm.before-commit-point"]));
    cases.extend(at_points!(
        container_gone,
        "the_container_is_gone",
        ["rm.after-commit-point", "rm.after-delete"]
    ));
    cases.extend(at_points!(image_gone, "the_image_is_gone", ["rm.after-commit-point", "rm.after-delete"]));
    cases.extend(at_points!(
        the_second_stays,
        "of_two_the_first_is_gone_and_the_second_stays",
        ["rm.after-commit-point", "rm.after-delete"]
    ));
    cases
}

/// An image `base` and two containers of it.
fn two_containers(fixture: &Fixture) {
    fixture.image("base");
    for name in ["one", "two"] {
        let run = ["run", "--name", name, "base"].into_iter().chain(CHANGE).collect::<Vec<_>>();
        assert_eq!(fixture.mocker(&run).run().code, 3);
    }
}

fn nothing_gone(fixture: &Fixture, point: &str) {
    two_containers(fixture);
    let before = fixture.state();
    let left = die_at(fixture, point, &["rm", "one"]);
    next_command(fixture, &left);
    assert_eq!(fixture.state(), before);
    oracle::assert_same(&fixture.tree("one"), &fixture.tree("two"));
    fixture.ok(&["rm", "one"]);
    assert!(fixture.record("one").is_none());
}

fn container_gone(fixture: &Fixture, point: &str) {
    two_containers(fixture);
    fixture.ok(&["rm", "two"]);
    let without_both = {
        fixture.ok(&["rm", "one"]);
        fixture.state()
    };
    let run = ["run", "--name", "one", "base"].into_iter().chain(CHANGE).collect::<Vec<_>>();
    assert_eq!(fixture.mocker(&run).run().code, 3);

    let left = die_at(fixture, point, &["rm", "one"]);
    next_command(fixture, &left);
    assert_eq!(fixture.state(), without_both);
    let said = fixture.fails(&["rm", "one"], 1);
    assert!(said.contains("No container named 'one' exists"), "{said}");
}

fn image_gone(fixture: &Fixture, point: &str) {
    two_containers(fixture);
    fixture.ok(&["commit", "one", "other"]);
    let left = die_at(fixture, point, &["rm", "base"]);
    next_command(fixture, &left);
    assert!(fixture.record("base").is_none());
    // Whatever stood on its layer is whole.
    assert_eq!(fixture.mocker(&["start", "two"]).run().code, 3);
    assert_eq!(fixture.ok(&["run", "--rm", "other", "cat", "/made"]), "made");
    fixture.ok(&["rm", "one", "two", "other"]);
    next_command(fixture, &left);
}

fn the_second_stays(fixture: &Fixture, point: &str) {
    two_containers(fixture);
    let left = die_at(fixture, point, &["rm", "one", "two"]);
    next_command(fixture, &left);
    assert!(fixture.record("one").is_none());
    assert_eq!(fixture.mocker(&["start", "two"]).run().code, 3);
}
