//! An image is a line of versions: each commit, init or tag onto its name
//! appends one, and whatever was made of an earlier one stays with it.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::{field, id, word, write};

pub(super) fn cases() -> Vec<Case> {
    cases![
        c10_commits_onto_an_image_are_its_versions_in_a_line,
        c10_a_container_stays_on_the_version_that_it_was_made_of,
        c10_an_init_onto_a_name_is_one_more_version,
        c10_a_container_can_be_committed_again_and_again,
        c10_two_lines_from_one_image_do_not_meet,
    ]
}

fn c10_commits_onto_an_image_are_its_versions_in_a_line(fixture: &Fixture) {
    let base = fixture.image("base");
    let mut layers = vec![field(fixture, "base", "layer")];
    for (number, target) in [(2, "base"), (3, &base[..]), (4, "base:latest"), (5, "base")] {
        let container = format!("work{number}");
        write(fixture, &container, "base", &format!("version-{number}"));
        let made = fixture.ok(&["commit", "--format", "json", &container, target]);
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        assert_eq!((&made["image"], &made["version"]), (&base.clone().into(), &number.into()), "{made}");
        assert_eq!(made["name"], "base:latest");
        assert_eq!(
            (field(fixture, "base", "version"), field(fixture, "base", "versions")),
            (number.into(), number.into())
        );
        assert_eq!(word(fixture, "base"), format!("version-{number}"));
        assert_eq!(id(fixture, "base"), base);
        layers.push(field(fixture, "base", "layer"));
    }
    let different = layers.iter().enumerate().all(|(place, layer)| !layers[..place].contains(layer));
    assert!(different, "two versions have one layer: {layers:?}");
    assert_eq!(fixture.ok(&["images", "-q"]), base);
    // Where it came from at first is still said.
    assert_eq!(field(fixture, "base", "source"), fixture.rootfs().to_str().unwrap());
    fixture.assert_consistent();
}

fn c10_a_container_stays_on_the_version_that_it_was_made_of(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "first", "base", "sh", "-c", "cat /word || echo none"]);
    let tree = oracle::look(&fixture.tree("first"));
    write(fixture, "second", "base", "two");
    fixture.ok(&["commit", "second", "base"]);
    fixture.ok(&["run", "--name", "third", "base", "cat", "/word"]);
    let versions = ["first", "second", "third"].map(|name| field(fixture, name, "image_version"));
    assert_eq!(versions, [1, 1, 2]);
    assert_eq!(fixture.ok(&["start", "first"]), "none");
    oracle::assert_equal(&tree, &oracle::look(&fixture.tree("first")));
    assert_eq!(fixture.ok(&["start", "third"]), "two");
    // What stands on the first version becomes the third: the name leads there, and only there.
    fixture.ok(&["commit", "first", "base"]);
    assert_eq!(field(fixture, "base", "version"), 3);
    assert_eq!(word(fixture, "base"), "");
    assert_eq!(fixture.ok(&["start", "third"]), "two");
}

fn c10_an_init_onto_a_name_is_one_more_version(fixture: &Fixture) {
    let base = fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    fixture.ok(&["commit", "-c", "CMD echo the settings stay", "work", "base"]);
    let source = fixture.rootfs();
    std::fs::write(source.join("word"), "of the source").unwrap();
    let words = ["init", "--name", "base", "--format", "json", source.to_str().unwrap()];
    let made: serde_json::Value = serde_json::from_str(&fixture.ok(&words)).unwrap();
    assert_eq!((&made["image"], &made["version"]), (&base.into(), &3.into()));
    oracle::assert_same(&source, &fixture.tree("base"));
    assert_eq!(fixture.ok(&["run", "--rm", "base"]), "the settings stay");
    fixture.ok(&["start", "work"]);
    fixture.assert_consistent();
}

fn c10_a_container_can_be_committed_again_and_again(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", "echo x >> /word; wc -l < /word"]);
    for round in 1..=6 {
        if round > 1 {
            assert_eq!(fixture.ok(&["start", "work"]), round.to_string());
        }
        fixture.ok(&["commit", "work", "line"]);
        fixture.ok(&["commit", "work", &format!("round:{round}")]);
        oracle::assert_same(&fixture.tree("work"), &fixture.tree("line"));
    }
    assert_eq!(field(fixture, "line", "versions"), 6);
    // Every one of them is what it was then.
    for round in 1..=6 {
        let lines = fixture.ok(&["run", "--rm", &format!("round:{round}"), "wc", "-l", "/word"]);
        assert_eq!(lines, format!("{round} /word"));
    }
    fixture.assert_consistent();
}

fn c10_two_lines_from_one_image_do_not_meet(fixture: &Fixture) {
    fixture.image("base");
    let base = oracle::look(&fixture.tree("base"));
    for line in ["left", "right"] {
        write(fixture, &format!("{line}1"), "base", line);
        fixture.ok(&["commit", &format!("{line}1"), line]);
    }
    for line in ["left", "right"] {
        let script = format!("echo again >> /word; mv /etc/passwd /{line}");
        fixture.ok(&["run", "--name", &format!("{line}2"), line, "sh", "-c", &script]);
        fixture.ok(&["commit", &format!("{line}2"), line]);
    }
    assert_eq!([word(fixture, "left"), word(fixture, "right")], ["left\nagain", "right\nagain"]);
    for (line, other) in [("left", "right"), ("right", "left")] {
        let tree = fixture.tree(line);
        assert!(tree.join(line).exists() && !tree.join(other).exists() && !tree.join("etc/passwd").exists());
    }
    oracle::assert_equal(&base, &oracle::look(&fixture.tree("base")));
    fixture.assert_consistent();
}
