//! L7, L9: what is recorded outlives the process that recorded it, and every
//! order in which processes let go of a root.
//!
//! containerd's suite edits labels and asks for the times again (`Update`) and
//! closes a store twice (`CloseTwice`); a snapshotter that removed what was
//! there when it was closed is containerd/stargz-snapshotter#2126.

use std::collections::BTreeMap;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;
use rustix::process::Signal;
use serde_json::Value;

use super::{field, id, word, write};
use crate::suites::background::{self, Job, wait_until};

pub(super) fn cases() -> Vec<Case> {
    cases![
        l7_labels_and_times_are_there_in_every_later_command,
        l7_no_verb_edits_what_was_recorded,
        l9_a_root_is_let_go_of_in_any_order_and_nothing_is_lost,
    ]
}

/// The labels of a version, as they are recorded: no verb shows them yet.
fn labels(fixture: &Fixture, image: &str, version: u32) -> BTreeMap<String, String> {
    let query = "SELECT config FROM version WHERE image = ?1 AND number = ?2";
    let text: String =
        fixture.store().query_row(query, (id(fixture, image), version), |row| row.get(0)).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(config["Labels"].clone()).unwrap_or_default()
}

fn l7_labels_and_times_are_there_in_every_later_command(fixture: &Fixture) {
    fixture.image("base");
    write(fixture, "work", "base", "of-work");
    let changes = ["-c", "LABEL org.example.one='the first' two=2", "-c", "LABEL \"three words\"=\"a=b\""];
    fixture.ok(&[&["commit"], &changes[..], &["work", "made"]].concat());
    let expected = [("org.example.one", "the first"), ("two", "2"), ("three words", "a=b")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    assert_eq!(labels(fixture, "made", 1), expected);
    // Every command opens the root anew, and some of them write.
    let (images, containers) = (fixture.images(), fixture.containers());
    fixture.ok(&["run", "--rm", "made", "true"]);
    fixture.ok(&["logs", "work"]);
    assert_eq!((fixture.images(), fixture.containers()), (images, containers), "a time has changed");
    assert_eq!(labels(fixture, "made", 1), expected);
    // What is made of it has them too, and what it adds comes to them.
    write(fixture, "next", "made", "of-next");
    fixture.ok(&["commit", "-c", "LABEL two=changed four=4", "next", "made"]);
    let mut after = expected.clone();
    after
        .extend([("two", "changed"), ("four", "4")].map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(labels(fixture, "made", 2), after);
    assert_eq!(labels(fixture, "made", 1), expected, "a version that there was has changed");
    // Times go forward, in the order in which things were done.
    let times = [
        field(fixture, "base", "created"),
        field(fixture, "work", "created"),
        field(fixture, "work", "started"),
        field(fixture, "work", "finished"),
        field(fixture, "next", "created"),
        field(fixture, "made", "created"),
    ];
    let times = times.map(|time| time.as_i64().unwrap());
    assert!(times.is_sorted(), "{times:?}");
}

/// What is said of one when nothing may have changed but `but`.
fn fixed(fixture: &Fixture, object: &str, but: &[&str]) -> Value {
    let mut record = fixture.record(object).unwrap();
    for field in but {
        record.as_object_mut().unwrap().remove(*field).unwrap();
    }
    record
}

fn l7_no_verb_edits_what_was_recorded(fixture: &Fixture) {
    fixture.image("base");
    write(fixture, "work", "base", "of-work");
    fixture.ok(&["commit", "-c", "LABEL one=1", "work", "made"]);
    // Its kind, its name, its source and what it stands on stay, whatever is done with it; a version
    // that is added is one that is added.
    let of_version = ["version", "versions", "created", "layer"];
    // Where its work area goes on under another number, that is all that a commit changes.
    let of_run = ["started", "finished", "exit_code", "work"];
    let base = fixed(fixture, "base", &[]);
    let made = fixed(fixture, "made", &of_version);
    let work = fixed(fixture, "work", &of_run);
    let done: &[&[&str]] = &[
        &["tag", "made", "other"],
        &["tag", "made", "other"],
        &["commit", "work", "made"],
        &["commit", "-c", "LABEL one=2", "work", "made"],
        &["commit", "--author", "somebody", "--message", "why", "work", "made"],
        &["start", "work"],
        &["run", "--rm", "made", "true"],
    ];
    for words in done {
        fixture.ok(words);
        assert_eq!(fixed(fixture, "base", &[]), base, "{words:?}");
        assert_eq!(fixed(fixture, "made", &of_version), made, "{words:?}");
        assert_eq!(fixed(fixture, "work", &of_run), work, "{words:?}");
        assert_eq!(labels(fixture, "made", 1)["one"], "1", "{words:?}");
    }
    assert_eq!(field(fixture, "made", "versions"), 4);
    // A container is not made an image by a name, nor the other way round.
    for words in [&["tag", "work", "base"][..], &["tag", "base", &id(fixture, "work")], &["commit", "made"]] {
        fixture.fails(words, 1);
    }
    fixture.fails(&["start", "made"], 125);
    assert_eq!(fixed(fixture, "base", &[]), base);
}

/// A command that has the root open until its container's script ends.
fn holding(fixture: &Fixture, name: &str) -> Job {
    let script = "echo here > /made; while ! test -e /end; do usleep 2000; done; exit 7";
    let job = background::start(&mut background::mocker(
        fixture,
        &["run", "--name", name, "base", "sh", "-c", script],
    ));
    wait_until("it has the root open", || {
        fixture.record(name).is_some_and(|record| record["status"] == "running")
            && fixture.tree(name).join("made").exists()
    });
    job
}

/// How a process lets go of the root.
#[derive(Debug, Clone, Copy)]
enum Leaves {
    Itself,
    Killed,
    Terminated,
}

fn l9_a_root_is_let_go_of_in_any_order_and_nothing_is_lost(fixture: &Fixture) {
    fixture.image("base");
    write(fixture, "kept", "base", "of-kept");
    fixture.ok(&["commit", "kept", "made"]);
    let trees = ["base", "made"].map(|image| oracle::look(&fixture.tree(image)));
    let images = fixture.images();
    // The one that came first goes last, the last one first, and in the middle, too.
    let orders = [[2, 1, 0], [0, 1, 2], [1, 2, 0]];
    let ways = [Leaves::Killed, Leaves::Itself, Leaves::Terminated];
    for (order, round) in orders.iter().zip(0..) {
        let names = [0, 1, 2].map(|number| format!("holder{round}{number}"));
        let mut jobs: BTreeMap<usize, Job> =
            names.iter().enumerate().map(|(number, name)| (number, holding(fixture, name))).collect();
        for (who, way) in order.iter().zip(ways) {
            let job = jobs.remove(who).unwrap();
            match way {
                Leaves::Killed => drop(job.kill()),
                Leaves::Itself => {
                    std::fs::write(fixture.tree(&names[*who]).join("end"), "").unwrap();
                    assert_eq!(job.end().code, Some(7));
                }
                Leaves::Terminated => {
                    // The shell in the container is process 1 and takes no notice; the one that watches it
                    // passes it on and lives as long.
                    job.signal(Signal::TERM);
                    std::fs::write(fixture.tree(&names[*who]).join("end"), "").unwrap();
                    assert_eq!(job.end().code, Some(7));
                }
            }
            assert_eq!(fixture.images(), images, "round {round}, after {who} has left ({way:?})");
            assert_eq!(word(fixture, "made"), "of-kept");
        }
        for name in &names {
            let tree = fixture.tree(name);
            assert_eq!(std::fs::read_to_string(tree.join("made")).unwrap(), "here\n", "{name}");
        }
    }
    for (image, tree) in ["base", "made"].iter().zip(&trees) {
        oracle::assert_equal(tree, &oracle::look(&fixture.tree(image)));
    }
    assert_eq!(fixture.containers().as_array().unwrap().len(), 10);
    fixture.assert_consistent();
}
