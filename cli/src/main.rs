//! The program `mocker` with the storage backends of this project.

use std::process::ExitCode;

fn main() -> ExitCode {
    mocker::main(&mocker::Program { drivers: mocker::DRIVERS, conformance: None })
}
