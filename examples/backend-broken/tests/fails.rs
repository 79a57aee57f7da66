//! The broken backend fails the cases that its documentation names, and no
//! other: a kit that is too soft is found here, and one that is too hard.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use mocker_backend_broken::DRIVER;
use mocker_conformance::harness::{self, Case};
use mocker_conformance::lane::{Ground, Lane};
use mocker_conformance::{suites, surroundings};

/// The area with the cases about the backend alone.
const AREA: &str = "nodes";

/// Where the cases are named.
const DOCS: &str = include_str!("../src/lib.rs");

fn main() -> ExitCode {
    if let Err(error) = surroundings::clear(&[]) {
        panic!("cannot start over without the environment: {error}");
    }
    // The one that knows this backend.
    harness::use_program(env!("CARGO_BIN_EXE_mocker-backend-broken").into());
    let mut arguments = Arguments::from_args();
    // Some of the cases stand no others beside them.
    arguments.test_threads = Some(1);
    // The cases panic to say what they found, which is looked at here.
    std::panic::set_hook(Box::new(|_| {}));
    let named: Vec<&str> =
        DOCS.lines().filter_map(|line| line.strip_prefix("//! - `")?.strip_suffix('`')).collect();
    let cases: Vec<Case> =
        suites::areas().into_iter().filter(|area| area.name == AREA).flat_map(|area| area.cases).collect();
    let mut trials = Vec::new();
    for name in named.iter().copied().filter(|name| !cases.iter().any(|case| case.name == *name)) {
        trials.push(Trial::test(name, || Err(Failed::from("there is no such case"))));
    }
    for case in cases {
        let is_named = named.contains(&case.name);
        trials.push(Trial::test(case.name, move || judge(case, is_named)));
    }
    let ended = libtest_mimic::run(&arguments, trials);
    harness::remove_lanes();
    ended.exit_code()
}

fn judge(case: Case, is_named: bool) -> Result<(), Failed> {
    match (harness::perform(Lane::new("broken", &DRIVER, Ground::Ext4), case), is_named) {
        (Ok(()), false) | (Err(_), true) => Ok(()),
        (Ok(()), true) => Err(Failed::from("it passes, and is named as one that fails")),
        (Err(found), false) => Err(format!("it fails, and is not named: {found}").into()),
    }
}
