//! R8, K3: `check` finds what is wrong and nothing else, and `--repair` makes good
//! what can be made good, without touching anything that is needed.

use std::path::PathBuf;

use serde_json::Value;

use crate::fixture::{Fixture, State};
use crate::harness::Case;
use crate::oracle::{self, Tree};

mod beside;
mod exchanged;
mod hostile;
mod planted;
mod records;
mod removed;

pub(crate) use exchanged::exchanged_at;
pub(crate) use planted::unneeded;
pub(crate) use removed::hole;

pub(crate) fn cases() -> Vec<Case> {
    let parts =
        [planted::cases, removed::cases, records::cases, exchanged::cases, hostile::cases, beside::cases];
    parts.into_iter().flat_map(|part| part()).collect()
}

/// A root with a bit of everything, and what it looked like.
struct World<'a> {
    fixture: &'a Fixture,
    state: State,
    trees: Vec<(&'static str, Tree)>,
}

/// What has a tree of its own in it.
const OBJECTS: [&str; 4] = ["base", "kept", "work", "other"];

/// `base` has two versions and went back to the first, `kept` stands on the
/// second; `work` and `other` are containers of them.
fn world(fixture: &Fixture) -> World<'_> {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", "echo first > /word; exit 0"]);
    fixture.ok(&["commit", "-m", "why", "--author", "who", "-c", "LABEL a='b c'", "work", "base"]);
    fixture.ok(&["tag", "base", "kept:v2"]);
    fixture.ok(&["rollback", "base"]);
    let failing =
        fixture.mocker(&["run", "--name", "other", "kept:v2", "sh", "-c", "echo two > /word; exit 7"]);
    assert_eq!(failing.run().code, 7);
    fixture.ok(&["run", "--rm", "base", "true"]);
    World::of(fixture)
}

impl<'a> World<'a> {
    fn of(fixture: &'a Fixture) -> Self {
        let trees = OBJECTS.map(|name| (name, oracle::look(&fixture.tree(full(name)))));
        Self { fixture, state: fixture.state(), trees: trees.into() }
    }

    /// Asserts that all is as it was, and can be used.
    #[track_caller]
    fn assert_as_before(&self) {
        let Self { fixture, state, trees } = self;
        assert_eq!(fixture.state(), *state);
        for (name, tree) in trees {
            oracle::assert_equal(tree, &oracle::look(&fixture.tree(full(name))));
        }
        assert_eq!(fixture.ok(&["run", "--rm", "kept:v2", "cat", "/word"]), "first");
        assert_eq!(fixture.mocker(&["start", "other"]).run().code, 7);
        let refused = fixture.mocker(&["run", "--rm", "base", "cat", "/word"]).run();
        assert_eq!(refused.code, 1, "the current version of 'base' is not its first: {}", refused.out());
        fixture.ok(&["commit", "work", "base"]);
        assert_eq!(fixture.record("base").unwrap()["version"], 3);
        fixture.assert_consistent();
    }
}

fn full(name: &str) -> &str {
    if name == "kept" { "kept:v2" } else { name }
}

/// A finding: its code and its subject.
type Seen = (String, String);

/// Checks, with `words` behind; answers what is wrong afterwards and what was made
/// good.
#[track_caller]
fn checked(fixture: &Fixture, words: &[&str]) -> (Vec<Seen>, Vec<Seen>) {
    let output = fixture.mocker(&[&["check", "--format", "json"], words].concat()).run();
    output.clear();
    let report: Value = serde_json::from_str(&output.out())
        .unwrap_or_else(|error| panic!("{error}: {}{}", output.out(), output.err()));
    let (mut left, mut repaired) = (Vec::new(), Vec::new());
    for finding in report["findings"].as_array().unwrap() {
        let text = |key: &str| finding[key].as_str().unwrap().to_owned();
        for key in ["problem", "consequence", "remedy"] {
            assert!(!text(key).is_empty(), "{finding}");
        }
        let list = if finding["outcome"] == "repaired" { &mut repaired } else { &mut left };
        list.push((text("code"), text("subject")));
    }
    assert_eq!(output.code, i32::from(!left.is_empty()), "{report}");
    (left, repaired)
}

fn seen(code: &str, subject: impl Into<String>) -> Seen {
    (code.to_owned(), subject.into())
}

/// The id of an image or a container.
fn id(fixture: &Fixture, name: &str) -> String {
    fixture.record(full(name)).unwrap()["id"].as_str().unwrap().to_owned()
}

/// Where the manifest of a container or of an image lies.
fn manifest(fixture: &Fixture, place: &str) -> PathBuf {
    fixture.root().join("manifests").join(place)
}

/// Asserts that just this is found, as often as one looks, and that a repair makes
/// all of it good.
#[track_caller]
fn assert_found_and_repaired(world: &World<'_>, expected: &[Seen]) {
    let fixture = world.fixture;
    for look in ["the first look", "the second, if the first changed nothing"] {
        assert_eq!(checked(fixture, &[]), (expected.to_vec(), Vec::new()), "{look}");
    }
    let quiet = fixture.mocker(&["check", "-q"]).run();
    let lines: Vec<_> = expected.iter().map(|(code, subject)| format!("{code} {subject}")).collect();
    assert_eq!((quiet.code, quiet.out()), (1, lines.join("\n")), "{}", quiet.err());
    assert_eq!(checked(fixture, &["--repair"]), (Vec::new(), expected.to_vec()));
    assert_eq!(checked(fixture, &["--repair"]), (Vec::new(), Vec::new()), "it does not stay repaired");
    world.assert_as_before();
}
