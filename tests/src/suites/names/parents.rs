//! L6: what an image and a container stand on, the direct and the transitive,
//! and what of it stays when those in the middle go.
//!
//! From containerd's snapshotter suite (`TransitivityTest`): there a parent is
//! only asked for its own parent; here every tree of the line is compared too.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;
use mocker_core::backend::Layers;

use super::{field, id, write};

pub(super) fn cases() -> Vec<Case> {
    cases![
        l6_an_image_knows_its_parents_direct_and_transitive,
        l6_a_container_says_which_version_of_which_image_it_stands_on,
        l6_parents_in_the_middle_go_only_where_nobody_needs_them,
        l6_what_was_squashed_has_the_parents_that_are_left,
    ]
}

/// The images of the line, the first ancestor first; each adds a word.
const LINE: [&str; 4] = ["great", "grand", "parent", "child"];

/// Makes the line: each image is a commit of a container of the one before.
fn line(fixture: &Fixture) {
    fixture.image(LINE[0]);
    for pair in LINE.windows(2) {
        write(fixture, &format!("of-{}", pair[0]), pair[0], pair[1]);
        fixture.ok(&["commit", &format!("of-{}", pair[0]), pair[1]]);
    }
}

fn layer(fixture: &Fixture, image: &str) -> u64 {
    field(fixture, image, "layer").as_u64().unwrap()
}

/// The layers that the records have beneath an image, the topmost first, and
/// itself.
fn ancestors(fixture: &Fixture, image: &str) -> Vec<u64> {
    let store = fixture.store();
    let parent = |layer: &u64| {
        let query = "SELECT parent FROM node WHERE id = ?1 AND role = 'layer'";
        store.query_row(query, [layer], |row| row.get::<_, Option<u64>>(0)).ok().flatten()
    };
    let exists = |layer: &u64| {
        let query = "SELECT count(*) FROM node WHERE id = ?1 AND role = 'layer'";
        store.query_row(query, [layer], |row| row.get::<_, u64>(0)).unwrap() == 1
    };
    std::iter::successors(Some(layer(fixture, image)), parent).take_while(exists).collect()
}

/// The layers of some images, in their order.
fn layers(fixture: &Fixture, images: &[&str]) -> Vec<u64> {
    images.iter().map(|image| layer(fixture, image)).collect()
}

fn l6_an_image_knows_its_parents_direct_and_transitive(fixture: &Fixture) {
    line(fixture);
    let upwards: Vec<_> = LINE.into_iter().rev().collect();
    for (place, image) in upwards.iter().enumerate() {
        assert_eq!(ancestors(fixture, image), layers(fixture, &upwards[place..]), "{image}");
    }
    // The parents are not only on paper: each tree is that of the container which it was made of.
    for pair in LINE.windows(2) {
        oracle::assert_same(&fixture.tree(&format!("of-{}", pair[0])), &fixture.tree(pair[1]));
    }
    fixture.assert_consistent();
}

fn l6_a_container_says_which_version_of_which_image_it_stands_on(fixture: &Fixture) {
    line(fixture);
    write(fixture, "again", "grand", "of-again");
    fixture.ok(&["commit", "again", "grand"]);
    write(fixture, "later", "grand", "of-later");
    for (container, image, version) in
        [("of-great", "great", 1), ("of-grand", "grand", 1), ("again", "grand", 1), ("later", "grand", 2)]
    {
        assert_eq!(field(fixture, container, "image"), id(fixture, image), "{container}");
        assert_eq!(field(fixture, container, "image_name"), format!("{image}:latest"), "{container}");
        assert_eq!(field(fixture, container, "image_version"), version, "{container}");
    }
    // The newer version of an ancestor is no parent of what was made of the older one.
    assert!(!ancestors(fixture, "child").contains(&layer(fixture, "grand")));
    assert_eq!(ancestors(fixture, "grand").last(), Some(&layer(fixture, "great")));
}

fn l6_parents_in_the_middle_go_only_where_nobody_needs_them(fixture: &Fixture) {
    line(fixture);
    let tree = oracle::look(&fixture.tree("child"));
    let before = ancestors(fixture, "child");
    let containers: Vec<_> = LINE[..3].iter().map(|image| format!("of-{image}")).collect();
    for object in containers.iter().map(String::as_str).chain(["grand", "great", "parent"]) {
        fixture.ok(&["rm", object]);
        oracle::assert_equal(&tree, &oracle::look(&fixture.tree("child")));
    }
    let expected = match fixture.capabilities().layers {
        // It holds the difference to those beneath, whoever else lets go of them.
        Layers::Delta => before,
        Layers::Whole => before[..1].to_vec(),
    };
    assert_eq!(ancestors(fixture, "child"), expected);
    fixture.assert_consistent();
    fixture.ok(&["rm", "child"]);
    assert_eq!(fixture.node_numbers(), [0; 0], "an ancestor outlives its last descendant");
}

fn l6_what_was_squashed_has_the_parents_that_are_left(fixture: &Fixture) {
    line(fixture);
    let great = layer(fixture, "great");
    write(fixture, "work", "parent", "of-work");
    fixture.ok(&["commit", "--squash=all", "work", "alone"]);
    assert_eq!(ancestors(fixture, "alone"), [layer(fixture, "alone")]);
    fixture.ok(&["commit", "--squash", "work", "new"]);
    let found = ancestors(fixture, "new");
    assert_eq!(found[1..], layers(fixture, &["parent", "grand", "great"]));
    assert_eq!(found.last(), Some(&great));
    oracle::assert_same(&fixture.tree("work"), &fixture.tree("alone"));
    oracle::assert_same(&fixture.tree("work"), &fixture.tree("new"));
}
