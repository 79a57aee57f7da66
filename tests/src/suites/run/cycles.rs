//! R7: what many runs leave behind: nothing, of any kind.
//!
//! In Docker mounts that nobody took away piled up until the daemon stood still
//! (moby/moby#38207).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::leaks;
use mocker_core::backend::Nested;

pub(super) fn cases() -> Vec<Case> {
    // Then the harness counts control groups, too: nobody can say whose one is while others run.
    vec![Case { name: "r7_many_runs_leave_nothing_behind", run: cycles, alone: true }]
}

/// Everything that could be left.
#[derive(Debug, PartialEq, Eq)]
struct Around {
    mounts: Vec<PathBuf>,
    loops: Vec<String>,
    subvolumes: Vec<String>,
    entries: BTreeSet<PathBuf>,
}

impl Around {
    fn of(fixture: &Fixture) -> Self {
        let place = fixture.root().parent().unwrap();
        let has_pool = fixture.lane().has_pool();
        Self {
            mounts: leaks::mounts_below(place),
            // It waits for those to go that nobody needs, and the pool's own stays.
            loops: if has_pool { Vec::new() } else { leaks::loop_devices_below(place) },
            subvolumes: subvolumes(fixture),
            entries: entries(fixture.root()),
        }
    }
}

/// The subvolumes of the file system that the trees lie on, where trees are
/// some.
fn subvolumes(fixture: &Fixture) -> Vec<String> {
    if fixture.capabilities().nested == Nested::Impossible {
        return Vec::new();
    }
    let list = Command::new("btrfs").args(["subvolume", "list"]).arg(fixture.tree("base")).output().unwrap();
    assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
    // The generation changes with everything.
    let path = |line: &str| line.split_once(" path ").map(|(_, path)| path.to_owned());
    String::from_utf8(list.stdout).unwrap().lines().filter_map(path).collect()
}

/// What lies in the root, but for what is in the trees.
fn entries(root: &Path) -> BTreeSet<PathBuf> {
    let found = walkdir::WalkDir::new(root).into_iter();
    let found = found.filter_entry(|entry| !entry.path().ends_with("fs")).map(|entry| entry.unwrap());
    found.map(walkdir::DirEntry::into_path).collect()
}

fn cycles(fixture: &Fixture) {
    let rounds = if crate::soaks() { 1000 } else { 50 };
    fixture.image("base");
    // Whatever is made once, for all that comes.
    round(fixture, 0);
    let before = Around::of(fixture);
    for number in 1..=rounds {
        round(fixture, number);
    }
    let after = Around::of(fixture);
    assert_eq!(after, before, "after {rounds} rounds");
    fixture.assert_consistent();
}

/// Makes containers, runs them and removes them, in every way there is.
fn round(fixture: &Fixture, number: u32) {
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", "echo made > /made"]);
    match number % 5 {
        0 => assert_eq!(fixture.ok(&["start", "work"]), ""),
        1 => assert_eq!(fixture.mocker(&["run", "--rm", "base", "sh", "-c", "exit 3"]).run().code, 3),
        2 => assert_eq!(fixture.mocker(&["run", "--rm", "base", "no-such-program"]).run().code, 127),
        3 => {
            fixture.fails(&["run", "--name", "work", "base", "true"], 125);
        }
        _ => {
            fixture.ok(&["commit", "work", "made"]);
            fixture.ok(&["rm", "--wait", "made"]);
        }
    }
    fixture.ok(&["rm", "--wait", "work"]);
}
