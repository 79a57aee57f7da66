//! Every case on the lanes that were asked for, as named tests of the program
//! that was built beside this one.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(served) = mocker_conformance::serve_if_asked() {
        return served;
    }
    if let Err(error) = mocker_conformance::surroundings::clear(&[]) {
        panic!("cannot start over without the environment: {error}");
    }
    mocker_conformance::harness::run(&mocker_conformance::suites::areas())
}
