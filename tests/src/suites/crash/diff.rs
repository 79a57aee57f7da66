//! `diff` dies: nothing is left of how it looked at a container that runs.

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::living;

use super::{at_points, die_at};

pub(super) fn cases() -> Vec<Case> {
    at_points!(nothing_is_left, "nothing_is_left_of_a_diff", ["diff.after-intent", "diff.after-comparison"])
        .into()
}

fn nothing_is_left(fixture: &Fixture, point: &str) {
    fixture.image("base");
    let job = living::start(fixture, &[], living::UNTIL_ENDED);
    let before = fixture.state();
    // What runs in the tree is the container's own, and runs on.
    let _container = die_at(fixture, point, &["diff", "work"]);
    fixture.ok(&["ps", "-q"]);
    fixture.assert_consistent();
    assert_eq!(fixture.state(), before);
    assert_eq!(fixture.ok(&["diff", "work"]), "A /ready");
    living::end(fixture, job).ok();
}
