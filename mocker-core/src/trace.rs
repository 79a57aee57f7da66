//! How the steps of a verb are told, so that `--trace` can show them.
//!
//! Two levels, both `tracing` events that a subscriber may or may not show:
//! the *story* at `INFO` (what the driver did, in a sentence), and the *kernel
//! calls* at `DEBUG` (call, arguments, how long it took).

use std::fmt;
use std::time::Instant;

/// The target of every event of this workspace.
pub const TARGET: &str = "mocker";

/// Tells one step of the story.
#[macro_export]
macro_rules! story {
    ($($arg:tt)+) => {
        ::tracing::info!(target: $crate::trace::TARGET, $($arg)+)
    };
}

/// Makes a kernel call and tells it with its arguments and its time.
///
/// `call` is the name as in the manual page, `arguments` what a reader needs
/// to repeat it. The outcome is handed through.
///
/// # Errors
/// Whatever `make` returns.
pub fn kernel_call<T, E: fmt::Display>(
    call: &'static str,
    arguments: impl fmt::Display,
    make: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    let started = Instant::now();
    let outcome = make();
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    match &outcome {
        Ok(_) => tracing::debug!(target: TARGET, call, micros, "{arguments}"),
        Err(error) => tracing::debug!(target: TARGET, call, micros, %error, "{arguments}"),
    }
    outcome
}

/// The target of what a user must be told although the verb went well; a
/// program that shows anything at all shows these.
pub const NOTICE: &str = "mocker::notice";

/// Tells the user something that is no failure.
#[macro_export]
macro_rules! notice {
    ($($arg:tt)+) => {
        ::tracing::info!(target: $crate::trace::NOTICE, $($arg)+)
    };
}
