//! R9, C11: a store that is full, and a host that is full beneath it: growing
//! is refused before anything is lost, and removing always works.

use std::path::Path;
use std::process::Command;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use crate::suites::background::{End, wait_until};
use crate::suites::ground::{self, Ground};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("r9_a_container_fills_the_store", store),
        case("r9_the_store_is_full_of_small_files", metadata),
        case("c11_somebody_else_fills_the_file_system_beneath", beneath),
        case("c11_an_init_that_does_not_fit_leaves_nothing", init),
    ]
}

/// Asserts that a command says that there is no space, and what to do.
#[track_caller]
fn no_space(ended: &End) {
    let said = ended.refused_with_a_hint();
    let named = ["full", "free", "space", "reserve"].iter().any(|word| said.contains(word));
    assert!(named, "it does not say what is missing: {said}");
}

/// Works, or says that there is no space.
#[track_caller]
fn works_or_no_space(ended: &End) {
    if ended.code != Some(0) {
        no_space(ended);
    }
}

/// Where the image's one layer lies.
fn layer(ground: &Ground<'_>, name: &str) -> std::path::PathBuf {
    let records: serde_json::Value =
        serde_json::from_str(&ground.run(&["images", "--format", "json"]).ok()).unwrap();
    let named = |record: &&serde_json::Value| {
        record["name"].as_str().is_some_and(|found| found.trim_end_matches(":latest") == name)
    };
    let record = records.as_array().unwrap().iter().find(named).unwrap();
    ground.store().join("nodes").join(record["layer"].to_string()).join("fs")
}

#[track_caller]
fn assert_is(ground: &Ground<'_>, image: &str, expected: &oracle::Tree) {
    let differences = oracle::differences(expected, &oracle::look(&layer(ground, image)));
    assert!(differences.is_empty(), "{image} has changed: {differences:?}");
}

/// A root with an image, and what that must go on to be.
fn prepared(fixture: &Fixture, ground: &Ground<'_>) -> oracle::Tree {
    ground.run(&["init", "--name", "base", fixture.rootfs().to_str().unwrap()]).ok();
    oracle::look(&layer(ground, "base"))
}

/// Asserts that as much is free as was before. A file system that keeps data
/// and metadata apart gives back what it had set apart a moment later.
#[track_caller]
fn comes_back(store: &Path, before: u64) {
    const SOME: u64 = 32 << 20;
    wait_until("the space comes back", || ground::free(store) + SOME > before);
}

const FILL: &str =
    "dd if=/dev/zero of=/fill bs=1M 2>/dev/null; dd if=/dev/zero of=/more bs=4k 2>/dev/null; sync; exit 0";
/// Files so small that some file systems keep them among their metadata, and
/// others run out of inodes for them. Something large first, so that it does
/// not take for ever.
const FILL_WITH_FILES: &str = "dd if=/dev/zero of=/fill bs=1M count=90 2>/dev/null; \
     x=x; while test ${#x} -lt 1000; do x=$x$x; done; x=$x${x#??}; mkdir /d; i=0; \
     while echo $x > /d/$i; do i=$((i+1)); done 2>/dev/null; sync; exit 0";

fn store(fixture: &Fixture) {
    fill_store(fixture, FILL);
}

fn metadata(fixture: &Fixture) {
    fill_store(fixture, FILL_WITH_FILES);
}

fn fill_store(fixture: &Fixture, script: &str) {
    let ground = Ground::small_store(fixture);
    let expected = prepared(fixture, &ground);
    ground.run(&["run", "--name", "small", "base", "sh", "-c", "echo small > /made"]).ok();
    let store = ground.store();
    let before = ground::free(&store);

    let filled = ground.run(&["run", "--name", "filler", "base", "sh", "-c", script]);
    works_or_no_space(&filled);
    assert!(ground::free(&store) < 16 << 20 || ground::free_inodes(&store) == 0, "the store is not full");

    // Nothing but space is missing, and that is said.
    for words in [
        &["run", "--rm", "base", "true"][..],
        &["run", "--name", "guest", "base", "true"],
        &["commit", "small", "kept"],
        &["commit", "filler", "full"],
        &["init", "--name", "copied", fixture.rootfs().to_str().unwrap()],
        &["start", "small"],
    ] {
        works_or_no_space(&ground.run(words));
    }
    if ground::free(&store) < 1 << 20 {
        no_space(&ground.run(&["run", "--rm", "base", "true"]));
    }
    for words in [&["images"][..], &["ps"], &["logs", "small"]] {
        ground.run(words).ok();
    }

    // What fills it can be removed, and then everything goes on.
    for made_or_not in ["guest", "kept", "full", "copied"] {
        ground.run(&["rm", made_or_not]).clear();
    }
    ground.run(&["rm", "--wait", "filler"]).ok();
    comes_back(&store, before);
    assert_is(&ground, "base", &expected);
    assert_eq!(ground.run(&["run", "--rm", "base", "echo", "works"]).ok(), "works");
    ground.run(&["commit", "small", "base"]).ok();
    assert_eq!(ground.run(&["run", "--rm", "base", "cat", "/made"]).ok(), "small");
}

fn beneath(fixture: &Fixture) {
    let ground = Ground::of_lane(fixture, 600);
    let expected = prepared(fixture, &ground);
    ground.run(&["run", "--name", "work", "base", "sh", "-c", "echo early > /made"]).ok();
    ground.run(&["commit", "work", "early"]).ok();

    let file = ground.fill();
    for words in [
        &["run", "--rm", "base", "true"][..],
        &["run", "--name", "late", "base", "true"],
        &["commit", "work", "late"],
        &["commit", "work", "base"],
        &["init", "--name", "late", fixture.rootfs().to_str().unwrap()],
        &["start", "work"],
    ] {
        no_space(&ground.run(words));
    }
    for words in [&["images"][..], &["ps"], &["logs", "work"]] {
        ground.run(words).ok();
    }
    works_or_no_space(&ground.run(&["rm", "early"]));

    std::fs::remove_file(file).unwrap();
    succeed(Command::new("sync").arg("-f").arg(ground.path()));
    assert_is(&ground, "base", &expected);
    assert_eq!(ground.run(&["run", "--rm", "base", "echo", "works"]).ok(), "works");
    ground.run(&["commit", "work", "base"]).ok();
    assert_eq!(ground.run(&["run", "--rm", "base", "cat", "/made"]).ok(), "early");
    ground.run(&["start", "work"]).ok();
}

fn init(fixture: &Fixture) {
    let ground = Ground::small_store(fixture);
    let expected = prepared(fixture, &ground);
    let large = fixture.scratch().join("large");
    std::fs::create_dir(&large).unwrap();
    // Bytes that take their space, on whatever file system.
    let noise: Vec<u8> =
        (0..1_u32 << 18).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for number in 0..400 {
        std::fs::write(large.join(format!("file{number}")), &noise).unwrap();
    }
    let free = ground::free(&ground.store());
    no_space(&ground.run(&["init", "--name", "base", large.to_str().unwrap()]));
    assert_is(&ground, "base", &expected);
    assert_eq!(ground.run(&["images", "-q"]).ok().lines().count(), 1);
    assert_eq!(std::fs::read_dir(ground.store().join("nodes")).unwrap().count(), 1, "half an image was left");
    ground.run(&["run", "--name", "work", "base", "true"]).ok();
    ground.run(&["rm", "--wait", "work"]).ok();
    comes_back(&ground.store(), free);
}

#[track_caller]
fn succeed(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}
