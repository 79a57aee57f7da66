//! `convert` and the commit of a container that is paused for it die: what was
//! copied is gone or whole, and the container runs on.

use std::path::PathBuf;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::{at_points, die, every_tree, no_process_is_left};
use crate::suites::background::{self, wait_until};
use crate::suites::processes::Process;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(at_points!(
        nothing_new,
        "convert_made_nothing",
        ["convert.after-intent", "convert.after-copy"]
    ));
    cases.extend(at_points!(a_whole_image, "convert_made_a_whole_image", ["convert.after-commit-point"]));
    cases.extend(at_points!(paused, "the_paused_container_runs_on", ["commit.after-pause"]));
    cases
}

/// The trees below the root that are not of the lane's own backend.
fn copies(fixture: &Fixture) -> Vec<PathBuf> {
    let own = fixture.root().join(fixture.lane().backend());
    every_tree(fixture.root()).into_iter().filter(|tree| !tree.starts_with(&own)).collect()
}

/// Makes the image `base` again as `copied`, on another backend than the lane's.
fn convert(fixture: &Fixture) -> [&'static str; 5] {
    ["convert", "base", "--to", fixture.another_backend(), "copied"]
}

fn nothing_new(fixture: &Fixture, point: &str) {
    fixture.image("base");
    let before = fixture.state();
    let left = die(fixture, point, &mut background::mocker(fixture, &convert(fixture)));
    fixture.ok(&["ps", "-q"]);
    no_process_is_left(&left);
    assert_eq!(fixture.state(), before);
    assert!(copies(fixture).is_empty(), "{:?}", copies(fixture));
    fixture.assert_consistent();
}

fn a_whole_image(fixture: &Fixture, point: &str) {
    fixture.image("base");
    let words = convert(fixture);
    let left = die(fixture, point, &mut background::mocker(fixture, &words));
    fixture.ok(&["ps", "-q"]);
    no_process_is_left(&left);
    assert_eq!(fixture.record("copied").unwrap()["backend"], words[3]);
    assert_eq!(copies(fixture).len(), 1, "{:?}", copies(fixture));
    oracle::assert_same(&fixture.rootfs(), &fixture.tree("copied"));
    fixture.ok(&["rm", "copied"]);
    assert!(copies(fixture).is_empty());
    fixture.assert_consistent();
}

fn paused(fixture: &Fixture, point: &str) {
    fixture.image("base");
    let script = "echo before > /made; while ! test -e /end; do usleep 1000; done; exit 7";
    let words = ["run", "--name", "work", "base", "sh", "-c", script];
    let running = background::start(&mut background::mocker(fixture, &words));
    wait_until("the container has written", || {
        fixture.record("work").is_some_and(|record| record["pid"].is_u64())
            && fixture.tree("work").join("made").exists()
    });
    let left = die(fixture, point, &mut background::mocker(fixture, &["commit", "work", "base"]));
    assert!(left.processes.iter().any(Process::is_alive), "the commit took the container along");
    fixture.ok(&["ps", "-q"]);
    assert_eq!(fixture.record("base").unwrap()["versions"], 1);
    std::fs::write(fixture.tree("work").join("end"), "").unwrap();
    // Were it still frozen, it would never see that.
    assert_eq!(running.end().code, Some(7));
    fixture.assert_consistent();
}
