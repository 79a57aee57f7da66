//! The program `mocker`: a command line over the engine.
//!
//! It is a library so that whoever writes a backend can make a program of their
//! own, with another table of drivers: [`main`] is all of it.
//!
//! `args.rs` has the options that every verb takes, `commands/` one file per
//! verb with its own options and what it does, `backends.rs` the table of
//! storage drivers. `output.rs` is the only place that writes to stdout,
//! `exit.rs` the only one that turns an error into words and an exit status;
//! `sys.rs` does so where the kernel would end the process.

mod args;
mod backends;
mod commands;
mod exit;
mod output;
mod progress;
mod sys;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use mocker_core::backend::Driver;

pub use backends::DRIVERS;
pub use commands::conformance::{Args as Conformance, FileSystem, Report};

/// What makes one such program differ from another.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The storage drivers, the preferred ones first.
    pub drivers: &'static [Driver],
    /// Runs the conformance kit, where it is part of the program. Answers the
    /// exit status. Else `mocker-conformance` does, which lies beside the program.
    pub conformance: Option<fn(&Request<'_>) -> mocker_core::Result<u8>>,
}

/// What `mocker conformance` is asked for.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its own options.
    pub options: &'a Conformance,
    /// The backends to test; none where nobody chose.
    pub backend: Option<&'a str>,
    /// The table of drivers.
    pub drivers: &'static [Driver],
    /// The directory of the program's root: where the cases get roots of their
    /// own.
    pub root: PathBuf,
}

/// Does what the arguments of the process say.
pub fn main(program: &Program) -> ExitCode {
    // The same file is executed again inside a container's namespaces, to build it; see the sandbox.
    mocker_core::sandbox::run_init_stage_if_asked();
    sys::speak_of_lost_pages();
    let mut args = args::Args::parse();
    args.program = Some(*program);
    trace::install(args.trace);
    #[cfg(feature = "crash-points")]
    if let Ok(point) = std::env::var("MOCKER_CRASH_AT") {
        mocker_core::crash::arm(&point);
    }
    exit::report(args.verb.failure_status(), commands::perform(&args))
}
