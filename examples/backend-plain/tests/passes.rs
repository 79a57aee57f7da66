//! The backend passes the kit: the cases about it alone and the random scripts,
//! and with `MOCKER_TEST_LANES=all` (`make test-all`) those through the program too.

use std::process::ExitCode;

use mocker_backend_plain::DRIVER;
use mocker_conformance::lane::{Ground, Lane};
use mocker_conformance::{harness, suites, surroundings};

fn main() -> ExitCode {
    if let Err(error) = surroundings::clear(&[]) {
        panic!("cannot start over without the environment: {error}");
    }
    // The one that knows this backend.
    harness::use_program(env!("CARGO_BIN_EXE_mocker-backend-plain").into());
    let all = std::env::var_os("MOCKER_TEST_LANES").is_some_and(|lanes| lanes == "all");
    let mut areas = suites::areas();
    areas.retain(|area| all || ["nodes", "random", "changes"].contains(&area.name));
    harness::run_on(&[Lane::new("plain", &DRIVER, Ground::Ext4)], &areas)
}
