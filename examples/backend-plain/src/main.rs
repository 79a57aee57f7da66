//! A whole `mocker` with this backend and one more to compare it with, and with
//! the conformance kit in it: `cargo run -p mocker-backend-plain -- conformance`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mocker_conformance::program(&[mocker_backend_plain::DRIVER, mocker_backend_copy::DRIVER])
}
