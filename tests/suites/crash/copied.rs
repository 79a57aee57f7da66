//! `convert` and the commit of a container that is paused for it die: what was
//! copied is gone or whole, and the container runs on.

use std::path::PathBuf;

use mocker_conformance::fixture::Fixture;
use mocker_conformance::harness::Case;
use mocker_conformance::oracle;

use super::{at_points, die, every_tree, no_process_is_left};
use crate::background::{self, wait_until};
use crate::processes::Process;

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

const CONVERT: [&str; 5] = ["convert", "base", "--to", "copy", "copied"];

fn nothing_new(fixture: &Fixture, point: &str) {
    fixture.image("base");
    let before = fixture.state();
    let left = die(fixture, point, background::mocker(fixture, &CONVERT).env_remove("MOCKER_BACKEND"));
    fixture.ok(&["ps", "-q"]);
    no_process_is_left(&left);
    assert_eq!(fixture.state(), before);
    assert!(copies(fixture).is_empty(), "{:?}", copies(fixture));
    fixture.assert_consistent();
}

fn a_whole_image(fixture: &Fixture, point: &str) {
    fixture.image("base");
    let left = die(fixture, point, background::mocker(fixture, &CONVERT).env_remove("MOCKER_BACKEND"));
    fixture.ok(&["ps", "-q"]);
    no_process_is_left(&left);
    assert_eq!(fixture.record("copied").unwrap()["backend"], "copy");
    let trees = copies(fixture);
    assert_eq!(trees.len(), 1, "{trees:?}");
    oracle::assert_same(&fixture.rootfs(), &trees[0]);
    fixture.ok(&["rm", "copied"]);
    assert!(copies(fixture).is_empty());
    fixture.assert_consistent();
}

fn paused(fixture: &Fixture, point: &str) {
    let source = fixture.rootfs();
    let on_copy = |words: &[&str]| {
        let mut command = background::mocker(fixture, words);
        command.env("MOCKER_BACKEND", "copy");
        command
    };
    background::finish(&mut on_copy(&["init", "--name", "base", source.to_str().unwrap()])).ok();
    let script = "echo before > /made; while ! test -e /end; do usleep 1000; done; exit 7";
    let running = background::start(&mut on_copy(&["run", "--name", "work", "base", "sh", "-c", script]));
    let made = || copies(fixture).into_iter().find(|tree| tree.join("made").exists());
    wait_until("the container has written", || made().is_some());
    let tree = made().unwrap();
    let left = die(fixture, point, &mut on_copy(&["commit", "work", "base"]));
    assert!(left.processes.iter().any(Process::is_alive), "the commit took the container along");
    background::run(fixture, &["ps", "-q"]).ok();
    assert_eq!(fixture.record("base").unwrap()["versions"], 1);
    std::fs::write(tree.join("end"), "").unwrap();
    // Were it still frozen, it would never see that.
    assert_eq!(running.end().code, Some(7));
    assert_eq!(copies(fixture).len(), 2, "half a layer was left: {:?}", copies(fixture));
    fixture.ok(&["rm", "work", "base"]);
}
