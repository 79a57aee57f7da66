//! N1, N2: a command is stopped in the middle of its work, and others come:
//! they are told who has what they want, and nobody is kept from anything else.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;
use rustix::process::{Pid, Signal, kill_process};

use super::stopped::{go_on, held, is_stopped, records_are_free, trees};
use crate::suites::background::{self, Job, wait_until};

pub(super) fn cases() -> Vec<Case> {
    // Alone: each has to stop a command within a millisecond or so.
    let case = |name, run| Case { name, run, alone: true };
    vec![
        case("n1_a_commit_onto_a_new_name_keeps_others_from_the_name", new_name),
        case("n1_a_commit_onto_an_image_keeps_others_from_the_image", existing_image),
        case("n1_a_commit_keeps_others_from_its_container", container),
        case("n1_a_run_keeps_others_from_its_name", run_name),
        case("n1_a_container_that_is_just_starting_has_a_holder", just_starting),
        case("n1_an_init_keeps_nobody_from_other_things", other_things),
        case("n2_an_image_goes_while_a_container_is_made_of_it", image_goes),
        case("n2_an_image_goes_and_the_run_that_read_it_dies", image_goes_and_run_dies),
        case("n2_a_run_rm_ends_while_it_is_committed", run_rm_ends),
        case("n3_a_killed_command_holds_nothing", killed),
    ]
}

/// Asserts that a command is refused because `holder` has what it wants.
#[track_caller]
fn refused(fixture: &Fixture, words: &[&str], what: &str, verb: &str, holder: &Job) {
    let ended = background::run(fixture, words);
    let said = ended.refused_with_a_hint();
    let expected = format!("{what} is held by 'mocker {verb}' (process {})", holder.pid());
    assert!(said.contains(&expected), "mocker {words:?} said {said:?} and not {expected:?}");
}

/// An image `base` and a container `work` that has much to write down, so that
/// a commit takes a moment.
fn base_and_work(fixture: &Fixture) {
    fixture.image("base");
    let script = "dd if=/dev/urandom of=/much bs=1M count=32 2>/dev/null; echo work > /made";
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", script]);
}

fn versions(fixture: &Fixture, image: &str) -> u64 {
    let images: serde_json::Value =
        serde_json::from_str(&fixture.ok(&["images", "--format", "json"])).unwrap();
    let named = format!("{image}:latest");
    let found = images.as_array().unwrap().iter().find(|record| record["name"] == named.as_str());
    found.map_or(0, |record| record["versions"].as_u64().unwrap())
}

fn id_of(fixture: &Fixture, verb: &str) -> String {
    fixture.ok(&[verb, "-q"])
}

fn new_name(fixture: &Fixture) {
    base_and_work(fixture);
    let source = fixture.rootfs();
    let first = held(fixture, &["commit", "work", "fresh"], &["rm", "fresh"]);
    let name = "image fresh:latest";
    refused(fixture, &["init", "--name", "fresh", source.to_str().unwrap()], name, "commit", &first);
    refused(fixture, &["tag", "base", "fresh"], name, "commit", &first);
    go_on(first);
    assert_eq!(versions(fixture, "fresh"), 1);
    fixture.ok(&["commit", "work", "fresh"]);
    assert_eq!(versions(fixture, "fresh"), 2);
    fixture.assert_consistent();
}

fn existing_image(fixture: &Fixture) {
    base_and_work(fixture);
    fixture.ok(&["run", "--name", "other", "base", "true"]);
    let source = fixture.rootfs();
    let first = held(fixture, &["commit", "work", "base"], &[]);
    let before = versions(fixture, "base");
    let name = "image base:latest";
    refused(fixture, &["commit", "other", "base"], name, "commit", &first);
    refused(fixture, &["init", "--name", "base", source.to_str().unwrap()], name, "commit", &first);
    refused(fixture, &["rm", "base"], &format!("image {}", id_of(fixture, "images")), "commit", &first);
    // Looking at it and running it is open to everybody.
    assert_eq!(versions(fixture, "base"), before);
    fixture.ok(&["run", "--rm", "base", "true"]);
    go_on(first);
    assert_eq!(versions(fixture, "base"), before + 1);
    fixture.ok(&["commit", "other", "base"]);
    fixture.assert_consistent();
}

fn container(fixture: &Fixture) {
    base_and_work(fixture);
    let id = id_of(fixture, "ps");
    let first = held(fixture, &["commit", "work", "fresh"], &["rm", "fresh"]);
    for words in
        [&["commit", "work", "another"][..], &["start", "work"], &["rm", "work"], &["rm", "-f", "work"]]
    {
        refused(fixture, words, &format!("container {id}"), "commit", &first);
    }
    fixture.ok(&["logs", "work"]);
    fixture.ok(&["rm", "base"]);
    go_on(first);
    assert_eq!(fixture.ok(&["run", "--rm", "fresh", "cat", "/made"]), "work");
    fixture.ok(&["rm", "work", "fresh"]);
    fixture.assert_consistent();
}

fn run_name(fixture: &Fixture) {
    fixture.image("base");
    let first = held(fixture, &["run", "--name", "work", "base", "true"], &["rm", "work"]);
    refused(fixture, &["run", "--name", "work", "base", "true"], "container work", "run", &first);
    fixture.ok(&["run", "--name", "other", "base", "true"]);
    go_on(first);
    let said = fixture.fails(&["run", "--name", "work", "base", "true"], 125);
    assert!(said.contains("a container named 'work' exists"), "{said}");
    fixture.assert_consistent();
}

/// Between its record and its start a container has no process of its own in the
/// records that could be named. Its log is made at that moment.
fn just_starting(fixture: &Fixture) {
    fixture.image("base");
    let prepared = || {
        let entries =
            |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        entries(fixture.root().join("containers")).any(|directory| directory.join("log").exists())
    };
    for _ in 0..200 {
        let words = ["run", "--name", "work", "base", "true"];
        let mut job = background::start(&mut background::mocker(fixture, &words));
        while !prepared() && !job.has_ended() {}
        if job.has_ended() {
            fixture.ok(&["rm", "work"]);
            continue;
        }
        job.signal(Signal::STOP);
        wait_until("the command stands still or is done", || job.has_ended() || is_stopped(&job));
        let status = fixture.ok(&["ps", "--format", "json"]);
        if status.contains("\"status\": \"created\"") && records_are_free(fixture) {
            let holder = format!("process {}", job.pid());
            for words in [&["commit", "work", "fresh"][..], &["start", "work"], &["rm", "work"]] {
                let ended = background::run(fixture, words);
                let said = ended.refused_with_a_hint();
                assert!(said.contains(&holder), "mocker {words:?} does not say that {holder} has it: {said}");
            }
            go_on(job);
            return;
        }
        go_on(job);
        fixture.ok(&["rm", "work"]);
    }
    panic!("the container had always been started before its run could be stopped");
}

fn other_things(fixture: &Fixture) {
    base_and_work(fixture);
    let source = fixture.rootfs().into_os_string().into_string().unwrap();
    let first = held(fixture, &["init", "--name", "slow", &source], &["rm", "slow"]);
    fixture.ok(&["init", "--name", "fast", &source]);
    fixture.ok(&["run", "--rm", "fast", "true"]);
    fixture.ok(&["commit", "work", "base"]);
    fixture.ok(&["tag", "base", "fast"]);
    fixture.ok(&["rm", "work", "base", "fast"]);
    go_on(first);
    assert_eq!(versions(fixture, "slow"), 1);
    let differences =
        oracle::differences(&oracle::look(&fixture.rootfs()), &oracle::look(&fixture.tree("slow")));
    assert!(differences.is_empty(), "{differences:?}");
    fixture.assert_consistent();
}

fn image_goes(fixture: &Fixture) {
    fixture.image("base");
    let expected = oracle::look(&fixture.tree("base"));
    let words = ["run", "--name", "work", "base", "test", "-e", "/bin/sh"];
    let first = held(fixture, &words, &["rm", "work"]);
    fixture.ok(&["rm", "--wait", "base"]);
    go_on(first);
    assert_eq!(oracle::differences(&expected, &oracle::look(&fixture.tree("work"))), Vec::<String>::new());
    fixture.assert_consistent();
    fixture.ok(&["start", "work"]);
    fixture.ok(&["rm", "work"]);
    fixture.assert_consistent();
    assert_eq!(trees(fixture), BTreeSet::new(), "the image's layer outlives all that stood on it");
}

fn image_goes_and_run_dies(fixture: &Fixture) {
    fixture.image("base");
    let first = held(fixture, &["run", "--name", "work", "base", "true"], &["rm", "work"]);
    fixture.ok(&["rm", "base"]);
    first.kill();
    fixture.ok(&["ps"]);
    fixture.assert_consistent();
    assert_eq!(trees(fixture), BTreeSet::new(), "the image's layer outlives all that stood on it");
}

fn run_rm_ends(fixture: &Fixture) {
    fixture.image("base");
    let script =
        "dd if=/dev/urandom of=/much bs=1M count=32 2>/dev/null; echo work > /made; exec sleep 98767";
    for (round, dies) in [false, true].into_iter().enumerate() {
        let words = ["run", "--rm", "--name", "work", "base", "sh", "-c", script];
        let mut running = background::start(&mut background::mocker(fixture, &words));
        let pid = || fixture.record("work").and_then(|record| record["pid"].as_i64());
        wait_until("the container has written", || {
            pid().is_some() && fixture.tree("work").join("made").exists()
        });
        let pid = i32::try_from(pid().unwrap()).unwrap();
        let target = format!("round{round}");
        let commit = held(fixture, &["commit", "work", &target], &["rm", &target]);
        let before = trees(fixture);
        // It may stand still for the commit; that signal ends it all the same.
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        wait_until("the command of the container is over", || {
            !PathBuf::from(format!("/proc/{pid}")).exists()
        });
        // Its removal has to wait for the commit that reads it.
        std::thread::sleep(Duration::from_millis(100));
        assert!(!running.has_ended() && trees(fixture) == before, "it did not wait");
        if dies {
            commit.kill();
        } else {
            go_on(commit);
        }
        assert_eq!(running.end().code, Some(137));
        fixture.assert_consistent();
        assert_eq!(versions(fixture, &target), u64::from(!dies));
        if !dies {
            assert_eq!(fixture.ok(&["run", "--rm", &target, "cat", "/made"]), "work");
        }
        assert_eq!(id_of(fixture, "ps"), "");
    }
}

fn killed(fixture: &Fixture) {
    base_and_work(fixture);
    let commit = held(fixture, &["commit", "work", "base"], &[]);
    let before = versions(fixture, "base");
    commit.kill();
    fixture.ok(&["commit", "work", "base"]);
    assert_eq!(versions(fixture, "base"), before + 1);
    fixture.ok(&["rm", "work"]);
    fixture.assert_consistent();
}
