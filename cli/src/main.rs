//! The program `mocker`: a command line over the engine.
//!
//! `args.rs` has the options that every verb takes, `commands/` one file per
//! verb with its own options and what it does, `backends.rs` the table of
//! storage drivers. `output.rs` is the only place that writes to stdout,
//! `exit.rs` the only one that turns an error into words and an exit status.

mod args;
mod backends;
mod commands;
mod exit;
mod output;
mod progress;
mod trace;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // The same file is executed again inside a container's namespaces, to build it; see the sandbox.
    mocker_core::sandbox::run_init_stage_if_asked();
    let args = args::Args::parse();
    trace::install(args.trace);
    #[cfg(feature = "crash-points")]
    if let Ok(point) = std::env::var("MOCKER_CRASH_AT") {
        mocker_core::crash::arm(&point);
    }
    exit::report(args.verb.failure_status(), commands::perform(&args))
}
