//! `mocker convert`: an image on another backend.

use std::sync::Arc;

use mocker_core::Result;
use mocker_core::backend::complete;
use mocker_core::engine::ConvertRequest;
use mocker_core::image::printable;

use super::{open, reclaim};
use crate::output::{self, Shape};
use crate::progress::Watcher;

const EXAMPLES: &str = "\
Examples:
  mocker convert base --to overlay base-overlay
  mocker convert img_4x7k --to copy

The image is made again layer by layer, each showing the same tree. The one that it was made from
stays. 'mocker backends' lists the backends.";

/// Make an image again on another storage backend
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The image: its name, its id, or the beginning of that; with @VERSION one of its versions
    #[arg(value_name = "IMAGE[@VERSION]")]
    image: String,

    /// The backend
    #[arg(long, value_name = "BACKEND")]
    to: String,

    /// A name for the new image; one that exists there gets a new version
    #[arg(value_name = "NAME[:TAG]")]
    name: Option<String>,

    #[command(flatten)]
    shape: Shape,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let name = self.name.as_deref().map(str::parse).transpose()?;
        let watcher = Arc::new(Watcher::start(
            &format!("converting {}", printable(&self.image)),
            args.trace.is_some(),
        )?);
        let engine = open(args, "convert")?;
        let request = ConvertRequest { image: self.image.clone(), to: self.to.clone(), name };
        let made = complete(engine.convert(request, watcher.clone()));
        watcher.finish();
        reclaim::in_background(&engine);
        output::created(&made?, self.shape)?;
        Ok(0)
    }
}
