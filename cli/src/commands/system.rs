//! `mocker system`: the names by which Docker knows `du` and `prune`.

use clap::Subcommand;
use mocker_core::Result;

use super::{du, prune};

const EXAMPLES: &str = "\
Examples:
  mocker system df                the same as 'mocker du'
  mocker system prune --dry-run   the same as 'mocker prune --dry-run'";

/// Show what is occupied, or prune it, by the names that Docker has for that
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what images and containers occupy; the same as 'mocker du'
    Df(du::Args),
    /// Remove old versions of images, and what nothing refers to; the same as 'mocker prune'
    Prune(prune::Args),
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        match &self.verb {
            Verb::Df(verb) => verb.perform(args),
            Verb::Prune(verb) => verb.perform(args),
        }
    }
}
