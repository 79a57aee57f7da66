//! `mocker tag`: a name for what an image is now.

use mocker_core::Result;
use mocker_core::backend::complete;

use super::open;
use crate::output::{self, Shape};

const EXAMPLES: &str = "\
Examples:
  mocker tag img_4x7k web          a name for an image that has none
  mocker tag web web:before        keep what 'web' is now under another name
  mocker tag web@2 web:then        the same for its second version

An image has one name. Of one that has a name already, and of an earlier version, a new image is
made on the same layers; nothing is copied.";

/// Give a name to what an image is now
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The image: its name, its id, or the beginning of that; with @VERSION one of its versions
    #[arg(value_name = "IMAGE[@VERSION]")]
    image: String,

    /// The name
    #[arg(value_name = "NAME[:TAG]")]
    name: String,

    #[command(flatten)]
    shape: Shape,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let engine = open(args, "tag")?;
        output::created(&complete(engine.tag(&self.image, &self.name))?, self.shape)?;
        Ok(0)
    }
}
