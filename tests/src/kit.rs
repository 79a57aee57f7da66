//! `mocker conformance`: runs the cases on the user's machine and reports what
//! a backend proves.
//!
//! `choice.rs` says what is run and where, `runner.rs` runs it, `report.rs` shows
//! the outcome, and `junit.rs` in the form that collectors of test results read.
//! `replay.rs` plays a script again that a failed case has shown.
//! The program under test is this same file: it knows every verb.

use std::process::ExitCode;
use std::sync::OnceLock;

use mocker::{Program, Request};
use mocker_core::backend::Driver;
use mocker_core::{Error, ErrorKind, Result};

use crate::faults::serve_if_asked;
use crate::{harness, surroundings};

mod choice;
mod junit;
mod replay;
mod report;
mod runner;

/// The variable that asks for long runs.
const SOAK: &str = "MOCKER_TEST_SOAK";
static SOAKS: OnceLock<bool> = OnceLock::new();

/// A whole `mocker` with these storage drivers, the preferred ones first, and
/// with the conformance kit in it. It is all that the `main` of a backend's own
/// crate needs.
pub fn program(drivers: &'static [Driver]) -> ExitCode {
    if let Some(served) = serve_if_asked() {
        return served;
    }
    mocker::main(&Program { drivers, conformance: Some(run) })
}

/// Whether long runs are asked for.
pub fn soaks() -> bool {
    *SOAKS.get_or_init(|| std::env::var_os(SOAK).is_some())
}

fn run(request: &Request<'_>) -> Result<u8> {
    if request.options.list {
        return report::list(&choice::entries(&request.options.filter)?);
    }
    if !rustix::process::geteuid().is_root() {
        let what = "the conformance kit mounts file systems and makes devices, which needs root";
        return Err(Error::new(ErrorKind::PermissionDenied, what).with_hint("run it with sudo"));
    }
    // Of the environment, only the place of the root and what the tests read themselves may matter.
    surroundings::clear(&["MOCKER_ROOT"]).map_err(|error| Error::io("cannot start the kit over", error))?;
    let own = std::env::current_exe().map_err(|error| Error::io("cannot find this program", error))?;
    harness::use_program(own);
    if request.options.soak {
        let _first = SOAKS.set(true);
    }
    let place = choice::place(&request.root)?;
    let lanes = choice::lanes(request, place.path())?;
    if let Some(file) = &request.options.script {
        return replay::play(&lanes, file);
    }
    let cases = choice::cases(&lanes, &request.options.filter)?;
    let outcomes =
        runner::run(&cases, request.options.jobs.map_or_else(crate::harness::at_once, usize::from));
    let outcomes = choice::with_the_rest(outcomes, &lanes, &request.options.filter);
    report::show(request.options.format, &lanes, &outcomes)
}
