//! `rollback`: the name of an image leads to another of its versions, and
//! nothing is lost by it.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;
use crate::suites::{background, living};

use super::{field, word, write};

pub(super) fn cases() -> Vec<Case> {
    cases![
        c10_a_rollback_goes_back_and_forth_and_loses_nothing,
        c10_a_commit_after_a_rollback_overwrites_nothing,
        c10_containers_stay_on_their_version_when_their_image_is_rolled_back,
        c10_many_rollbacks_and_commits_at_once_leave_a_whole_line,
        a_rollback_says_how_to_undo_it,
        a_rollback_that_cannot_be_is_refused,
        an_image_without_a_name_can_be_rolled_back,
    ]
}

/// An image `base` of three versions, with the words nothing, two and three.
fn versions(fixture: &Fixture) -> String {
    let base = fixture.image("base");
    for word in ["two", "three"] {
        write(fixture, word, "base", word);
        fixture.ok(&["commit", "-c", &format!("CMD echo settings of {word}"), word, "base"]);
    }
    base
}

/// The number of the current version, and how many there are.
#[track_caller]
fn at(fixture: &Fixture, image: &str) -> (u64, u64) {
    let number = |name| field(fixture, image, name).as_u64().unwrap();
    (number("version"), number("versions"))
}

fn c10_a_rollback_goes_back_and_forth_and_loses_nothing(fixture: &Fixture) {
    let base = versions(fixture);
    let nodes = fixture.node_numbers();
    let trees = ["two", "three"].map(|name| oracle::look(&fixture.tree(name)));
    assert_eq!(fixture.ok(&["rollback", "base"]), format!("Rolled back: {base}"));
    assert_eq!((at(fixture, "base"), word(fixture, "base")), ((2, 3), "two".to_owned()));
    assert_eq!(fixture.ok(&["run", "--rm", "base"]), "settings of two", "its settings came back too");
    oracle::assert_equal(&trees[0], &oracle::look(&fixture.tree("base")));
    fixture.ok(&["rollback", &base[..base.len() - 1]]);
    assert_eq!((at(fixture, "base"), word(fixture, "base")), ((1, 3), String::new()));
    oracle::assert_same(&fixture.tree("base"), &fixture.rootfs());
    assert_eq!(fixture.ok(&["rollback", "-q", "base", "3"]), base);
    assert_eq!((at(fixture, "base"), word(fixture, "base")), ((3, 3), "three".to_owned()));
    oracle::assert_equal(&trees[1], &oracle::look(&fixture.tree("base")));
    assert_eq!(fixture.node_numbers(), nodes, "something was made, or has gone");
    fixture.assert_consistent();
}

fn c10_a_commit_after_a_rollback_overwrites_nothing(fixture: &Fixture) {
    versions(fixture);
    fixture.ok(&["rollback", "base", "1"]);
    write(fixture, "four", "base", "four");
    assert_eq!(field(fixture, "four", "image_version"), 1);
    let made = fixture.ok(&["commit", "--format", "json", "four", "base"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&made).unwrap()["version"], 4);
    assert_eq!(at(fixture, "base"), (4, 4));
    let words = ["base", "base@1", "base@2", "base@3", "base@4"].map(|image| word(fixture, image));
    assert_eq!(words, ["four", "", "two", "three", "four"]);
    // The settings are those of what the container was made from, not of what was newest.
    fixture.ok(&["rollback", "base", "2"]);
    fixture.ok(&["run", "--name", "five", "base", "true"]);
    fixture.ok(&["commit", "--config-from", "image", "five", "base"]);
    assert_eq!(fixture.ok(&["run", "--rm", "base"]), "settings of two");
    // So are those of a directory that becomes the next version: of the current one.
    fixture.ok(&["rollback", "base", "3"]);
    let source = fixture.rootfs();
    fixture.ok(&["init", "--name", "base", source.to_str().unwrap()]);
    assert_eq!(
        (at(fixture, "base"), fixture.ok(&["run", "--rm", "base"])),
        ((6, 6), "settings of three".to_owned())
    );
    fixture.assert_consistent();
}

fn c10_containers_stay_on_their_version_when_their_image_is_rolled_back(fixture: &Fixture) {
    fixture.image("base");
    let job = living::start(fixture, &[], &format!("echo one > /word; {}; cat /word", living::UNTIL_ENDED));
    write(fixture, "two", "base", "two");
    fixture.ok(&["commit", "two", "base"]);
    fixture.ok(&["run", "--name", "three", "base", "cat", "/word"]);
    fixture.ok(&["rollback", "base"]);
    assert_eq!(field(fixture, "work", "status"), "running");
    assert_eq!(fixture.ok(&["start", "three"]), "two");
    assert_eq!(field(fixture, "three", "image_version"), 2);
    assert_eq!(living::end(fixture, job).out, b"one\n");
    fixture.ok(&["commit", "work", "base"]);
    assert_eq!((at(fixture, "base"), word(fixture, "base")), ((3, 3), "one".to_owned()));
    assert_eq!(word(fixture, "base@2"), "two");
}

fn c10_many_rollbacks_and_commits_at_once_leave_a_whole_line(fixture: &Fixture) {
    versions(fixture);
    let jobs: Vec<_> = (0..12)
        .map(|round| match round % 3 {
            0 => vec!["commit", "two", "base"],
            1 => vec!["rollback", "base", "1"],
            _ => vec!["rollback", "base", "2"],
        })
        .map(|words| background::start(&mut background::mocker(fixture, &words)))
        .collect();
    let mut commits = 0;
    for (round, job) in jobs.into_iter().enumerate() {
        let ended = job.end();
        match ended.code {
            Some(0) if round % 3 == 0 => commits += 1,
            Some(0) => {}
            // Another one holds the image or the container.
            _ => assert!(ended.err.contains("is held by 'mocker "), "{ended:?}"),
        }
    }
    let (current, versions) = at(fixture, "base");
    assert_eq!(versions, 3 + commits);
    assert!((1..=versions).contains(&current), "{current}");
    let words: Vec<_> = (1..=3).map(|number| word(fixture, &format!("base@{number}"))).collect();
    assert_eq!(words, ["", "two", "three"]);
    assert!((4..=versions).all(|number| word(fixture, &format!("base@{number}")) == "two"));
    fixture.assert_consistent();
}

fn a_rollback_says_how_to_undo_it(fixture: &Fixture) {
    let base = versions(fixture);
    let before = fixture.state();
    let ended = fixture.mocker(&["rollback", "base", "1"]).run();
    assert_eq!((ended.code, ended.out()), (0, format!("Rolled back: {base}")));
    let way = "mocker rollback base:latest 3";
    assert!(ended.err().trim_end().ends_with(&format!("to undo this: {way}")), "{:?}", ended.err());
    fixture.ok(&way.split(' ').skip(1).collect::<Vec<_>>());
    assert_eq!(fixture.state(), before);
    let made: serde_json::Value =
        serde_json::from_str(&fixture.ok(&["rollback", "--format", "json", "base", "2"])).unwrap();
    let expected = serde_json::json!({ "image": base, "name": "base:latest", "version": 2, "before": 3 });
    assert_eq!(made, expected);
    // To where it is: nothing to do, and nothing to undo.
    let ended = fixture.mocker(&["rollback", "base", "2"]).run();
    assert_eq!(ended.code, 0);
    assert!(ended.err().contains("already") && !ended.err().contains("undo"), "{:?}", ended.err());
}

fn a_rollback_that_cannot_be_is_refused(fixture: &Fixture) {
    let base = versions(fixture);
    let state = fixture.state();
    for version in ["4", "99"] {
        let said = fixture.fails(&["rollback", "base", version], 1);
        assert!(
            said.contains(&format!("has no version {version}\n")) && said.contains("it has 1-3;"),
            "{said}"
        );
    }
    for version in ["0", "+1", "x", "1.5", "", "4294967296", "\u{1b}[31m"] {
        let said = fixture.fails(&["rollback", "base", version], 1);
        assert!(said.contains("is not the number of a version") && !said.contains('\u{1b}'), "{said:?}");
    }
    let said = fixture.fails(&["rollback", "base@1"], 1);
    assert!(said.contains("try: 'mocker rollback base 1'"), "{said}");
    let said = fixture.fails(&["rollback", &format!("{base}@1"), "2"], 1);
    assert!(said.contains(&format!("try: 'mocker rollback {base} 1'")), "{said}");
    fixture.fails(&["rollback", "nothing"], 1);
    fixture.fails(&["rollback", "two"], 1);
    fixture.fails(&["--backend", fixture.another_backend(), "rollback", "base"], 1);
    assert_eq!(fixture.state(), state);
    fixture.ok(&["rollback", "base", "1"]);
    let state = fixture.state();
    let said = fixture.fails(&["rollback", "base"], 1);
    assert!(said.contains("has no version before 1") && said.contains("mocker history"), "{said}");
    assert_eq!(fixture.state(), state);
}

fn an_image_without_a_name_can_be_rolled_back(fixture: &Fixture) {
    fixture.image("base");
    write(fixture, "work", "base", "one");
    let nameless = fixture.ok(&["commit", "-q", "work"]);
    fixture.ok(&["commit", "work", &nameless]);
    let ended = fixture.mocker(&["rollback", &nameless]).run();
    assert!(ended.err().trim_end().ends_with(&format!("mocker rollback {nameless} 2")), "{}", ended.err());
    assert_eq!(at(fixture, &nameless), (1, 2));
    // What it is called from now on is what it is now.
    fixture.ok(&["tag", &nameless, "named"]);
    assert_eq!(at(fixture, "named"), (1, 2));
    assert_eq!(field(fixture, "named", "id"), nameless);
}
