//! D: what `mocker diff` says of trees in which it is known what was changed.
//!
//! Each story is told twice: of the container, and of the version that a commit
//! makes of it. Both must say the same.

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::nodes::bash;

mod kinds;
mod metadata;
mod running;
mod sides;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for part in [kinds::cases, metadata::cases, sides::cases, running::cases] {
        cases.extend(part());
    }
    cases
}

/// A container `work` of an image `base`, which is what one script of bash makes
/// of the small root file system.
#[track_caller]
fn prepare(fixture: &Fixture, base: &str) {
    bash(&fixture.rootfs(), base);
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "true"]);
}

/// Asserts what is said of the container `work` after a script of bash, and of
/// the version that is made of it. Lines are in order, without the one at the
/// end.
#[track_caller]
fn assert_told(fixture: &Fixture, edit: &str, expected: &[&str]) {
    fixture.edit("work", edit);
    let told = fixture.ok(&["diff", "work"]);
    assert_eq!(told.lines().collect::<Vec<_>>(), expected, "of the container");
    fixture.ok(&["commit", "work", "base"]);
    let told = fixture.ok(&["diff", "base"]);
    assert_eq!(told.lines().collect::<Vec<_>>(), expected, "of the version");
    let told = fixture.ok(&["diff", "work"]);
    assert_eq!(told.lines().collect::<Vec<_>>(), expected, "of the container after the commit");
    assert_eq!(fixture.ok(&["diff", "base", "work"]), "", "between the version and the container");
}

/// The changes as records, by path.
#[track_caller]
fn record(fixture: &Fixture, words: &[&str]) -> serde_json::Value {
    let told = fixture.ok(&[&["diff", "--format", "json"], words].concat());
    serde_json::from_str(&told).expect("JSON")
}
