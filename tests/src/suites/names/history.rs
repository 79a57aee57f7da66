//! C13: the history of an image: who made each version, when, how and why, on
//! how many layers it stands, and which is the current one.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use serde_json::Value;

use super::{field, write};

pub(super) fn cases() -> Vec<Case> {
    cases![
        c13_a_history_tells_who_when_how_and_why,
        c13_a_version_has_a_layer_more_than_what_it_was_made_from,
        c13_the_current_version_is_marked_wherever_it_is,
        c13_a_history_is_as_long_as_its_image_has_versions,
        a_pruned_version_is_in_the_history_and_nowhere_else,
        c13_odd_texts_are_data_and_harmless_on_a_terminal,
    ]
}

/// The history of an image, the newest version first.
#[track_caller]
fn history(fixture: &Fixture, image: &str) -> Vec<Value> {
    serde_json::from_str(&fixture.ok(&["history", "--format", "json", image])).unwrap()
}

fn c13_a_history_tells_who_when_how_and_why(fixture: &Fixture) {
    let base = fixture.image("base");
    write(fixture, "work", "base", "x");
    let before = humantime();
    fixture.ok(&["commit", "-a", "Ann <ann@example.org>", "-m", "add the word", "work", "base"]);
    fixture.ok(&["commit", "work", "base"]);
    let found = history(fixture, "base");
    let told = |name: &str| found.iter().map(|version| version[name].clone()).collect::<Vec<_>>();
    assert_eq!(told("version"), [3, 2, 1]);
    assert_eq!(told("image"), [&base[..], &base, &base]);
    assert_eq!(told("author"), [Value::Null, "Ann <ann@example.org>".into(), Value::Null]);
    assert_eq!(told("message"), [Value::Null, "add the word".into(), Value::Null]);
    let command = "sh -c 'echo x > /word'";
    let source = format!("mocker init {}", fixture.rootfs().display());
    assert_eq!(told("created_by"), [command, command, &source]);
    assert_eq!(told("pruned"), [false, false, false]);
    assert_eq!(found[0]["layer"], field(fixture, "base", "layer"));
    let times: Vec<_> = told("created").iter().map(|time| time.as_str().unwrap().to_owned()).collect();
    assert!(times.iter().all(|time| time.ends_with('Z') && &time[10..11] == "T"), "{times:?}");
    assert!(times[2] < before && before < times[1] && times[1] < times[0], "{times:?}, and {before}");
    assert!(found.iter().all(|version| version["size"].as_u64() > Some(100_000)), "busybox alone: {found:?}");
    // The same for people, and as ids that every verb takes that reads an image.
    let shown = fixture.ok(&["history", "base"]);
    let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(
        lines[0],
        ["VERSION", "STATE", "CREATED", "CREATED BY", "SIZE", "LAYERS", "MESSAGE", "AUTHOR"]
    );
    assert_eq!(lines[2][..4], ["2", "-", &times[1], command]);
    assert_eq!(lines[2][5..], ["2", "add the word", "Ann <ann@example.org>"]);
    assert_eq!((lines[1][1], lines[3][0], lines.len()), ("current", "1", 4));
    let ids = fixture.ok(&["history", "-q", "base"]);
    assert_eq!(ids.lines().collect::<Vec<_>>(), [3, 2, 1].map(|number| format!("{base}@{number}")));
    fixture.ok(&["run", "--rm", ids.lines().last().unwrap(), "true"]);
}

/// The time now, as a history has it.
fn humantime() -> String {
    mocker_core::time::rfc3339(mocker_core::store::now())
}

fn c13_a_version_has_a_layer_more_than_what_it_was_made_from(fixture: &Fixture) {
    fixture.image("base");
    write(fixture, "work", "base", "x");
    fixture.ok(&["commit", "work", "base"]);
    // Made of the second version, of the first once more, of all in one, and on nothing.
    write(fixture, "next", "base", "y");
    fixture.ok(&["commit", "next", "base"]);
    write(fixture, "early", "base@1", "z");
    fixture.ok(&["commit", "early", "base"]);
    fixture.ok(&["commit", "--squash=all", "next", "base"]);
    let source = fixture.rootfs();
    fixture.ok(&["init", "--name", "base", source.to_str().unwrap()]);
    let mut found = history(fixture, "base");
    found.reverse();
    let layers: Vec<_> = found.iter().map(|version| version["layers"].clone()).collect();
    assert_eq!(layers, [1, 2, 3, 2, 1, 1]);
    // An image that was made of another stands on its layers.
    fixture.ok(&["run", "--name", "far", "base@3", "true"]);
    fixture.ok(&["commit", "far", "derived"]);
    assert_eq!(history(fixture, "derived")[0]["layers"], 4);
    fixture.ok(&["tag", "base@3", "tagged"]);
    assert_eq!(history(fixture, "tagged")[0]["layers"], 3);
}

fn c13_the_current_version_is_marked_wherever_it_is(fixture: &Fixture) {
    fixture.image("base");
    write(fixture, "work", "base", "x");
    fixture.ok(&["commit", "work", "base"]);
    fixture.ok(&["commit", "work", "base"]);
    for number in [3, 1, 2] {
        fixture.ok(&["rollback", "base", &number.to_string()]);
        let current: Vec<_> = history(fixture, "base")
            .iter()
            .filter(|version| version["current"] == true)
            .map(|version| version["version"].clone())
            .collect();
        assert_eq!(current, [number]);
    }
    fixture.ok(&["commit", "work", "base"]);
    let found = history(fixture, "base");
    assert_eq!((&found[0]["version"], &found[0]["current"]), (&4.into(), &true.into()));
}

fn c13_a_history_is_as_long_as_its_image_has_versions(fixture: &Fixture) {
    const MANY: u64 = 40;
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    for number in 2..=MANY {
        fixture.ok(&["commit", "-m", &format!("number {number}"), "work", "base"]);
    }
    let found = history(fixture, "base");
    let numbers: Vec<_> = found.iter().map(|version| version["version"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=MANY).rev().collect::<Vec<_>>());
    assert!(found[..39].iter().all(|version| version["message"] == format!("number {}", version["version"])));
    assert_eq!(field(fixture, "base", "versions"), MANY);
    fixture.fails(&["history", "nothing"], 1);
    let said = fixture.fails(&["history", "base@2"], 1);
    assert!(said.contains("mocker inspect base@2"), "{said}");
}

fn a_pruned_version_is_in_the_history_and_nowhere_else(fixture: &Fixture) {
    let base = fixture.image("base");
    write(fixture, "work", "base", "x");
    for message in ["two", "three"] {
        fixture.ok(&["commit", "-m", message, "work", "base"]);
    }
    fixture.ok(&["tag", "base@2", "kept"]);
    let pruned = "UPDATE version SET layer = NULL WHERE image = ?1 AND number = 2";
    assert_eq!(fixture.store().execute(pruned, [&base]).unwrap(), 1);
    let found = history(fixture, "base");
    let told = |name: &str| found.iter().map(|version| version[name].clone()).collect::<Vec<_>>();
    assert_eq!(told("pruned"), [false, true, false]);
    assert_eq!(
        (&found[1]["message"], &found[1]["layer"], &found[1]["size"]),
        (&"two".into(), &Value::Null, &Value::Null)
    );
    assert_eq!(fixture.ok(&["history", "base"]).lines().nth(2).unwrap().split('\t').nth(1), Some("pruned"));
    assert_eq!(field(fixture, "base", "versions"), 3);
    for (words, code) in [
        (&["run", "base@2", "true"][..], 125),
        (&["tag", "base@2", "then"], 1),
        (&["rollback", "base", "2"], 1),
        (&["rollback", "base"], 1),
    ] {
        let said = fixture.fails(words, code);
        assert!(said.contains("version 2 of image base:latest was pruned: its tree is gone"), "{said}");
        assert!(said.contains("it has 1, 3;"), "{said}");
    }
    assert_eq!(fixture.mocker(&["inspect", "base@2"]).run().code, 1);
    fixture.ok(&["rollback", "base", "1"]);
    fixture.ok(&["rollback", "base", "3"]);
    let drawn = fixture.ok(&["tree"]);
    assert!(drawn.contains("@2  pruned  two"), "{drawn}");
    for format in ["dot", "svg", "json"] {
        assert!(fixture.ok(&["tree", "--format", format]).contains("pruned"));
    }
    // The tree is there by its other name.
    fixture.ok(&["run", "--rm", "kept", "cat", "/word"]);
}

fn c13_odd_texts_are_data_and_harmless_on_a_terminal(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", "# \u{1b}]0;owned\u{7}\ttab"]);
    let odd = [
        "two\nlines\tand a tab",
        "\u{1b}[31mred\u{1b}[0m",
        "\u{202e}reversed",
        "'\"\\$(touch x)`x`; | % \u{7f}",
        "名前 é",
        "",
        &"long ".repeat(1000),
    ];
    for text in odd {
        fixture.ok(&["commit", "-a", text, "-m", text, "work", "base"]);
    }
    let found = history(fixture, "base");
    for (version, text) in found.iter().rev().skip(1).zip(odd) {
        assert_eq!((&version["author"], &version["message"]), (&text.into(), &text.into()));
    }
    let shown = fixture.ok(&["history", "base"]);
    assert_eq!(shown.lines().count(), odd.len() + 2, "a text has made a line of its own: {shown}");
    assert!(shown.lines().all(|line| line.matches('\t').count() == 7), "or a column: {shown}");
    assert!(!shown.contains(|letter: char| letter.is_control() && !"\n\t".contains(letter)), "{shown:?}");
    assert!(!shown.contains('\u{202e}') && shown.contains("名前 é") && shown.contains(odd[6]), "{shown:?}");
}
