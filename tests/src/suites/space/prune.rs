//! `prune`: which versions go, which stay, and what comes back.

use std::time::Duration;

use mocker_core::NodeId;
use mocker_core::backend::{Layers, complete};
use serde_json::{Value, json};

use super::{agree, alone, bytes, du, image_of_its_own, number, used};
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;
use crate::suites::nodes::bash;

pub(super) fn cases() -> Vec<Case> {
    alone![
        r6_of_ten_versions_nine_come_back,
        r6_versions_that_stand_on_nothing_of_each_other_come_back,
        r6_what_prune_frees_is_what_it_says,
        r6_free_space_is_what_it_was_and_the_time_is_told,
        r11_the_space_of_a_container_comes_back_by_itself,
        r11_what_nobody_came_to_free_is_freed_by_whoever_is_next,
    ]
}

/// What `prune` says.
#[track_caller]
pub(super) fn prune(fixture: &Fixture, words: &[&str]) -> Value {
    let words = [&["prune", "--format", "json"], words].concat();
    serde_json::from_str(&fixture.ok(&words)).expect("JSON")
}

/// The numbers of versions in a list of what `prune` says.
#[track_caller]
pub(super) fn numbers(pruned: &Value, list: &str) -> Vec<u64> {
    let mut numbers: Vec<_> =
        pruned[list].as_array().unwrap().iter().map(|version| number(&version["version"])).collect();
    numbers.sort_unstable();
    numbers
}

/// What was there before comes to the same again, and it is said how long that took.
fn r6_free_space_is_what_it_was_and_the_time_is_told(fixture: &Fixture) {
    versions_of_nothing(fixture);
    prune(fixture, &["--force", "--wait"]);
    let before = used(fixture);
    versions_of_nothing(fixture);
    fixture.ok(&["run", "--name", "work", "base@2", "true"]);
    fixture.edit("work", "head -c 4M /dev/urandom > own");
    fixture.ok(&["start", "work"]);
    assert!(used(fixture) > before + 2 * MUCH);
    let shown = fixture.ok(&["prune", "--force", "--wait", "--containers"]);
    agree("what is in use", used(fixture), before);
    let last = shown.lines().last().unwrap();
    assert!(last.starts_with("Came back: ") && last.ends_with(" ms"), "{shown}");
}

/// Two versions of an image that have nothing in common, of which the first is
/// made before others are there.
fn versions_of_nothing(fixture: &Fixture) {
    let source = fixture.scratch().join("many");
    std::fs::create_dir(&source).unwrap();
    crate::rootfs::build(&source);
    for _ in 0..2 {
        bash(&source, &format!("head -c {MUCH} /dev/urandom > much"));
        fixture.ok(&["init", "-q", "--name", "base", source.to_str().unwrap()]);
    }
    std::fs::remove_dir_all(&source).unwrap();
}

/// Waits until the file system has no more in use than this.
#[track_caller]
fn wait_until_used(fixture: &Fixture, most: u64) {
    let started = std::time::Instant::now();
    loop {
        let now = used(fixture);
        if now <= most {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{now} bytes are in use, and it should be {most}");
    }
}

/// Longer than any file system takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A container with something to free.
#[track_caller]
fn container_with_much(fixture: &Fixture) {
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    fixture.edit("work", "head -c 8M /dev/urandom > much; mkdir many; touch many/$(seq -s ' many/' 300)");
}

fn r11_the_space_of_a_container_comes_back_by_itself(fixture: &Fixture) {
    fixture.image("base");
    let before = used(fixture);
    for _ in 0..2 {
        container_with_much(fixture);
        assert!(used(fixture) > before + (7 << 20));
        fixture.ok(&["rm", "work"]);
        // Its name and its place are free at once.
        assert_eq!(fixture.ok(&["ps", "-q"]), "");
        fixture.assert_consistent();
    }
    wait_until_used(fixture, before + (256 << 10));
}

/// The process that frees space is killed before it comes to it, as by a power
/// cut.
fn r11_what_nobody_came_to_free_is_freed_by_whoever_is_next(fixture: &Fixture) {
    fixture.image("base");
    let before = used(fixture);
    container_with_much(fixture);
    complete(fixture.open_backend().delete(NodeId(number(&fixture.record("work").unwrap()["work"]))))
        .unwrap();
    fixture.ok(&["rm", "-q", "work"]);
    fixture.ok(&["run", "--name", "other", "base", "true"]);
    fixture.ok(&["rm", "--wait", "other"]);
    wait_until_used(fixture, before + (256 << 10));
    fixture.assert_consistent();
}

const MUCH: u64 = 4 << 20;

/// Each version has written anew what the one before had, and none of its
/// containers is left.
fn ten_versions(fixture: &Fixture) {
    image_of_its_own(fixture, "base", 2);
    for number in 2..=10 {
        let script = format!("head -c {MUCH} /dev/urandom > /much; echo {number} > /number");
        fixture.ok(&["run", "--name", "work", "base", "sh", "-c", &script]);
        fixture.ok(&["commit", "work", "base"]);
        fixture.ok(&["rm", "--wait", "work"]);
    }
}

/// Where layers are whole, the last of ten versions needs none of the others. Where
/// they are differences, it stands on all of them, and that is said.
fn r6_of_ten_versions_nine_come_back(fixture: &Fixture) {
    ten_versions(fixture);
    let tree = oracle::look(&fixture.tree("base"));
    let told = du(fixture);
    let before = used(fixture);
    let dry = prune(fixture, &["--keep", "1", "--dry-run"]);
    let pruned = prune(fixture, &["--keep", "1", "--force", "--wait"]);
    let came_back = before.saturating_sub(used(fixture));
    assert_eq!((&pruned["versions"], &pruned["bytes"]), (&dry["versions"], &dry["bytes"]));
    match fixture.capabilities().layers {
        Layers::Whole => {
            assert_eq!(numbers(&pruned, "versions"), (1..=9).collect::<Vec<_>>());
            // Eight of the nine have something of their own that was written over.
            assert!(came_back >= 8 * MUCH, "only {came_back} bytes came back");
            if fixture.capabilities().usage_exact {
                agree("what came back", number(&pruned["bytes"]), came_back);
            }
            let left = bytes(&du(fixture), "images", "base", "size");
            let one = bytes(&told, "images", "base", "size") - number(&pruned["bytes"]);
            agree("what is left", left, one);
        }
        Layers::Delta => {
            assert_eq!(numbers(&pruned, "versions"), [0; 0]);
            assert_eq!(numbers(&pruned, "stay"), (1..=9).collect::<Vec<_>>());
            assert_eq!((&pruned["bytes"], &pruned["stay"][0]["because"]), (&json!(0), &json!("layer")));
            let said = fixture.mocker(&["prune", "--force"]).run().err();
            assert!(said.contains("9 old version(s) stay") && said.contains("--squash=all"), "{said}");
        }
    }
    oracle::assert_equal(&tree, &oracle::look(&fixture.tree("base")));
    assert_eq!(fixture.ok(&["run", "--rm", "base", "cat", "/number"]), "10");
    fixture.assert_consistent();
}

/// Versions that were each made anew stand on no other, whatever the backend.
fn r6_versions_that_stand_on_nothing_of_each_other_come_back(fixture: &Fixture) {
    let source = fixture.scratch().join("source");
    std::fs::create_dir(&source).unwrap();
    for number in 1..=10 {
        bash(&source, &format!("head -c {MUCH} /dev/urandom > much; echo {number} > number"));
        fixture.ok(&["init", "-q", "--name", "base", source.to_str().unwrap()]);
    }
    std::fs::remove_dir_all(&source).unwrap();
    let before = used(fixture);
    let pruned = prune(fixture, &["--force", "--wait"]);
    let came_back = before.saturating_sub(used(fixture));
    assert_eq!(numbers(&pruned, "versions"), (1..=9).collect::<Vec<_>>());
    agree("nine of ten", 9 * MUCH, came_back);
    if fixture.capabilities().usage_exact {
        agree("what is said", number(&pruned["bytes"]), came_back);
    }
    assert_eq!(std::fs::read_to_string(fixture.tree("base").join("number")).unwrap(), "10\n");
    fixture.assert_consistent();
}

/// Containers and versions together: what only the two of them hold comes back too.
fn r6_what_prune_frees_is_what_it_says(fixture: &Fixture) {
    image_of_its_own(fixture, "base", 4);
    for name in ["one", "two"] {
        fixture.ok(&["run", "--name", name, "base", "true"]);
        fixture.edit(name, "head -c 2M /dev/urandom > data/1");
    }
    // A version without anything of those before.
    fixture.ok(&["run", "--name", "last", "base", "sh", "-c", "rm -r /data; echo new > /new"]);
    fixture.ok(&["commit", "--squash=all", "last", "base"]);
    let before = used(fixture);
    let pruned = prune(fixture, &["--containers", "--force", "--wait"]);
    let came_back = before.saturating_sub(used(fixture));
    assert_eq!(pruned["containers"].as_array().unwrap().len(), 3);
    assert_eq!(numbers(&pruned, "versions"), [1]);
    // Four files of the first version, and two that were twice as long.
    assert!(came_back >= 15 << 19, "only {came_back} bytes came back");
    if fixture.capabilities().usage_exact {
        agree("what came back", number(&pruned["bytes"]), came_back);
    }
    assert_eq!(fixture.ok(&["run", "--rm", "base", "cat", "/new"]), "new");
    fixture.assert_consistent();
}
