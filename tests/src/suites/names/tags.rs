//! An image has one name, and a name leads to one line of versions; `tag` as
//! docs/differences.md has it.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::{field, id, word, write};

pub(super) fn cases() -> Vec<Case> {
    cases![
        a_tag_names_an_image_that_has_no_name,
        a_tag_of_a_named_image_is_an_image_of_its_own_on_the_same_tree,
        a_tag_onto_an_image_is_one_more_version_of_it,
        a_tag_with_the_name_that_the_image_has_changes_nothing,
        latest_is_the_tag_where_none_is_given,
        a_new_name_of_a_commit_or_an_init_is_a_new_image,
    ]
}

fn a_tag_names_an_image_that_has_no_name(fixture: &Fixture) {
    let source = fixture.rootfs();
    let image = fixture.ok(&["init", "-q", source.to_str().unwrap()]);
    assert_eq!(field(fixture, &image, "name"), serde_json::Value::Null);
    assert_eq!(fixture.ok(&["tag", &image, "web"]), format!("Created: {image}"));
    assert_eq!(field(fixture, &image, "name"), "web:latest");
    assert_eq!(field(fixture, &image, "versions"), 1);
    assert_eq!(fixture.ok(&["images", "-q"]), image);
    assert_eq!(fixture.ok(&["run", "--rm", "web", "echo", "found"]), "found");
}

fn a_tag_of_a_named_image_is_an_image_of_its_own_on_the_same_tree(fixture: &Fixture) {
    let web = fixture.image("web");
    fixture.ok(&["commit", "-c", "CMD echo of the image", &ended(fixture, "web"), "web"]);
    let before = fixture.ok(&["tag", "web", "web:before"]);
    let before = before.strip_prefix("Created: ").unwrap();
    assert_ne!(before, web);
    assert_eq!(field(fixture, before, "name"), "web:before");
    assert_eq!(field(fixture, before, "layer"), field(fixture, "web", "layer"), "something was copied");
    assert_eq!((field(fixture, before, "version"), field(fixture, before, "versions")), (1.into(), 1.into()));
    assert_eq!(fixture.ok(&["run", "--rm", "web:before"]), "of the image", "its settings came along");

    // From now on each goes its own way.
    let tree = oracle::look(&fixture.tree(before));
    write(fixture, "work", "web", "changed");
    fixture.ok(&["commit", "work", "web"]);
    assert_eq!([word(fixture, "web"), word(fixture, "web:before")], ["changed", ""]);
    oracle::assert_equal(&tree, &oracle::look(&fixture.tree(before)));
    fixture.ok(&["rm", "--wait", "work", &web]);
    oracle::assert_equal(&tree, &oracle::look(&fixture.tree(before)));
    assert_eq!(fixture.ok(&["run", "--rm", "web:before"]), "of the image");
    fixture.assert_consistent();
}

/// A container of an image that has ended.
fn ended(fixture: &Fixture, image: &str) -> String {
    fixture.ok(&["run", image, "true"]);
    fixture.ok(&["ps", "-q"]).lines().next().unwrap().to_owned()
}

fn a_tag_onto_an_image_is_one_more_version_of_it(fixture: &Fixture) {
    fixture.image("new");
    let stable = fixture.image("stable");
    write(fixture, "old", "stable", "old");
    fixture.ok(&["commit", "old", "stable"]);
    write(fixture, "work", "new", "new");
    fixture.ok(&["commit", "work", "new"]);
    let new = fixture.record("new").unwrap();

    assert_eq!(fixture.ok(&["tag", "new", "stable"]), format!("Created: {stable}"));
    assert_eq!(
        (field(fixture, "stable", "version"), field(fixture, "stable", "versions")),
        (3.into(), 3.into())
    );
    assert_eq!(field(fixture, "stable", "layer"), new["layer"]);
    assert_eq!(word(fixture, "stable"), "new");
    assert_eq!(fixture.record("new").unwrap(), new, "the image that was tagged stays as it is");
    // A container of the version before keeps what it stands on.
    fixture.ok(&["start", "old"]);
    assert_eq!(field(fixture, "old", "image_version"), 1);
    fixture.ok(&["rm", "--wait", "new", "work"]);
    assert_eq!(word(fixture, "stable"), "new");
    fixture.assert_consistent();
}

fn a_tag_with_the_name_that_the_image_has_changes_nothing(fixture: &Fixture) {
    let web = fixture.image("web");
    let state = fixture.state();
    for name in ["web", "web:latest"] {
        let ended = fixture.mocker(&["tag", "web", name]).run();
        assert_eq!((ended.code, ended.out()), (0, format!("Created: {web}")));
        assert!(ended.err().contains("note: "), "{}", ended.err());
        assert_eq!(fixture.state(), state);
    }
}

fn latest_is_the_tag_where_none_is_given(fixture: &Fixture) {
    let web = fixture.image("team/web");
    assert_eq!(field(fixture, &web, "name"), "team/web:latest");
    fixture.ok(&["tag", "team/web", "team/web:v1"]);
    fixture.ok(&["tag", "team/web:latest", "team/web:V1.0_a-b"]);
    assert_eq!(fixture.ok(&["images", "-q"]).lines().count(), 3);
    write(fixture, "work", "team/web:v1", "one");
    assert_eq!(fixture.ok(&["commit", "work", "team/web:latest"]), format!("Created: {web}"));
    let words =
        ["team/web", "team/web:latest", "team/web:v1", "team/web:V1.0_a-b"].map(|name| word(fixture, name));
    assert_eq!(words, ["one", "one", "", ""]);
    // The name without its tag is the one that is called latest, not all of them.
    assert_eq!(fixture.ok(&["rm", "team/web"]), format!("Removed: {web}"));
    let said = fixture.fails(&["run", "team/web", "true"], 125);
    assert!(said.contains("No image named 'team/web' exists"), "{said}");
    assert_eq!(word(fixture, "team/web:v1"), "");
    // A tag is told apart by the case of its letters.
    fixture.fails(&["run", "team/web:v1.0_a-b", "true"], 125);
}

fn a_new_name_of_a_commit_or_an_init_is_a_new_image(fixture: &Fixture) {
    let base = fixture.image("base");
    write(fixture, "work", "base", "changed");
    let derived = fixture.ok(&["commit", "-q", "work", "derived"]);
    let nameless = fixture.ok(&["commit", "-q", "work"]);
    assert_eq!(id(fixture, "derived"), derived);
    assert_eq!(field(fixture, &nameless, "name"), serde_json::Value::Null);
    let ids = [&base, &derived, &nameless];
    assert!(ids.iter().enumerate().all(|(place, id)| !ids[..place].contains(id)), "{ids:?}");
    assert_eq!(ids.map(|id| word(fixture, id)), ["", "changed", "changed"]);
    assert_eq!(field(fixture, &derived, "source"), format!("commit of {}", id(fixture, "work")));
    // Committed once more without a name, it is one more image.
    assert_ne!(fixture.ok(&["commit", "-q", "work"]), nameless);
    assert_eq!(fixture.ok(&["images", "-q"]).lines().count(), 4);
}
