//! K3: a database that is damaged, cut off or gone is said to be so by every
//! verb, and a repair brings everything back: the lists are what they were.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use serde_json::Value;

use super::{World, checked, world};
use crate::cases;
use crate::fixture::{Fixture, names_in};
use crate::harness::Case;

pub(super) fn cases() -> Vec<Case> {
    cases![
        k3_a_database_that_is_cut_off,
        k3_a_database_that_is_gone,
        k3_an_empty_database_is_noticed_although_nobody_knows_how_far_it_had_come,
        k3_a_number_that_was_given_out_is_not_given_out_again,
        k3_a_log_that_is_cut_off_or_gone,
        k3_a_log_with_other_bytes_in_it,
        k3_a_database_with_other_bytes_in_any_page,
        k3_a_database_that_contradicts_itself,
        k3_an_older_database_is_not_taken_for_the_records,
        k3_a_name_that_two_manifests_have_is_the_later_ones,
        k3_what_cannot_be_brought_back_is_told_and_nodes_stay_until_they_are_asked_for,
        k3_a_database_is_not_exchanged_while_somebody_is_at_work,
    ]
}

pub(super) fn database(fixture: &Fixture, suffix: &str) -> PathBuf {
    fixture.root().join(format!("mocker.db{suffix}"))
}

/// Folds the log into the database.
pub(super) fn fold(fixture: &Fixture) {
    fixture.store().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
}

fn cut(path: &PathBuf, length: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

/// What `images`, `ps` and `run` say of a damaged database.
#[track_caller]
pub(super) fn assert_every_verb_says_so(fixture: &Fixture) {
    for (words, status) in [
        (&["images"][..], 1),
        (&["ps", "-q"], 1),
        (&["run", "--rm", "base", "true"], 125),
        (&["commit", "work", "base"], 1),
        (&["rm", "work"], 1),
    ] {
        let said = fixture.fails(words, status);
        assert!(said.contains("records of the root"), "{words:?}: {said}");
        assert!(said.contains("try: 'mocker check --repair'"), "{words:?}: {said}");
    }
}

/// Asserts that the damage is found, and that a repair brings everything back.
#[track_caller]
pub(super) fn assert_brought_back(world: &World<'_>) {
    let fixture = world.fixture;
    let greatest = fixture.node_numbers().into_iter().max().unwrap();
    // SQLite makes and removes those beside the database by itself.
    let files = || -> Vec<String> {
        let names = names_in(fixture.root()).into_iter();
        names.filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm")).collect()
    };
    let before = files();
    let (left, _) = checked(fixture, &[]);
    assert_eq!(left.iter().map(|(code, _)| code.as_str()).collect::<Vec<_>>(), ["damaged-records"]);
    assert_eq!(files(), before, "looking has changed something");
    let damaged = ["", "-wal"].map(|suffix| fs::read(database(fixture, suffix)));
    let (left, repaired) = checked(fixture, &["--repair"]);
    assert_eq!(left, []);
    assert_eq!(repaired[0].0, "damaged-records");
    let aside = || names_in(fixture.root()).into_iter().filter(|name| name.contains(".damaged-"));
    for bytes in damaged.into_iter().flatten().filter(|bytes| !bytes.is_empty()) {
        let kept = aside().any(|name| fs::read(fixture.root().join(name)).unwrap() == bytes);
        assert!(kept, "what was damaged is not there any more: {:?}", aside().collect::<Vec<_>>());
    }
    fixture.ok(&["run", "--name", "next", "base", "true"]);
    assert!(fixture.record("next").unwrap()["work"].as_u64().unwrap() > greatest, "a number comes twice");
    fixture.ok(&["rm", "--wait", "next"]);
    world.assert_as_before();
}

fn k3_a_database_that_is_cut_off(fixture: &Fixture) {
    let mut world = world(fixture);
    fold(fixture);
    let length = fs::metadata(database(fixture, "")).unwrap().len();
    for length in [0, 1, 99, 100, 512, 1024, 4096, length / 2, length - 1024] {
        fold(fixture);
        cut(&database(fixture, ""), length);
        // A page that no list needs can be the one that is missing.
        if length < 4096 {
            assert_every_verb_says_so(fixture);
        }
        assert_brought_back(&world);
        world = again(fixture);
    }
}

/// What there is after a world was tried out, set to what it was at first.
fn again(fixture: &Fixture) -> World<'_> {
    fixture.ok(&["rollback", "base", "1"]);
    let names: Vec<_> =
        fixture.images().as_array().unwrap().iter().map(|image| image["name"].clone()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let image = super::id(fixture, "base");
    let store = fixture.store();
    // The version that was added goes, as if it had never been.
    store.execute("DELETE FROM version WHERE image = ?1 AND number > 2", [&image]).unwrap();
    drop(store);
    let mut left = checked(fixture, &["--repair"]).0;
    left.retain(|(code, _)| code != "orphan-manifest");
    assert_eq!(left, []);
    World::of(fixture)
}

fn k3_a_database_that_is_gone(fixture: &Fixture) {
    let mut world = world(fixture);
    for suffixes in [&["", "-wal", "-shm"][..], &[""], &["", "-shm"]] {
        for suffix in suffixes {
            fs::remove_file(database(fixture, suffix)).unwrap();
        }
        assert_every_verb_says_so(fixture);
        assert!(!database(fixture, "").exists(), "a verb has made a new one");
        assert_brought_back(&world);
        world = again(fixture);
    }
}

fn k3_an_empty_database_is_noticed_although_nobody_knows_how_far_it_had_come(fixture: &Fixture) {
    let world = world(fixture);
    fold(fixture);
    cut(&database(fixture, ""), 0);
    fs::remove_file(fixture.root().join("manifests/newest")).unwrap();
    assert_every_verb_says_so(fixture);
    assert_eq!(fs::metadata(database(fixture, "")).unwrap().len(), 0, "a verb has made a new one");
    assert_brought_back(&world);
}

fn k3_a_number_that_was_given_out_is_not_given_out_again(fixture: &Fixture) {
    fixture.image("base");
    let number = |name: &str| {
        fixture.ok(&["run", "--name", name, "base", "true"]);
        fixture.record(name).unwrap()["work"].as_u64().unwrap()
    };
    let gone = number("gone");
    fixture.ok(&["rm", "--wait", "gone"]);
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(database(fixture, suffix)).unwrap();
    }
    assert_eq!(checked(fixture, &["--repair"]).0, []);
    assert!(number("next") > gone, "number {gone} comes twice");
    fixture.assert_consistent();
}

fn k3_a_log_that_is_cut_off_or_gone(fixture: &Fixture) {
    let mut world = world(fixture);
    for share in [0, 1, 2, 3] {
        // So that what was done last stands in the log alone.
        fold(fixture);
        fixture.ok(&["tag", "base", "one-more"]);
        fixture.ok(&["rm", "one-more"]);
        let log = database(fixture, "-wal");
        match share {
            0 => fs::remove_file(&log).unwrap(),
            _ => cut(&log, fs::metadata(&log).unwrap().len() * share / 4),
        }
        assert_every_verb_says_so(fixture);
        assert_brought_back(&world);
        world = again(fixture);
    }
}

fn k3_a_log_with_other_bytes_in_it(fixture: &Fixture) {
    let mut world = world(fixture);
    for place in [0, 40, 1500] {
        fold(fixture);
        fixture.ok(&["rollback", "base", "2"]);
        fixture.ok(&["rollback", "base", "1"]);
        let log = OpenOptions::new().write(true).open(database(fixture, "-wal")).unwrap();
        log.write_all_at(&[0xa5; 32], place).unwrap();
        assert_every_verb_says_so(fixture);
        assert_brought_back(&world);
        world = again(fixture);
    }
}

fn k3_a_database_with_other_bytes_in_any_page(fixture: &Fixture) {
    const PAGE: u64 = 1024;
    let world = world(fixture);
    fold(fixture);
    let lists = |words: &[&str]| -> Option<Value> {
        let output = fixture.mocker(words).run();
        output.clear();
        if output.code == 0 {
            return Some(serde_json::from_str(&output.out()).unwrap());
        }
        assert!(output.err().contains("try: 'mocker check --repair'"), "{}", output.err());
        None
    };
    let all = [["images", "--format", "json"], ["ps", "--format", "json"]];
    let before = all.map(|words| lists(&words).unwrap());
    let pages = fs::metadata(database(fixture, "")).unwrap().len() / PAGE;
    assert!(pages > 15, "{pages} pages");
    let mut detected = 0;
    for page in 0..pages {
        fold(fixture);
        let file = OpenOptions::new().write(true).open(database(fixture, "")).unwrap();
        let bytes = [[0xa5; PAGE as usize], [0; PAGE as usize]][usize::from(page % 2 == 1)];
        if page * PAGE >= file.metadata().unwrap().len() {
            break;
        }
        file.write_all_at(&bytes, page * PAGE).unwrap();
        drop(file);
        for (words, before) in all.iter().zip(&before) {
            let now = lists(words);
            assert!(
                now.is_none() || now.as_ref() == Some(before),
                "page {page}: {words:?} tells something else"
            );
        }
        let (left, _) = checked(fixture, &[]);
        detected += u64::from(!left.is_empty());
        let (left, _) = checked(fixture, &["--repair"]);
        assert_eq!(left, [], "page {page}");
        for (words, before) in all.iter().zip(&before) {
            assert_eq!(lists(words).as_ref(), Some(before), "page {page}");
        }
    }
    // Pages that nothing is in can hold anything.
    assert!(detected * 10 >= pages * 8, "{detected} of {pages} pages");
    world.assert_as_before();
}

fn k3_a_database_that_contradicts_itself(fixture: &Fixture) {
    let mut world = world(fixture);
    for damage in [
        "UPDATE image SET head = 99 WHERE name = 'base'",
        "UPDATE container SET base = work WHERE name = 'other'",
        "UPDATE container SET work = (SELECT work FROM container WHERE name = 'other')",
        "PRAGMA foreign_keys = OFF; DELETE FROM node WHERE id = (SELECT layer FROM version LIMIT 1)",
        "UPDATE version SET config = '{' WHERE number = 1",
    ] {
        fixture.store().execute_batch(damage).unwrap();
        assert_brought_back(&world);
        world = again(fixture);
    }
}

fn k3_an_older_database_is_not_taken_for_the_records(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["ps"]);
    fold(fixture);
    let saved = fs::read(database(fixture, "")).unwrap();
    fixture.ok(&["rm", "base"]);
    let world = world(fixture);
    for suffix in ["", "-wal", "-shm"] {
        let _gone = fs::remove_file(database(fixture, suffix));
    }
    fs::write(database(fixture, ""), saved).unwrap();
    assert_every_verb_says_so(fixture);
    assert_brought_back(&world);
}

fn k3_a_name_that_two_manifests_have_is_the_later_ones(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    let manifests = fixture.root().join("manifests");
    let (image, container) = (super::id(fixture, "base"), super::id(fixture, "work"));
    let [of_image, of_container] = [format!("{image}/image"), container.clone()];
    let saved = [&of_image, &of_container].map(|place| fs::read(manifests.join(place)).unwrap());
    // The later ones have the name, and the manifests of the others were not written any more.
    let other = fixture.image("next");
    let next = fixture.ok(&["run", "--name", "next", "next", "true"]);
    assert_eq!(next, "");
    let next = super::id(fixture, "next");
    let store = fixture.store();
    for sentence in [
        "UPDATE image SET name = NULL, tag = NULL WHERE name = 'base'",
        "UPDATE image SET name = 'base' WHERE name = 'next'",
        "UPDATE container SET name = NULL WHERE name = 'work'",
        "UPDATE container SET name = 'work' WHERE name = 'next'",
    ] {
        store.execute(sentence, []).unwrap();
    }
    drop(store);
    fixture.ok(&["check", "--repair"]);
    let before = (fixture.images(), fixture.containers());
    for (place, bytes) in [&of_image, &of_container].into_iter().zip(&saved) {
        fs::write(manifests.join(place), bytes).unwrap();
    }
    fs::remove_file(database(fixture, "")).unwrap();
    let (left, _) = checked(fixture, &["--repair"]);
    let codes: Vec<_> = left.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(codes, ["lost", "lost"], "{left:?}");
    assert_eq!((fixture.images(), fixture.containers()), before);
    assert_eq!(super::id(fixture, "base"), other);
    assert_eq!(super::id(fixture, "work"), next);
    fixture.assert_consistent();
}

fn k3_what_cannot_be_brought_back_is_told_and_nodes_stay_until_they_are_asked_for(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", "echo there > /word"]);
    fixture.image("lost");
    let (base, lost) = (super::id(fixture, "base"), super::id(fixture, "lost"));
    let node = fixture.record("lost").unwrap()["layer"].clone();
    fs::remove_dir_all(fixture.root().join("manifests").join(&lost)).unwrap();
    let damaged = fixture.root().join("manifests").join(super::id(fixture, "work"));
    fs::write(&damaged, "nothing of ours").unwrap();
    let work = fixture.record("work").unwrap()["work"].clone();
    fs::remove_file(database(fixture, "")).unwrap();

    let nodes = fixture.node_numbers();
    let (left, _) = checked(fixture, &["--repair"]);
    let backend = fixture.lane().backend();
    for expected in [&node, &work] {
        let expected = ("orphan-node".to_owned(), format!("node {expected} of {backend}"));
        assert!(left.contains(&expected), "{left:?}");
    }
    assert!(
        left.iter().any(|(code, subject)| code == "lost" && subject.contains("manifests/ps_")),
        "{left:?}"
    );
    assert_eq!(fixture.images()[0]["id"], base.as_str());
    assert_eq!(fixture.node_numbers(), nodes, "what may be somebody's was deleted");
    // Not by the way, either.
    crate::suites::crash::first_command_after_a_boot(fixture).ok();
    assert_eq!(fixture.node_numbers(), nodes, "what may be somebody's was deleted");
    let (left, repaired) = checked(fixture, &["--repair"]);
    assert_eq!((left, repaired.len()), (vec![], 3), "{repaired:?}");
    assert_eq!(fixture.node_numbers().len(), nodes.len() - 2);
    fixture.ok(&["run", "--rm", "base", "true"]);
    fixture.assert_consistent();
}

fn k3_a_database_is_not_exchanged_while_somebody_is_at_work(fixture: &Fixture) {
    use crate::suites::background::{self, wait_until};
    let world = world(fixture);
    fold(fixture);
    let script = "touch /go; while ! test -e /end; do usleep 2000; done";
    let words = ["run", "--name", "holder", "base", "sh", "-c", script];
    let job = background::start(&mut background::mocker(fixture, &words));
    wait_until("it runs", || {
        fixture.record("holder").is_some_and(|record| record["status"] == "running")
            && fixture.tree("holder").join("go").exists()
    });
    let tree = fixture.tree("holder");
    fixture.store().execute("UPDATE image SET head = 99 WHERE name = 'base'", []).unwrap();
    let said = fixture.fails(&["check", "--repair"], 125);
    assert!(said.contains("other mocker processes are at work"), "{said}");
    assert_eq!(names_in(fixture.root()).iter().filter(|name| name.contains("damaged")).count(), 0);
    fs::write(tree.join("end"), "").unwrap();
    job.end();
    let (left, _) = checked(fixture, &["--repair"]);
    assert_eq!(left, []);
    assert_eq!(fixture.record("holder").unwrap()["exit_code"], 0);
    fixture.ok(&["rm", "--wait", "holder"]);
    world.assert_as_before();
}
