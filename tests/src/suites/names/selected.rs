//! `IMAGE@VERSION`: every version that there was can be read, and nothing but
//! read.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::{field, id, word, write};

pub(super) fn cases() -> Vec<Case> {
    cases![
        c10_every_version_can_be_run_by_its_number,
        a_tag_of_an_earlier_version_is_an_image_of_its_own,
        an_earlier_version_can_be_made_again_on_another_backend,
        a_version_that_is_not_there_is_told_from_those_that_are,
        s7_what_changes_an_image_takes_no_version,
    ]
}

/// An image `base` of four versions; all but the first have a word.
fn versions(fixture: &Fixture) -> String {
    let base = fixture.image("base");
    for word in ["two", "three", "four"] {
        write(fixture, word, "base", word);
        fixture.ok(&["commit", "-c", &format!("CMD echo settings of {word}"), word, "base"]);
    }
    base
}

fn c10_every_version_can_be_run_by_its_number(fixture: &Fixture) {
    let base = versions(fixture);
    let names = ["base@", "base:latest@", &format!("{base}@"), &format!("{}@", &base[..base.len() - 2])];
    for name in names {
        for (number, expected) in (1..).zip(["", "two", "three", "four"]) {
            assert_eq!(word(fixture, &format!("{name}{number}")), expected);
        }
    }
    assert_eq!(fixture.ok(&["run", "--name", "early", "base@2"]), "settings of two");
    assert_eq!(
        (field(fixture, "early", "image"), field(fixture, "early", "image_version")),
        (base.into(), 2.into())
    );
    oracle::assert_same(&fixture.tree("two"), &fixture.tree("early"));
    // What is committed of it comes last, whatever it stands on.
    fixture.ok(&["commit", "early", "base"]);
    assert_eq!((field(fixture, "base", "version"), field(fixture, "base", "versions")), (5.into(), 5.into()));
    assert_eq!([word(fixture, "base"), word(fixture, "base@4")], ["two", "four"]);
    fixture.assert_consistent();
}

fn a_tag_of_an_earlier_version_is_an_image_of_its_own(fixture: &Fixture) {
    let base = versions(fixture);
    let before = fixture.record("base");
    let then = fixture.ok(&["tag", "-q", "base@2", "then"]);
    assert_ne!(then, base);
    assert_eq!((field(fixture, "then", "version"), field(fixture, "then", "versions")), (1.into(), 1.into()));
    assert_eq!(field(fixture, "then", "source"), "tag of base:latest@2");
    assert_eq!(word(fixture, "then"), "two");
    assert_eq!(fixture.ok(&["run", "--rm", "then"]), "settings of two", "its settings came along");
    // One more of an image that has the name.
    fixture.ok(&["tag", &format!("{base}@3"), "then"]);
    assert_eq!([word(fixture, "then"), word(fixture, "then@1")], ["three", "two"]);
    assert_eq!(fixture.record("base"), before, "the image that was tagged stays as it is");

    let said = fixture.fails(&["tag", "base@2", "base"], 1);
    assert!(said.contains("mocker rollback base:latest 2"), "{said}");
    assert_eq!(fixture.record("base"), before);
    // The current one by its number is the image itself.
    assert_eq!(fixture.ok(&["tag", "-q", "base@4", "base"]), base);

    // An image without a name gets it only where what it is now is meant.
    let nameless = fixture.ok(&["commit", "-q", "two"]);
    fixture.ok(&["commit", "three", &nameless]);
    let first = fixture.ok(&["tag", "-q", &format!("{nameless}@1"), "first"]);
    assert_ne!(first, nameless);
    assert_eq!(field(fixture, &nameless, "name"), serde_json::Value::Null);
    assert_eq!([word(fixture, "first"), word(fixture, &nameless)], ["two", "three"]);
    // It stays when the image goes that it was made of.
    fixture.ok(&["rm", "--wait", "base", &nameless, "two", "three", "four"]);
    assert_eq!(
        [word(fixture, "then"), word(fixture, "then@1"), word(fixture, "first")],
        ["three", "two", "two"]
    );
    fixture.assert_consistent();
}

fn an_earlier_version_can_be_made_again_on_another_backend(fixture: &Fixture) {
    versions(fixture);
    let other = fixture.another_backend();
    fixture.ok(&["convert", "base@2", "--to", other, "there"]);
    assert_eq!(word(fixture, "there"), "two");
    assert_eq!(fixture.ok(&["run", "--rm", "there"]), "settings of two");
    assert_eq!(
        (field(fixture, "there", "version"), field(fixture, "there", "backend")),
        (1.into(), other.into())
    );
}

fn a_version_that_is_not_there_is_told_from_those_that_are(fixture: &Fixture) {
    let base = versions(fixture);
    let state = fixture.state();
    for version in ["5", "99", "4294967295"] {
        for words in [
            &["run", &format!("base@{version}"), "true"][..],
            &["tag", &format!("{base}@{version}"), "then"],
            &["convert", &format!("base@{version}"), "--to", fixture.another_backend()],
        ] {
            let said = fixture.fails(words, if words[0] == "run" { 125 } else { 1 });
            assert!(said.contains(&format!("image base:latest has no version {version}\n")), "{said}");
            assert!(said.contains("it has 1-4;"), "{said}");
        }
    }
    for version in ["", "0", "-1", "+1", "1.0", "one", "1@2", "4294967296", " 1", "01x", "\u{1b}[31m"] {
        let said = fixture.fails(&["run", &format!("base@{version}"), "true"], 125);
        assert!(said.contains("is not the number of a version") && !said.contains('\u{1b}'), "{said:?}");
    }
    let said = fixture.fails(&["run", "nothing@1", "true"], 125);
    assert!(said.contains("No image named 'nothing' exists"), "{said}");
    assert_eq!(fixture.state(), state);
}

fn s7_what_changes_an_image_takes_no_version(fixture: &Fixture) {
    let base = versions(fixture);
    let state = fixture.state();
    let source = fixture.rootfs();
    let (name, prefix, source) = ("base@2", format!("{base}@2"), source.to_str().unwrap());
    let short = format!("{}@2", &base[..base.len() - 1]);
    for image in [name, &prefix, &short] {
        let without = image.strip_suffix("@2").unwrap();
        let said = fixture.fails(&["rm", image], 1);
        assert!(said.contains(&format!("try: 'mocker rm {without}'")), "{said}");
        let said = fixture.fails(&["commit", "two", image], 1);
        assert!(said.contains(&format!("{without}'; to go on from version 2, run {image}")), "{said}");
    }
    for words in [
        &["init", source, "--name", "new@2"][..],
        &["tag", "base", "new@2"],
        &["convert", "base", "--to", fixture.another_backend(), "new@2"],
    ] {
        let said = fixture.fails(words, 1);
        assert!(said.contains("'@' chooses a version"), "{said}");
    }
    assert_eq!(fixture.state(), state);
    assert_eq!(id(fixture, "base"), base);
}
