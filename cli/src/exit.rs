//! Turns the outcome of a verb into words on stderr and an exit status.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use mocker_core::image::escaped;
use mocker_core::{Error, ErrorKind, Result};

/// A verb failed.
pub(crate) const FAILED: u8 = 1;
/// The engine failed where the status is the command's own as a rule, as in
/// Docker.
pub(crate) const ENGINE_FAILED: u8 = 125;
/// Ended by Ctrl-C: 128 and the number of `SIGINT`.
const INTERRUPTED: u8 = 130;

const ALARM: Style = AnsiColor::Red.on_default().bold();
const HELP: Style = AnsiColor::Cyan.on_default();

/// Says what failed, and answers the status.
pub(crate) fn report(failure_status: u8, outcome: Result<u8>) -> ExitCode {
    match outcome {
        Ok(status) => status.into(),
        Err(error) => {
            let status = match error.kind() {
                ErrorKind::Interrupted => INTERRUPTED,
                _ => failure_status,
            };
            show(&error);
            status.into()
        }
    }
}

/// Shows an error: what, then the way out, then what failed while cleaning up.
pub(crate) fn show(error: &Error) {
    say(format_args!("{ALARM}mocker:{ALARM:#} {}", escaped(&error.to_string())));
    if let Some(hint) = error.hint() {
        say(format_args!("  {HELP}try:{HELP:#} {}", escaped(hint)));
    }
    for second in error.also() {
        say(format_args!("  {ALARM}also:{ALARM:#} {}", escaped(second)));
    }
}

/// Shows something that the user should know and that is no failure.
pub(crate) fn note(text: impl std::fmt::Display) {
    say(format_args!("{HELP}note:{HELP:#} {}", escaped(&text.to_string())));
}

/// Writes a line to stderr, with colours on a terminal only. Names that an image
/// or a container chose must be escaped in it.
pub(crate) fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    // Nobody is left to tell it to.
    let _unheard = writeln!(anstream::stderr().lock(), "{line}");
}
