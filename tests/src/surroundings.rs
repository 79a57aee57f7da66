//! Rids a test program of the environment that it was started in.
//!
//! `CI`, `NO_COLOR`, `CLICOLOR_FORCE`, `LC_ALL`, a user's own `MOCKER_BACKEND`
//! and many more change what programs say. A case must not pass on one machine
//! and fail on the next for that, and whoever adds a case should not have to
//! know all of their names.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What stays: where programs and files are, and what is meant for the tests.
const KEPT: [&str; 6] = ["PATH", "HOME", "TMPDIR", "MOCKER_BIN", "MOCKER_UPDATE_GOLDEN", "RUST_BACKTRACE"];
const KEPT_FAMILIES: [&str; 2] = ["MOCKER_TEST_", "CARGO"];

/// Starts this program over, as the same process with the same arguments, where
/// its environment holds more than tests should see and than is `also_kept`. Call it first in `main`.
///
/// # Errors
/// The program cannot be executed again.
pub fn clear(also_kept: &[&str]) -> io::Result<()> {
    let kept = |name: &OsStr| kept(name) || also_kept.iter().any(|also| name == *also);
    if std::env::vars_os().all(|(name, _)| kept(&name)) {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let kept = std::env::vars_os().filter(|(name, _)| kept(name));
    Err(Command::new(std::env::current_exe()?).arg0(name).args(arguments).env_clear().envs(kept).exec())
}

fn kept(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    KEPT.contains(&&*name) || KEPT_FAMILIES.iter().any(|family| name.starts_with(family))
}
