//! D15–D18 and the words: which two trees are compared, and what is refused.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::nodes::bash;

use super::{prepare, record};

pub(super) fn cases() -> Vec<Case> {
    cases![
        d16_any_two_trees_are_compared,
        d16_unrelated_images_are_compared,
        d16_an_image_and_its_conversion_do_not_differ,
        d16_a_version_alone_is_compared_with_the_one_before,
        d16_what_does_not_exist_is_refused,
        d16_an_image_may_go_and_its_container_still_knows_what_it_changed,
        d18_nobody_waits_for_the_clock,
    ]
}

fn lines(fixture: &Fixture, words: &[&str]) -> Vec<String> {
    fixture.ok(&[&["diff"], words].concat()).lines().map(str::to_owned).collect()
}

fn d16_any_two_trees_are_compared(fixture: &Fixture) {
    prepare(fixture, "echo 1 > file; touch -d @7 .");
    for number in 2..=4 {
        fixture.edit("work", &format!("echo {number}{number} > file; echo x > new{number}; touch -d @7 ."));
        fixture.ok(&["commit", "work", "base"]);
    }
    fixture.ok(&["run", "--name", "other", "base@2", "true"]);
    fixture.edit("other", "rm new2; echo x > own; touch -d @7 .");
    assert_eq!(lines(fixture, &["base@1", "base@4"]), ["C /file", "A /new2", "A /new3", "A /new4"]);
    assert_eq!(lines(fixture, &["base@4", "base@2"]), ["C /file", "D /new3", "D /new4"]);
    assert_eq!(lines(fixture, &["base@3", "base@3"]), [""; 0]);
    // Two that stand on one version, and neither on the other.
    assert_eq!(lines(fixture, &["work", "other"]), ["C /file", "D /new2", "D /new3", "D /new4", "A /own"]);
    assert_eq!(lines(fixture, &["other", "base@1"]), ["C /file", "D /own"]);
    assert_eq!(lines(fixture, &["other"]), ["D /new2", "A /own"]);
    let told = record(fixture, &["base@1", "other"]);
    assert_eq!((&told["from"]["version"], &told["to"]["kind"]), (&1.into(), &"container".into()));
    assert_eq!(told["frozen"], true);
}

fn d16_unrelated_images_are_compared(fixture: &Fixture) {
    prepare(
        fixture,
        "echo same > same; echo 1 > differs; touch -d @5 same differs; echo x > gone; touch -d @7 .",
    );
    // Each entry has an inode of its own, and all of them the same contents.
    bash(&fixture.rootfs(), "echo 2 > differs; touch -d @5 differs; rm gone; touch -d @7 .");
    fixture.ok(&["init", fixture.rootfs().to_str().unwrap(), "--name", "another"]);
    assert_eq!(lines(fixture, &["base", "another"]), ["C /differs", "D /gone"]);
    assert_eq!(lines(fixture, &["another", "work"]), ["C /differs", "A /gone"]);
}

fn d16_an_image_and_its_conversion_do_not_differ(fixture: &Fixture) {
    prepare(fixture, "mkdir d; echo x > d/f; ln d/f d/g; setfattr -n user.a -v 1 d/f; mkfifo d/fifo");
    fixture.edit("work", "rm d/g; echo y > d/h");
    fixture.ok(&["commit", "work", "base"]);
    fixture.ok(&["convert", "base", "--to", fixture.another_backend(), "converted"]);
    assert_eq!(lines(fixture, &["base", "converted"]), [""; 0]);
    fixture.edit("work", "echo z > d/h");
    let told = lines(fixture, &["converted", "work"]);
    assert_eq!(told, ["C /d", "C /d/h"]);
}

fn d16_a_version_alone_is_compared_with_the_one_before(fixture: &Fixture) {
    prepare(fixture, "echo x > file; touch -d @7 .");
    let first = lines(fixture, &["base"]);
    assert!(first.contains(&"A /file".to_owned()) && first.contains(&"A /bin".to_owned()), "{first:?}");
    assert_eq!(record(fixture, &["base"])["from"], serde_json::Value::Null);
    fixture.edit("work", "echo y > second; touch -d @7 .");
    fixture.ok(&["commit", "work", "base"]);
    fixture.edit("work", "echo z > third; touch -d @7 .");
    fixture.ok(&["commit", "work", "base"]);
    assert_eq!(lines(fixture, &["base"]), ["A /third"]);
    assert_eq!(lines(fixture, &["base@2"]), ["A /second"]);
    // The first version of another image stands on what the container was made of.
    fixture.ok(&["commit", "work", "new"]);
    assert!(!lines(fixture, &["new"]).contains(&"A /bin".to_owned()));
}

fn d16_what_does_not_exist_is_refused(fixture: &Fixture) {
    prepare(fixture, "true");
    for (words, said) in [
        (&["nobody"][..], "No container or image named 'nobody' exists"),
        (&["ps_nobody"], "No container named 'ps_nobody' exists"),
        (&["base@9"], "9"),
        (&["base", "nobody"], "nobody"),
        (&["base@x"], "base@x"),
        (&["../x"], "../x"),
    ] {
        let error = fixture.fails(&[&["diff"], words].concat(), 1);
        assert!(error.contains(said), "{words:?}: {error}");
        assert!(error.contains("try:"), "{words:?}: {error}");
    }
    fixture.assert_consistent();
}

fn d16_an_image_may_go_and_its_container_still_knows_what_it_changed(fixture: &Fixture) {
    prepare(fixture, "echo x > file; touch -d @7 .");
    fixture.edit("work", "rm file; touch -d @7 .");
    fixture.ok(&["commit", "work", "other"]);
    fixture.ok(&["rm", "base"]);
    assert_eq!(lines(fixture, &["work"]), ["D /file"]);
}

/// Docker slept until the next full second, so that no two times could be the
/// same.
fn d18_nobody_waits_for_the_clock(fixture: &Fixture) {
    prepare(fixture, "echo x > file; touch -d @7 .");
    let mut fastest = Duration::MAX;
    for round in 0..3 {
        // Just after a second began, whoever waits for the next one waits for long.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        std::thread::sleep(Duration::from_secs(1) - Duration::from_nanos(now.subsec_nanos().into()));
        let started = Instant::now();
        fixture.edit("work", &format!("echo {round}{round} > file; touch -d @7 ."));
        assert_eq!(lines(fixture, &["work"]), ["C /file"]);
        fastest = fastest.min(started.elapsed());
    }
    assert!(fastest < Duration::from_millis(800), "{fastest:?}");
}
