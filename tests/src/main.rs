//! The program `mocker` with the conformance kit in it, for the backends of this
//! project. `mocker conformance` starts it.

use std::process::ExitCode;

fn main() -> ExitCode {
    mocker_conformance::program(mocker::DRIVERS)
}
