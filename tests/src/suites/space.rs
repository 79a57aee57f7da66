//! A, R6, R11: what `du` says beside what the file system says, and what `prune`
//! brings back.
//!
//! They are alone on their file system, whose own figures they compare with.

use std::path::PathBuf;

use rustix::fs::statvfs;
use serde_json::Value;

use crate::fixture::Fixture;
use crate::harness::Case;

mod agree;
mod compressed;
mod prune;
mod pruned;
mod told;

pub(crate) fn cases() -> Vec<Case> {
    let parts = [agree::cases, told::cases, prune::cases, pruned::cases];
    parts.into_iter().flat_map(|part| part()).collect()
}

pub(crate) use compressed::cases as compressed;

/// A case that runs while no other does on the lane's file system.
macro_rules! alone {
    ($($case:ident),* $(,)?) => {
        vec![$($crate::harness::Case { name: stringify!($case), run: $case, alone: true }),*]
    };
}
use alone;

/// What `du` says.
#[track_caller]
fn du(fixture: &Fixture) -> Value {
    serde_json::from_str(&fixture.ok(&["du", "--format", "json"])).expect("JSON")
}

/// What `du` says of an image or a container, by name.
#[track_caller]
fn of<'a>(du: &'a Value, list: &str, name: &str) -> &'a Value {
    let tagged = format!("{name}:latest");
    let found = du[list].as_array().expect("a list").iter().find(|found| {
        let called = found["name"].as_str().unwrap_or_default();
        called == name || called == tagged || found["id"] == name
    });
    found.unwrap_or_else(|| panic!("du says nothing of '{name}': {du:#}"))
}

#[track_caller]
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("not a number: {value}"))
}

/// A figure in bytes of an image or a container.
#[track_caller]
fn bytes(du: &Value, list: &str, name: &str, figure: &str) -> u64 {
    number(&of(du, list, name)[figure])
}

/// What the file system that holds the nodes has in use, once everything is
/// written and freed.
#[track_caller]
fn used(fixture: &Fixture) -> u64 {
    let nodes: PathBuf = fixture.nodes_directory(fixture.lane().backend());
    let sync = || {
        let opened = std::fs::File::open(&nodes).unwrap();
        rustix::fs::syncfs(&opened).unwrap();
        let told = statvfs(&nodes).unwrap();
        (told.f_blocks - told.f_bfree) * told.f_frsize
    };
    // Some free in the background what was removed a moment ago.
    let mut last = sync();
    for _ in 0..50 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let next = sync();
        if next == last {
            break;
        }
        last = next;
    }
    last
}

/// Asserts that two figures differ by no more than one per cent, and what the
/// metadata of a few entries takes.
#[track_caller]
fn agree(what: &str, said: u64, really: u64) {
    let most = really / 100 + (256 << 10);
    assert!(said.abs_diff(really) <= most, "{what}: {said} bytes are said, and it is {really}");
}

/// An image out of files that nothing else has: so many, of a mebibyte each, and
/// what is needed to run a command.
fn image_of_its_own(fixture: &Fixture, name: &str, files: usize) {
    let source = fixture.scratch().join("source");
    std::fs::create_dir(&source).unwrap();
    crate::rootfs::build(&source);
    let script = format!(
        "mkdir data; for i in $(seq {files}); do head -c 1M /dev/urandom > data/$i; done; rm -f data/0"
    );
    crate::suites::nodes::bash(&source, &script);
    fixture.ok(&["init", "-q", "--name", name, source.to_str().unwrap()]);
    std::fs::remove_dir_all(&source).unwrap();
}
