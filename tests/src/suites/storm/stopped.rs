//! Stops a command in the middle of its work, with `SIGSTOP`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::fixture::Fixture;
use rustix::process::Signal;

use crate::suites::background::{self, Job, wait_until};

/// Every tree on disk, half-made ones too.
pub(super) fn trees(fixture: &Fixture) -> BTreeSet<PathBuf> {
    let entries =
        |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    entries(fixture.root().to_owned()).flat_map(|backend| entries(backend.join("nodes"))).collect()
}

/// What anybody sees.
fn seen(fixture: &Fixture) -> [String; 2] {
    ["images", "ps"].map(|verb| fixture.ok(&[verb, "--format", "json"]))
}

/// Whether nobody is in the middle of writing to the database: a command that
/// was stopped right there would keep everybody waiting.
pub(super) fn records_are_free(fixture: &Fixture) -> bool {
    let store = rusqlite::Connection::open(fixture.root().join("mocker.db")).unwrap();
    store.busy_timeout(Duration::ZERO).unwrap();
    store.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
}

/// Starts a command that makes a tree, and stops it while it does: it has its
/// intent, and no lock of the database. `undo` is for when it was too fast.
pub(super) fn held(fixture: &Fixture, words: &[&str], undo: &[&str]) -> Job {
    for _ in 0..20 {
        let (before, trees_before) = (seen(fixture), trees(fixture));
        let mut job = background::start(&mut background::mocker(fixture, words));
        while trees(fixture) == trees_before && !job.has_ended() {}
        if !job.has_ended() {
            job.signal(Signal::STOP);
            wait_until("the command stands still or is done", || job.has_ended() || is_stopped(&job));
            if !job.has_ended() && records_are_free(fixture) && seen(fixture) == before {
                return job;
            }
            job.signal(Signal::CONT);
        }
        job.end().ok();
        if !undo.is_empty() {
            fixture.ok(undo);
        }
    }
    panic!("mocker {words:?} was always done before it could be stopped");
}

/// Whether all of its threads have stopped: a thread that is deep in the kernel
/// does so when it comes back.
pub(super) fn is_stopped(job: &Job) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{}/task", job.pid())).into_iter().flatten().flatten();
    threads
        .map(|thread| std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default())
        .all(|stat| stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with('T')))
}

/// Lets a command go on.
pub(super) fn go_on(job: Job) -> String {
    job.signal(Signal::CONT);
    job.end().ok()
}
