//! `mocker conformance --script`: plays a script that a failed case has shown.

use std::path::Path;

use mocker_core::image::escaped;
use mocker_core::{Error, ErrorKind, Result};

use super::report;
use crate::fixture::Fixture;
use crate::lane::Lane;
use crate::script::{self, Counterexample};
use crate::site::Site;

/// Plays the script of a file on every lane; answers the exit status.
pub(super) fn play(lanes: &[Lane], file: &Path) -> Result<u8> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::io(format_args!("cannot read '{}'", file.display()), error))?;
    let refused = |what| {
        Error::new(ErrorKind::InvalidInput, format!("'{}' is no script: {what}", file.display()))
            .with_hint("save what a failed case has shown, from its first step on")
    };
    let script = script::parse(&text).map_err(refused)?;
    let mut status = 0;
    for lane in lanes {
        let unusable = |what| Error::new(ErrorKind::Unsupported, what);
        let fixture = Fixture::new(*lane).map_err(unusable)?;
        let outcome = fixture.stage().play(&script);
        fixture.close().map_err(unusable)?;
        let told = match outcome {
            Ok(tally) => format!(
                "{}: {} steps, {} edits, {} commits: the same as in plain directories\n",
                lane.backend(),
                script.len(),
                tally.edits,
                tally.commits
            ),
            Err(failure) => {
                status = 1;
                let script = script[..failure.steps].to_vec();
                let found = Counterexample { script, failure }.to_string();
                let lines: Vec<_> = found.lines().map(|line| escaped(line).to_string()).collect();
                format!("{} fails:\n{}\n", lane.backend(), lines.join("\n"))
            }
        };
        report::print(&told)?;
    }
    Site::remove_all();
    Ok(status)
}
