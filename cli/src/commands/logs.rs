//! `mocker logs`: what a container printed.

use std::io;

use mocker_core::Result;
use mocker_core::sandbox::Stream;

use super::open;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  mocker logs work
  mocker logs work 2>/dev/null     what it wrote to its standard output alone";

/// Print what a container printed, byte for byte
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The container: its id, the beginning of it, or its name
    container: String,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let engine = open(args, "logs")?;
        for record in engine.logs(&self.container)?.into_iter().flatten() {
            let record = record?;
            match record.stream {
                Stream::Stdout => output::bytes(io::stdout().lock(), &record.bytes)?,
                Stream::Stderr => output::bytes(io::stderr().lock(), &record.bytes)?,
            }
        }
        Ok(0)
    }
}
