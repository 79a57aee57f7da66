//! What is left after a fault, looked at as a user would: with the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::workload::{State, files, script};
use crate::faults::{Attached, Possible, Supply};
use crate::fixture::Fixture;
use crate::suites::crash;

/// Every regular file of a tree with its hash, and every link.
type Listing = BTreeSet<String>;

/// Prints that, for the tree that a container sees.
const LIST: &str = "cd /; find . \\( -path ./proc -o -path ./sys -o -path ./dev \\) -prune \
     -o -type f -exec sha256sum {} + -o -type l -print";

/// What the program puts into every container.
const NOT_OF_THE_TREE: [&str; 3] = ["./etc/hosts", "./etc/hostname", "./etc/resolv.conf"];

/// Mounts a clone, asserts that everything holds, and takes it away.
#[track_caller]
pub(super) fn look(fixture: &Fixture, supply: &Supply, clone: &Path, possible: &Possible<State>) {
    let mounted = Attached::at(clone, &supply.path("mount"));
    assert_holds(&fixture.with_root(&mounted.path().join("root")), possible);
    mounted.detach();
    std::fs::remove_file(clone).unwrap();
}

/// Asserts that a root is as it can be after a fault, and good for everything.
#[track_caller]
fn assert_holds(fixture: &Fixture, possible: &Possible<State>) {
    crash::first_command_after_a_boot(fixture).ok();
    let found = found(fixture);
    for (object, states) in possible {
        let is_possible = match found.get(object) {
            None => states.contains(&State::Absent),
            Some(()) => states.iter().any(|state| *state != State::Absent),
        };
        assert!(is_possible, "{object} must be one of {states:?}; there are {:?}", found.keys());
    }
    for object in found.keys() {
        assert!(possible.contains_key(object), "nobody made {object}");
        let states = &possible[object];
        match object.split_once(' ').unwrap() {
            ("image", name) => assert_image(fixture, name, states),
            (_, name) => assert_container(fixture, name, states),
        }
    }
    assert_everything_works(fixture);
}

/// The named objects that there are, under the names that the record gives them.
#[track_caller]
fn found(fixture: &Fixture) -> BTreeMap<String, ()> {
    let mut found = BTreeMap::new();
    for (kind, list) in [("image", fixture.images()), ("container", fixture.containers())] {
        for record in list.as_array().unwrap() {
            let name = record["name"].as_str().unwrap_or_else(|| panic!("a {kind} without a name: {record}"));
            found.insert(format!("{kind} {}", name.trim_end_matches(":latest")), ());
        }
    }
    found
}

#[track_caller]
fn assert_image(fixture: &Fixture, name: &str, states: &[State]) {
    let listing = listing(fixture, name);
    let expected: Vec<_> = states
        .iter()
        .filter_map(|state| match state {
            State::Image(made) => Some(expected(&fixture.rootfs(), made)),
            _ => None,
        })
        .collect();
    let nearest = expected.iter().min_by_key(|one| one.symmetric_difference(&listing).count()).unwrap();
    assert_same(&format!("image {name}"), nearest, &listing);
}

/// What a container's command wrote is as durable as the command made it; the
/// tree that it was given is there whole.
#[track_caller]
fn assert_container(fixture: &Fixture, name: &str, states: &[State]) {
    let state = states.iter().find(|state| matches!(state, State::Container { .. }));
    let Some(State::Container { over, made, flushed }) = state else { panic!("{name}: {states:?}") };
    fixture.ok(&["commit", name, "looked-at"]);
    let mut listing = listing(fixture, "looked-at");
    fixture.ok(&["rm", "looked-at"]);
    // It had returned, if it cannot be absent.
    let promised = *flushed && !states.contains(&State::Absent);
    let mut expected = expected(&fixture.rootfs(), over);
    if promised {
        expected.extend(files(*made).map(|(path, bytes)| line(&path, bytes.as_bytes())));
    } else {
        listing.retain(|line| files(*made).iter().all(|(path, _)| !line.ends_with(path)));
    }
    assert_same(&format!("container {name}"), &expected, &listing);
}

#[track_caller]
fn assert_same(what: &str, expected: &Listing, found: &Listing) {
    let missing: Vec<_> = expected.difference(found).collect();
    let more: Vec<_> = found.difference(expected).collect();
    assert!(missing.is_empty() && more.is_empty(), "{what} lacks {missing:?}, and has {more:?} instead");
}

#[track_caller]
fn listing(fixture: &Fixture, image: &str) -> Listing {
    let printed = fixture.ok(&["run", "--rm", image, "sh", "-c", LIST]);
    let is_ours = |line: &&str| !NOT_OF_THE_TREE.iter().any(|path| line.ends_with(path));
    printed.lines().filter(is_ours).map(str::to_owned).collect()
}

fn expected(source: &Path, made: &[u32]) -> Listing {
    let mut lines = Listing::new();
    for entry in walkdir::WalkDir::new(source).into_iter().map(Result::unwrap) {
        let path = format!("./{}", entry.path().strip_prefix(source).unwrap().display());
        if entry.file_type().is_symlink() {
            lines.insert(path);
        } else if entry.file_type().is_file() {
            lines.insert(line(&path, &std::fs::read(entry.path()).unwrap()));
        }
    }
    for number in made {
        lines.extend(files(*number).map(|(path, bytes)| line(&path, bytes.as_bytes())));
    }
    lines
}

fn line(path: &str, bytes: &[u8]) -> String {
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hash}  {path}")
}

/// Goes once through the life of an image and a container.
#[track_caller]
fn assert_everything_works(fixture: &Fixture) {
    fixture.image("again");
    fixture.ok(&["run", "--name", "at-work", "again", "sh", "-c", &script(7)]);
    fixture.ok(&["commit", "at-work", "again"]);
    assert_image(fixture, "again", &[State::Image(vec![7])]);
    fixture.ok(&["start", "at-work"]);
    fixture.ok(&["rm", "at-work", "again"]);
    fixture.assert_consistent();
}
