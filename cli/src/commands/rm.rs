//! `mocker rm`: away with containers and images.

use mocker_core::Result;
use mocker_core::backend::complete;

use super::{open, reclaim};
use crate::{exit, output};

const EXAMPLES: &str = "\
Examples:
  mocker rm work
  mocker rm -f work               kill it first if it runs
  mocker rm --wait old-image      come back when the space is free
  mocker rm $(mocker ps -q)

Containers made from an image that goes stay whole. The space comes back in the background.";

/// Remove containers and images
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Containers and images: ids, beginnings of ids, or names
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    /// Kill a container that runs
    #[arg(short, long)]
    force: bool,

    /// Come back when the space is free as well
    #[arg(long)]
    wait: bool,

    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let engine = open(args, "rm")?;
        let mut status = 0;
        let removal = async { Ok(engine.remove(&self.ids, self.force, self.wait).await) };
        let outcomes = complete(removal);
        reclaim::in_background(&engine);
        for (_, outcome) in outcomes? {
            match outcome {
                Ok(removed) => {
                    let before = if self.quiet { "" } else { "Removed: " };
                    output::print(&format!("{before}{}\n", removed.id))?;
                    removed.notes.iter().for_each(exit::note);
                }
                Err(error) => {
                    exit::show(&error);
                    status = exit::FAILED;
                }
            }
        }
        Ok(status)
    }
}
