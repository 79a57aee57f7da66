//! A container that runs is committed in one instant, and goes on.

use std::path::Path;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use crate::suites::background::wait_until;
use crate::suites::living;

pub(super) fn cases() -> Vec<Case> {
    cases![
        c1_a_running_container_goes_on_after_its_commit,
        c3_a_writer_is_caught_in_one_instant,
        c3_a_running_container_is_caught_between_two_renames,
        c4_no_mount_point_of_ours_is_in_the_image_of_a_running_container,
        c4_no_mount_point_of_ours_is_in_the_image_of_a_stopped_container,
    ]
}

fn c1_a_running_container_goes_on_after_its_commit(fixture: &Fixture) {
    fixture.image("base");
    let script = format!("echo before > /file; {}; echo after >> /file; exit 5", living::UNTIL_ENDED);
    let job = living::start(fixture, &[], &script);
    let image = fixture.ok(&["commit", "-q", "work", "made"]);
    assert_eq!(fixture.record("work").unwrap()["status"], "running");
    assert_eq!(fixture.ok(&["run", "--rm", &image, "cat", "/file"]), "before");
    assert_eq!(living::end(fixture, job).code, Some(5));
    assert_eq!(fixture.ok(&["run", "--rm", &image, "cat", "/file"]), "before");
    fixture.ok(&["commit", "work", "made"]);
    assert_eq!(fixture.ok(&["run", "--rm", "made", "cat", "/file"]), "before\nafter");
    fixture.assert_consistent();
}

/// How many whole lines `line 1`, `line 2`, … a file holds, and nothing else.
#[track_caller]
fn prefix(path: &Path) -> usize {
    let text = std::fs::read_to_string(path).unwrap();
    for (number, line) in text.lines().enumerate() {
        assert_eq!(line, format!("line {}", number + 1), "{} is no prefix", path.display());
    }
    assert!(text.is_empty() || text.ends_with('\n'), "{} ends in half a line: {text:?}", path.display());
    text.lines().count()
}

fn c3_a_writer_is_caught_in_one_instant(fixture: &Fixture) {
    // Where a commit takes the files one after the other, about one in thirty shows it.
    const COMMITS: usize = 40;
    fixture.image("base");
    // Many files that are not yet on the disk keep a commit busy, and the writer goes on meanwhile.
    let script = "mkdir /noise; for i in $(seq 400); do : > /noise/$i; done; \
        while ! [ -e /end ]; do for file in /noise/*; do echo more >> $file; done; done & \
        i=0; : > /ready; while ! [ -e /end ]; do i=$((i + 1)); \
        echo line $i >> /first; echo line $i >> /second; done; wait";
    let job = living::start(fixture, &[], script);
    let mut last = 0;
    let mut inconsistent = Vec::new();
    let work = fixture.tree("work");
    for _ in 0..COMMITS {
        let written = || std::fs::metadata(work.join("second")).map_or(0, |meta| meta.len());
        let before = written();
        wait_until("the writer goes on", || written() > before);
        fixture.ok(&["commit", "work", "caught"]);
        let tree = fixture.tree("caught");
        let (first, second) = (prefix(&tree.join("first")), prefix(&tree.join("second")));
        // The same line again where the one before it came between the two files.
        assert!(first >= last, "the commit shows {first} lines, and the one before it {last}");
        last = first;
        // The writer is always at most one line ahead in the first file.
        if !(second..=second + 1).contains(&first) {
            inconsistent.push((first, second));
        }
    }
    living::end(fixture, job).ok();
    assert!(inconsistent.is_empty(), "lines in the first and the second file: {inconsistent:?}");
}

fn c3_a_running_container_is_caught_between_two_renames(fixture: &Fixture) {
    const COMMITS: usize = 8;
    fixture.image("base");
    // At every moment exactly one of the two names is there, and its content is whole.
    let script = "echo content > /one; : > /ready; while ! [ -e /end ]; do mv /one /two; mv /two /one; done";
    let job = living::start(fixture, &[], script);
    for number in 0..COMMITS {
        let name = format!("caught:v{number}");
        fixture.ok(&["commit", "work", &name]);
        let tree = fixture.tree(&name);
        let found: Vec<_> =
            ["one", "two"].iter().filter_map(|name| std::fs::read(tree.join(name)).ok()).collect();
        assert_eq!(found, [b"content\n"]);
    }
    living::end(fixture, job).ok();
}

/// The tree that an image was made of, with the file that says that the
/// container lives.
#[track_caller]
fn assert_nothing_of_ours(fixture: &Fixture, image: &str) {
    for name in ["proc", "sys", "dev", "etc/resolv.conf", "etc/hosts", "etc/hostname"] {
        assert!(!fixture.rootfs().join(name).exists(), "the source has {name} itself");
    }
    let found = oracle::look(&fixture.tree(image)).without("/ready").without_time("/");
    oracle::assert_equal(&oracle::look(&fixture.rootfs()).without_time("/"), &found);
}

fn c4_no_mount_point_of_ours_is_in_the_image_of_a_running_container(fixture: &Fixture) {
    fixture.image("base");
    let job = living::start(fixture, &[], living::UNTIL_ENDED);
    let work = fixture.tree("work");
    assert!(work.join("proc").is_dir() && work.join("etc/hosts").is_file(), "nothing was missing");
    fixture.ok(&["commit", "work", "made"]);
    assert_nothing_of_ours(fixture, "made");
    assert!(work.join("proc").is_dir(), "the commit has taken them from the container");
    living::end(fixture, job).ok();
    // Such an image runs, and what is made of it has none either.
    fixture.ok(&["run", "--name", "next", "made", "test", "-d", "/proc/1"]);
    fixture.ok(&["commit", "next", "made"]);
    assert_nothing_of_ours(fixture, "made");
}

fn c4_no_mount_point_of_ours_is_in_the_image_of_a_stopped_container(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", "test -d /proc/1 && : > /ready"]);
    fixture.ok(&["commit", "work", "made"]);
    assert_nothing_of_ours(fixture, "made");
}
