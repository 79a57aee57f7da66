//! Runs cases, some at a time, and keeps what came of them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::panic;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::harness::{self, Case};
use crate::lane::Lane;
use crate::registry::{Entry, Level};
use crate::site::Site;

/// A case on a lane.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) lane: Lane,
    pub(super) area: &'static str,
    pub(super) case: Case,
    pub(super) id: Option<String>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) lane: Lane,
    pub(super) id: Option<String>,
    /// The area and the case; empty where none was run.
    pub(super) name: String,
    pub(super) verdict: Verdict,
    pub(super) took: Duration,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    /// What was found.
    Failed(String),
    /// It needs something that the program cannot do yet.
    Waits(&'static str),
    /// It is for another backend than that of the lane.
    Elsewhere(Level),
}

impl Outcome {
    pub(super) fn without_a_run(lane: Lane, entry: &Entry, verdict: Verdict) -> Self {
        Self { lane, id: Some(entry.id.to_owned()), name: String::new(), verdict, took: Duration::ZERO }
    }
}

thread_local! {
    /// Where this thread panicked last.
    static PANICKED_AT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs them all, `at_once` at a time; those that must be alone on their lane in
/// the end, as many as there are lanes.
pub(super) fn run(jobs: &[Job], at_once: usize) -> Vec<Outcome> {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        PANICKED_AT.with_borrow_mut(|at| *at = place);
    }));
    let bar = progress(jobs.len());
    let (mut alone, together): (Vec<_>, Vec<_>) = jobs.iter().cloned().partition(|job| job.case.alone);
    let mut outcomes = run_together(together, at_once, &bar);
    // One of each lane after the other: those can run at once.
    alone.sort_by_key(|job| (job.area, job.case.name));
    outcomes.extend(run_together(alone, at_once, &bar));
    bar.finish_and_clear();
    Site::remove_all();
    let _back_again = panic::take_hook();
    outcomes
}

fn run_together(jobs: Vec<Job>, at_once: usize, bar: &ProgressBar) -> Vec<Outcome> {
    let queue = Mutex::new(VecDeque::from(jobs));
    let outcomes = Mutex::new(Vec::new());
    // In a closure, or the lock would be held while the case runs.
    let next = || lock(&queue).pop_front();
    let work = || {
        while let Some(job) = next() {
            bar.set_message(format!("{} {}", job.lane, job.case.name));
            let outcome = perform(job);
            bar.inc(1);
            if let Verdict::Failed(_) = outcome.verdict {
                bar.println(format!("failed: {} {}", outcome.lane, outcome.name));
            }
            lock(&outcomes).push(outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(work);
        }
    });
    outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn perform(job: Job) -> Outcome {
    let started = Instant::now();
    let verdict = match harness::perform(job.lane, job.case) {
        Ok(()) => Verdict::Passed,
        Err(found) => {
            let at = PANICKED_AT.take();
            Verdict::Failed(if at.is_empty() { found } else { format!("{found}\n(asserted at {at})") })
        }
    };
    let name = format!("{}::{}", job.area, job.case.name);
    Outcome { lane: job.lane, id: job.id, name, verdict, took: started.elapsed() }
}

fn lock<T>(what: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bar on a terminal, and nothing anywhere else.
fn progress(cases: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(cases as u64);
    let style =
        ProgressStyle::with_template("{pos} of {len} [{bar:30}] {eta} left  {msg}").expect("a template");
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
