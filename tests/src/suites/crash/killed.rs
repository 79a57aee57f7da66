//! `run` is killed while its command runs: no process of the container is
//! alive at the next command.

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::{Left, every_tree, next_command, no_process_is_left};
use crate::suites::background::{self, Job, wait_until};
use crate::suites::processes::{Process, left_of};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("k1_run_killed_while_its_command_runs", kept),
        case("k1_run_rm_killed_while_its_command_runs", removed),
        case("k1_start_killed_while_its_command_runs", started),
        case("k1_run_killed_and_the_command_had_another_user", another_user),
        case("k1_run_rm_killed_and_the_command_had_another_user", another_user_removed),
        case("k1_run_killed_and_rm_is_the_next_command", removed_next),
        case("k1_run_killed_and_commit_is_the_next_command", committed_next),
        case("k1_run_killed_and_the_other_container_runs_on", the_other_one_runs_on),
    ]
}

/// Two processes that go on for ever.
const SLEEP: &str = "echo here > /made; sleep 98761 & exec sleep 98762";
/// The same as another user: the kernel forgets that the process was to die
/// with its parent (prctl(2), `PR_SET_PDEATHSIG`).
const SLEEP_AS_USER: &str =
    "echo here > /made; exec su mallory -s /bin/sh -c 'sleep 98763 & exec sleep 98764'";

/// Starts a command in a container, and comes back when its processes sleep.
fn sleeping(fixture: &Fixture, words: &[&str]) -> Job {
    let job = background::start(&mut background::mocker(fixture, words));
    wait_until("two processes sleep", || {
        let found = left_of(job.pid(), &every_tree(fixture.root()));
        found.iter().filter(|process| process.starts_with("sleep 9876")).count() == 2
    });
    job
}

/// Kills the program that watches the container.
fn kill(fixture: &Fixture, job: Job) -> Left {
    let pid = job.pid();
    let processes = left_of(pid, &every_tree(fixture.root()));
    job.kill();
    Left { processes }
}

#[track_caller]
fn assert_killed(fixture: &Fixture, name: &str) {
    let record = fixture.record(name).unwrap();
    assert_eq!(record["status"], "exited", "{record}");
    assert_eq!(record["exit_code"], 137, "{record}");
    assert!(record["failure"].as_str().is_some_and(|why| why.contains("killed")), "{record}");
}

fn kept(fixture: &Fixture) {
    fixture.image("base");
    let job = sleeping(fixture, &["run", "--name", "work", "base", "sh", "-c", SLEEP]);
    let left = kill(fixture, job);
    next_command(fixture, &left);
    assert_killed(fixture, "work");
    // What it did is there, and it can go on.
    fixture.ok(&["commit", "work", "base"]);
    assert_eq!(fixture.ok(&["run", "--rm", "base", "cat", "/made"]), "here");
}

fn removed(fixture: &Fixture) {
    fixture.image("base");
    let before = fixture.state();
    let job = sleeping(fixture, &["run", "--rm", "base", "sh", "-c", SLEEP]);
    let left = kill(fixture, job);
    next_command(fixture, &left);
    assert_eq!(fixture.state(), before);
}

fn started(fixture: &Fixture) {
    fixture.image("base");
    let script = format!("test -e /go || {{ touch /go; exit 0; }}; {SLEEP}");
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", &script]);
    let job = sleeping(fixture, &["start", "work"]);
    let left = kill(fixture, job);
    next_command(fixture, &left);
    assert_killed(fixture, "work");
}

fn another_user(fixture: &Fixture) {
    fixture.image("base");
    let job = sleeping(fixture, &["run", "--name", "work", "base", "sh", "-c", SLEEP_AS_USER]);
    let left = kill(fixture, job);
    assert!(left.processes.iter().any(Process::is_alive), "the case no longer tests anything");
    next_command(fixture, &left);
    assert_killed(fixture, "work");
}

fn another_user_removed(fixture: &Fixture) {
    fixture.image("base");
    let before = fixture.state();
    let job = sleeping(fixture, &["run", "--rm", "base", "sh", "-c", SLEEP_AS_USER]);
    let left = kill(fixture, job);
    assert!(left.processes.iter().any(Process::is_alive), "the case no longer tests anything");
    next_command(fixture, &left);
    assert_eq!(fixture.state(), before);
}

fn removed_next(fixture: &Fixture) {
    fixture.image("base");
    let before = fixture.state();
    let job = sleeping(fixture, &["run", "--name", "work", "base", "sh", "-c", SLEEP_AS_USER]);
    let left = kill(fixture, job);
    // It does not run any more, so nothing has to be forced.
    fixture.ok(&["rm", "work"]);
    no_process_is_left(&left);
    assert_eq!(fixture.state(), before);
    fixture.assert_consistent();
}

fn committed_next(fixture: &Fixture) {
    fixture.image("base");
    let job = sleeping(fixture, &["run", "--name", "work", "base", "sh", "-c", SLEEP_AS_USER]);
    let left = kill(fixture, job);
    fixture.ok(&["commit", "work", "base"]);
    no_process_is_left(&left);
    fixture.assert_consistent();
    oracle::assert_same(&fixture.tree("base"), &fixture.tree("work"));
    assert_eq!(fixture.ok(&["run", "--rm", "base", "cat", "/made"]), "here");
}

fn the_other_one_runs_on(fixture: &Fixture) {
    fixture.image("base");
    let script = "while ! test -e /end; do usleep 1000; done; exit 7";
    let words = ["run", "--name", "other", "base", "sh", "-c", script];
    let other = background::start(&mut background::mocker(fixture, &words));
    wait_until("the other one runs", || {
        fixture.record("other").is_some_and(|record| record["status"] == "running")
    });
    let job = sleeping(fixture, &["run", "--name", "work", "base", "sh", "-c", SLEEP_AS_USER]);
    let work = fixture.tree("work");
    let pid = job.pid();
    let processes = left_of(pid, &[work]);
    job.kill();
    fixture.ok(&["ps", "-q"]);
    no_process_is_left(&Left { processes });
    assert_killed(fixture, "work");
    assert_eq!(fixture.record("other").unwrap()["status"], "running");
    std::fs::write(fixture.tree("other").join("end"), "").unwrap();
    assert_eq!(other.end().code, Some(7));
    fixture.assert_consistent();
}
