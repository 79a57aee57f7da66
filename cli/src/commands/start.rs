//! `mocker start`: a container's command once more.

use mocker_core::Result;

use super::{open, run};

const EXAMPLES: &str = "\
Examples:
  mocker start work

The command runs on the container's own tree, with what earlier runs left there. The status is
that of 'mocker run'.";

/// Run a container's command again, in its own tree
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The container: its id, the beginning of it, or its name
    container: String,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let engine = open(args, "start")?;
        let ended = engine.start(&self.container);
        run::report(&engine, ended)
    }
}
