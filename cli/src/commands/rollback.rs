//! `mocker rollback`: an earlier version of an image is the current one again.

use mocker_core::Result;
use mocker_core::image::version_number;

use super::open;
use crate::exit;
use crate::output::{self, Format, Shape};

const EXAMPLES: &str = "\
Examples:
  mocker rollback base           back to the version before the current one
  mocker rollback base 2         the second version, whether older or newer
  mocker history base            which versions there are, and which is current

No version goes, so a rollback can be undone by another one. Containers stay on the version that
they were made from. What is committed next comes behind all versions that there are.";

/// Go back to an earlier version of an image
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The image: its name, its id, or the beginning of that
    image: String,

    /// The number of the version [default: the one before the current one]
    version: Option<String>,

    #[command(flatten)]
    shape: Shape,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let version = self.version.as_deref().map(version_number).transpose()?;
        let done = open(args, "rollback")?.rollback(&self.image, version)?;
        let called = done.name.as_ref().unwrap_or(&done.image);
        if done.version == done.before {
            exit::note(format_args!("version {} of {called} is the current one already", done.version));
        } else {
            exit::note(format_args!(
                "{called} is version {} now; to undo this: mocker rollback {called} {}",
                done.version, done.before
            ));
        }
        match (self.shape.quiet, self.shape.format) {
            (true, _) => output::print(&format!("{}\n", done.image))?,
            (false, Format::Json) => output::json(&done)?,
            (false, Format::Table) => output::print(&format!("Rolled back: {}\n", done.image))?,
        }
        Ok(0)
    }
}
