//! K1: what a crash leaves of a node under its number is listed, and goes like
//! any other node.
//!
//! The calls that were cut short are those of the backends of this project, which
//! keep a node in `<root>/<backend>/nodes/<number>`; a case of its own would do the
//! same for a backend that keeps it elsewhere.

use std::path::Path;

use mocker_core::backend::{Chain, NodeId, complete};

use super::{EVERYTHING, bash, layer, numbers, same, tip_of};
use crate::cases;
use crate::fixture::{BACKENDS, Fixture};
use crate::harness::Case;
use crate::lane::Lane;

pub(crate) fn cases() -> Vec<Case> {
    cases![k1_what_a_crash_left_of_a_node_is_listed_and_goes, k1_nodes_are_listed_in_order]
}

/// Where the layout is known.
pub(crate) fn applies(lane: Lane) -> bool {
    BACKENDS.contains(&lane.backend())
}

/// What is there when a call was cut short, as scripts of bash in the directory
/// of the node.
fn leftovers(lane: Lane) -> Vec<&'static str> {
    // The number is taken, and nothing is in it yet.
    let mut scripts = vec![":"];
    match lane.backend() {
        "btrfs" => scripts.extend([
            // An empty subvolume whose mode is not set yet.
            "btrfs -q subvolume create fs; chmod 0 fs",
            // A snapshot that was just being changed, with another one still in it.
            "btrfs -q subvolume create fs; cd fs; mkdir -p a/b; echo x > a/b/c; btrfs -q subvolume create a/in; \
             echo x > a/in/file; btrfs -q property set a/in ro true; btrfs -q property set . ro true",
        ]),
        "overlay" => scripts.extend([
            "mkdir -m 700 fs",
            "mkdir -m 700 work; mkdir -m 0 work/work",
            // A trial whether somebody holds the upper.
            "mkdir trial trial-work trial-work/work",
            // A copy of an upper that was under way.
            "mkdir fs; cd fs; mkdir -p a/b; mknod a/gone c 0 0; echo x > a/b/c; setfattr -n trusted.overlay.opaque -v y a/b; chmod 0 a",
        ]),
        _ => scripts.extend([
            "mkdir -m 700 fs",
            "mkdir fs; cd fs; mkdir -p a/b; echo x > a/b/c; ln a/b/c d; mkfifo e; chmod 0 a",
        ]),
    }
    scripts
}

fn k1_what_a_crash_left_of_a_node_is_listed_and_goes(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, EVERYTHING);
    let (before, known) = (tip_of(&nodes, &base), numbers(&nodes));
    let place = fixture.nodes_directory(fixture.lane().backend());
    let mut planted = Vec::new();
    for (number, script) in (1000..).zip(leftovers(fixture.lane())) {
        let directory = place.join(number.to_string());
        std::fs::create_dir(&directory).unwrap();
        bash(&directory, script);
        planted.push(NodeId(number));
    }
    // Whoever opens it next finds them all.
    let nodes = crate::nodes::Nodes::of(fixture.open_backend());
    assert_eq!(numbers(&nodes), [known.clone(), planted.clone()].concat(), "a sweep would miss something");
    for node in planted {
        complete(nodes.backend.delete(node)).unwrap_or_else(|error| panic!("node {node}: {error}"));
        complete(nodes.backend.delete(node)).unwrap();
        assert!(!place.join(node.to_string()).exists(), "node {node} is still there");
    }
    complete(nodes.backend.reclaim()).unwrap();
    assert_eq!(numbers(&nodes), known);
    assert_no_trash(&fixture.root().join(fixture.lane().backend()));
    same("the node beside them", &before, &tip_of(&nodes, &base));
}

#[track_caller]
fn assert_no_trash(base: &Path) {
    let trash = base.join("trash");
    assert!(
        !trash.exists() || std::fs::read_dir(&trash).unwrap().next().is_none(),
        "something is left of them"
    );
}

fn k1_nodes_are_listed_in_order(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let made = [100, 9, 2_000_000_000_000, 10, 1].map(NodeId);
    for node in made {
        complete(nodes.backend.create(mocker_core::backend::WorkId(node), &Chain::EMPTY)).unwrap();
    }
    // What is not ours is none of them.
    let place = fixture.nodes_directory(fixture.lane().backend());
    std::fs::create_dir(place.join("lost+found")).unwrap();
    let mut sorted = made;
    sorted.sort_unstable();
    assert_eq!(numbers(&nodes), sorted);
}
