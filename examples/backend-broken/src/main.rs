//! A whole `mocker` with this backend:
//! `cargo run -p mocker-backend-broken -- conformance --filter nodes`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mocker_conformance::program(&[mocker_backend_broken::DRIVER])
}
