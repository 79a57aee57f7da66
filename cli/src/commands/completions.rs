//! `mocker completions`: what a shell needs to complete the command line.

use clap::CommandFactory;
use clap_complete::Shell;
use mocker_core::Result;

use crate::output;

const EXAMPLES: &str = "\
Examples:
  source <(mocker completions bash)
  mocker completions fish > ~/.config/fish/completions/mocker.fish";

/// Print a shell's completion script
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Args {
    pub(crate) fn perform(&self) -> Result<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::args::Args::command(), "mocker", &mut script);
        output::bytes(std::io::stdout().lock(), &script)?;
        Ok(0)
    }
}
