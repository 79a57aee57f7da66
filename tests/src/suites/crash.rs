//! K1, C9: a command that dies, at every point at which it can, leaves the old
//! state or the new one, and the next command leaves nothing else of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::fixture::Fixture;
use crate::harness::Case;
use serde_json::Value;

use crate::suites::{background, processes};

mod again;
mod boot;
mod check;
mod commit;
mod copied;
mod diff;
mod init;
mod killed;
mod prune;
mod rm;
mod rollback;
mod run;
mod twice;

pub(crate) use boot::first_command as first_command_after_a_boot;

pub(crate) fn cases() -> Vec<Case> {
    let listed = Case { name: "k1_every_crash_point_has_a_case", run: every_point_has_a_case, alone: false };
    let parts = [
        init::cases,
        run::cases,
        commit::cases,
        copied::cases,
        diff::cases,
        prune::cases,
        rm::cases,
        rollback::cases,
        killed::cases,
        twice::cases,
        boot::cases,
        again::cases,
        check::cases,
    ];
    std::iter::once(listed).chain(parts.into_iter().flat_map(|part| part())).collect()
}

/// One case for each of some crash points: `$die` gets the fixture and the
/// point.
macro_rules! at_points {
    ($die:path, $what:literal, [$($point:literal),* $(,)?]) => {
        [$(crate::harness::Case {
            name: concat!("k1_", $point, "_", $what),
            run: |fixture| $die(fixture, $point),
            alone: false,
        }),*]
    };
}
use at_points;

fn every_point_has_a_case(_: &Fixture) {
    let cases = cases();
    let without: Vec<_> = mocker_core::crash::POINTS
        .iter()
        .filter(|point| !cases.iter().any(|case| case.name.starts_with(&format!("k1_{point}_"))))
        .collect();
    assert!(without.is_empty(), "no case dies at {without:?}");
}

/// What a dead command left running, for [`next_command`] to end.
#[must_use]
struct Left {
    processes: BTreeSet<processes::Process>,
}

/// Runs mocker so that it kills itself at a crash point.
#[track_caller]
fn die_at(fixture: &Fixture, point: &str, words: &[&str]) -> Left {
    die(fixture, point, &mut background::mocker(fixture, words))
}

/// Runs a command of mocker so that it kills itself at a crash point.
#[track_caller]
fn die(fixture: &Fixture, point: &str, command: &mut Command) -> Left {
    let job = background::start(command.env("MOCKER_CRASH_AT", point));
    let pid = job.pid();
    let ended = job.end();
    assert_eq!(ended.signal, Some(9), "it never came to {point}: {ended:?}");
    Left { processes: processes::left_of(pid, &every_tree(fixture.root())) }
}

/// Longer than any clean-up takes. It must not wait for what never comes.
const CLEAN_UP: Duration = Duration::from_secs(20);

/// Runs the next command, which cleans up, and sees that it has.
#[track_caller]
fn next_command(fixture: &Fixture, left: &Left) {
    let cleaning = background::start(&mut background::mocker(fixture, &["ps", "-q"]));
    cleaning.end_within(CLEAN_UP).ok();
    no_process_is_left(left);
    fixture.assert_consistent();
}

/// Kills a commit after it has begun; answers its process.
#[track_caller]
pub(crate) fn die_at_commit(fixture: &Fixture, words: &[&str]) -> u32 {
    let job =
        background::start(background::mocker(fixture, words).env("MOCKER_CRASH_AT", "commit.after-snapshot"));
    let pid = job.pid();
    let ended = job.end();
    assert_eq!(ended.signal, Some(9), "{ended:?}");
    pid
}

#[track_caller]
fn no_process_is_left(left: &Left) {
    let alive: Vec<_> = left.processes.iter().filter(|process| process.is_alive()).collect();
    assert!(alive.is_empty(), "processes of a dead command live on after the next command: {alive:?}");
}

/// The directory of every tree below a root, recorded or not.
fn every_tree(root: &Path) -> Vec<PathBuf> {
    let entries =
        |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    entries(root).flat_map(|backend| entries(&backend.join("nodes"))).map(|node| node.join("fs")).collect()
}

/// A record without what differs between two runs of one command.
fn lasting(record: Option<Value>) -> Value {
    let mut record = record.unwrap_or(Value::Null);
    for volatile in ["id", "name", "created", "started", "finished", "layer", "work"] {
        if let Some(value) = record.get_mut(volatile) {
            // That there is a time can matter, which one does not.
            *value = Value::Bool(!value.is_null());
        }
    }
    record
}

/// A command whose changes are the same whenever it is run, and that ends
/// with status 3.
const CHANGE: [&str; 3] = ["sh", "-c", "echo made > /made; touch -d @1000000000 /made /; exit 3"];
