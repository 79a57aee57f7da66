//! R8: what images and containers stand on and is not there is found, for each of
//! them; nothing else suffers, and only who asks for it gets rid of them.

use std::process::Command;

use mocker_core::Layers;
use mocker_core::backend::{NodeId, complete};

use super::{Seen, World, checked, id, seen, world};
use crate::cases;
use crate::fixture::{BACKENDS, Fixture};
use crate::harness::Case;
use crate::oracle;

pub(super) fn cases() -> Vec<Case> {
    cases![
        r8_a_layer_that_is_missing,
        r8_a_work_area_that_is_missing,
        r8_a_layer_that_is_there_and_holds_nothing,
        r8_a_work_area_that_is_there_and_holds_nothing,
    ]
}

fn node_of(fixture: &Fixture, name: &str, column: &str) -> u64 {
    fixture.record(name).unwrap()[column].as_u64().unwrap()
}

fn lose(fixture: &Fixture, number: u64) {
    let backend = fixture.open_backend();
    complete(backend.delete(NodeId(number))).unwrap();
    complete(backend.reclaim()).unwrap();
}

/// Takes the layer away that `kept` and the second version of `base` have; answers
/// what is broken then.
pub(crate) fn hole(fixture: &Fixture) -> Vec<Seen> {
    let layer = node_of(fixture, "kept:v2", "layer");
    let [base, kept, work, other] = ["base", "kept", "work", "other"].map(|name| id(fixture, name));
    lose(fixture, layer);
    standing_on_it(fixture, "missing-layer", layer, [&base, &kept, &work, &other])
}

/// Who needs the layer of the second version, in the order in which it is told.
fn standing_on_it(fixture: &Fixture, code: &str, layer: u64, ids: [&str; 4]) -> Vec<Seen> {
    let [base, kept, work, other] = ids;
    let mut broken = vec![
        seen(code, format!("version 2 of image {base}")),
        seen(code, format!("version 1 of image {kept}")),
    ];
    broken.sort_unstable_by_key(|(_, subject)| subject.split(' ').next_back().map(str::to_owned));
    let base_of = |id: &str| -> u64 {
        let query = "SELECT base FROM container WHERE id = ?1";
        fixture.store().query_row(query, [id], |row| row.get(0)).unwrap()
    };
    let mut containers: Vec<_> = [work, other].into_iter().filter(|id| base_of(id) == layer).collect();
    containers.sort_unstable();
    broken.extend(containers.into_iter().map(|id| seen(code, format!("container {id}"))));
    broken
}

/// Asserts that a repair leaves what is broken alone, and that somebody can ask
/// for it to go; what is not broken is as it was.
#[track_caller]
fn assert_reported_and_removed(world: &World<'_>, broken: &[Seen]) {
    let fixture = world.fixture;
    let before = (fixture.images(), fixture.containers());
    assert_eq!(checked(fixture, &[]), (broken.to_vec(), vec![]));
    assert_eq!(checked(fixture, &["--repair"]), (broken.to_vec(), vec![]));
    assert_eq!((fixture.images(), fixture.containers()), before, "a repair removed something");

    let whole: Vec<_> = super::OBJECTS
        .into_iter()
        .filter(|name| {
            let (id, version) = (id(fixture, name), if *name == "base" { 1 } else { 2 });
            let is_it = |subject: &str| {
                subject.ends_with(&id)
                    && !(*name == "base" && subject.starts_with("version 2") && version == 1)
            };
            !broken.iter().any(|(_, subject)| is_it(subject))
        })
        .collect();
    let (left, mut removed) = checked(fixture, &["--repair", "--remove-broken"]);
    removed.retain(|(code, _)| code != "unreferenced-node");
    assert_eq!((left, removed), (vec![], broken.to_vec()));
    for (name, tree) in &world.trees {
        let record = fixture.record(super::full(name));
        assert_eq!(record.is_some(), whole.contains(name), "{name}");
        if whole.contains(name) {
            oracle::assert_equal(tree, &oracle::look(&fixture.tree(super::full(name))));
        }
    }
    fixture.assert_consistent();
    // Whatever is left works.
    if whole.contains(&"base") {
        fixture.ok(&["run", "--rm", "base", "true"]);
    }
}

fn r8_a_layer_that_is_missing(fixture: &Fixture) {
    let world = world(fixture);
    let broken = hole(fixture);
    let least = if fixture.capabilities().layers == Layers::Delta { 4 } else { 3 };
    assert!(broken.len() >= least, "{broken:?}");
    assert_reported_and_removed(&world, &broken);
}

fn r8_a_work_area_that_is_missing(fixture: &Fixture) {
    let world = world(fixture);
    let (work, id) = (node_of(fixture, "other", "work"), id(fixture, "other"));
    lose(fixture, work);
    assert_reported_and_removed(&world, &[seen("missing-work-area", format!("container {id}"))]);
}

/// Takes the tree out of a node. Where another backend keeps it, nobody knows.
fn gut(fixture: &Fixture, number: u64) -> bool {
    if !BACKENDS.contains(&fixture.lane().backend()) {
        return false;
    }
    // A subvolume that is read-only cannot be emptied, but removed.
    let script = "btrfs -q subvolume delete \"$1\" 2> /dev/null || rm -r \"$1\"";
    let removed = Command::new("sh").args(["-c", script, "sh"]).arg(fixture.node(number)).status();
    assert!(removed.unwrap().success());
    true
}

fn r8_a_layer_that_is_there_and_holds_nothing(fixture: &Fixture) {
    let world = world(fixture);
    let layer = node_of(fixture, "kept:v2", "layer");
    let [base, kept, work, other] = ["base", "kept", "work", "other"].map(|name| id(fixture, name));
    if !gut(fixture, layer) {
        return;
    }
    let mut broken = standing_on_it(fixture, "broken-tree", layer, [&base, &kept, &work, &other]);
    // A container has a tree of its own where layers are whole.
    if fixture.capabilities().layers == Layers::Whole {
        broken.retain(|(_, subject)| !subject.starts_with("container"));
    }
    assert_reported_and_removed(&world, &broken);
}

fn r8_a_work_area_that_is_there_and_holds_nothing(fixture: &Fixture) {
    let world = world(fixture);
    let (work, id) = (node_of(fixture, "other", "work"), id(fixture, "other"));
    if gut(fixture, work) {
        assert_reported_and_removed(&world, &[seen("broken-tree", format!("container {id}"))]);
    }
}
