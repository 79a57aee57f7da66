//! Runs every case on every lane, as named tests.
//!
//! The name is `lane::area::case`. A case fails where it panics, and where it
//! leaves a mount, a loop device, a process or a control group; what it ran, what that said and
//! what the root looked like are shown then. A lane that cannot run fails all
//! of its cases.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::fixture::Fixture;
use crate::lane::Lane;
use crate::leaks;
use crate::site::Site;
use crate::traced;

/// Cases at a time: half of the time they wait for disks.
pub(crate) fn at_once() -> usize {
    2 * std::thread::available_parallelism().map_or(2, usize::from)
}

/// Something that a user would notice.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The id of the conformance case where there is one, then what is noticed.
    pub name: &'static str,
    /// Does it, and panics where it is not so.
    pub run: fn(&Fixture),
    /// Whether nothing else may use the lane's file system meanwhile.
    pub alone: bool,
}

impl Case {
    /// The id of the conformance case that this one proves, in capitals: `K1` of
    /// `k1_what_is_noticed`.
    pub fn id(&self) -> Option<String> {
        let (id, _) = self.name.split_once('_')?;
        let number = id.trim_start_matches(|letter: char| letter.is_ascii_lowercase());
        let is_one = id.len() == number.len() + 1 && number.parse::<u8>().is_ok();
        is_one.then(|| id.to_ascii_uppercase())
    }
}

/// Cases about one thing.
#[derive(Debug)]
pub struct Area {
    /// Its name; a part of the names of its tests.
    pub name: &'static str,
    /// What is noticed.
    pub cases: Vec<Case>,
    /// On which lanes that means something.
    pub applies: fn(Lane) -> bool,
}

impl Area {
    /// One that means something on every lane.
    pub fn new(name: &'static str, cases: Vec<Case>) -> Self {
        Self { name, cases, applies: |_| true }
    }
}

/// A list of cases, each named as the function that it is.
#[macro_export]
macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        vec![$($crate::harness::Case { name: stringify!($case), run: $case, alone: false }),*]
    };
}

/// Runs the cases of all areas on the lanes that were asked for, as the
/// arguments of the process say (those of every Rust test program).
pub fn run(areas: &[Area]) -> ExitCode {
    match Lane::chosen() {
        Ok(lanes) => run_on(&lanes, areas),
        Err(why) => {
            let refused = Trial::test("lanes", move || Err(Failed::from(why)));
            libtest_mimic::run(&Arguments::from_args(), vec![refused]).exit_code()
        }
    }
}

/// Runs the cases of these areas on these lanes, as [`run`] does.
pub fn run_on(lanes: &[Lane], areas: &[Area]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert_with(at_once);
    let groups = leaks::control_groups();
    let together = libtest_mimic::run(&arguments, trials(areas, lanes, false));
    let alone = libtest_mimic::run(&arguments, trials(areas, lanes, true));
    Site::remove_all();
    // While several run, nobody can say whose a control group is.
    let left = leaks::control_groups_since(&groups);
    if !left.is_empty() {
        let refused =
            Trial::test("control_groups", move || Err(Failed::from(format!("left behind: {left:?}"))));
        arguments.filter = None;
        return libtest_mimic::run(&arguments, vec![refused]).exit_code();
    }
    if together.has_failed() || alone.has_failed() { ExitCode::from(101) } else { ExitCode::SUCCESS }
}

/// One lane after the other; of cases that are alone on their lane, one of each
/// lane after the other, so that those run at once.
fn trials(areas: &[Area], lanes: &[Lane], alone: bool) -> Vec<Trial> {
    let mut trials = Vec::new();
    for area in areas {
        for case in area.cases.iter().copied().filter(|case| case.alone == alone) {
            for lane in lanes.iter().copied().filter(|lane| (area.applies)(*lane)) {
                let name = format!("{lane}::{}::{}", area.name, case.name);
                trials.push(Trial::test(name, move || perform(lane, case).map_err(Failed::from)));
            }
        }
    }
    trials
}

/// Says which program the cases run, where that does not lie beside them. It is
/// said once, before the first case.
pub fn use_program(path: PathBuf) {
    let _first = crate::fixture::PROGRAM.set(path);
}

/// Takes the file systems of all lanes away.
pub fn remove_lanes() {
    Site::remove_all();
}

/// Whose turn it is on a lane, among cases that must be alone there.
fn turn_on(lane: Lane) -> Arc<Mutex<()>> {
    static TURNS: Mutex<Vec<(Lane, Arc<Mutex<()>>)>> = Mutex::new(Vec::new());
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, turn)) = turns.iter().find(|(known, _)| *known == lane) {
        return turn.clone();
    }
    let turn = Arc::default();
    turns.push((lane, Arc::clone(&turn)));
    turn
}

/// Runs a case in a place of its own.
///
/// # Errors
/// What it found, what it left behind, what it ran, and what there was.
pub fn perform(lane: Lane, case: Case) -> Result<(), String> {
    let turn = turn_on(lane);
    let _turn = case.alone.then(|| turn.lock().unwrap_or_else(PoisonError::into_inner));
    let fixture = Fixture::new(lane)?;
    let (outcome, steps) = traced::collect(|| catch_unwind(AssertUnwindSafe(|| (case.run)(&fixture))));
    let told = if outcome.is_err() { fixture.told() } else { String::new() };
    let steps = if steps.is_empty() { steps } else { format!("the last steps in this process:\n{steps}") };
    let journal = fixture.journal();
    match (outcome, fixture.close()) {
        (Ok(()), Ok(())) => Ok(()),
        (Ok(()), Err(leaked)) => Err(format!("{leaked}\n{journal}")),
        (Err(panic), closed) => {
            let what = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default();
            let leaked = closed.err().unwrap_or_default();
            Err(format!("{what}\n{leaked}\n{journal}\n{steps}\n{told}"))
        }
    }
}
