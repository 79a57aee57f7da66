//! `mocker images`: the images that there are.

use mocker_core::Result;

use super::open;
use crate::output::{self, Format, Listing, Shape};

const EXAMPLES: &str = "\
Examples:
  mocker images
  mocker images --format json | jq -r '.[].name'
  mocker rm $(mocker images -q)

VERSION is the number of the current version; '1 of 3' after a rollback from the third to the first.";

/// List images, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    shape: Shape,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let images = open(args, "images")?.images()?;
        if self.shape.quiet {
            output::print(&images.iter().map(|image| format!("{}\n", image.id)).collect::<String>())?;
        } else if self.shape.format == Format::Json {
            output::json(&images)?;
        } else {
            let rows = images.into_iter().map(|image| {
                let wide = [
                    image.id.clone(),
                    image.name.unwrap_or_else(|| "-".to_owned()),
                    match image.version == image.versions {
                        true => image.version.to_string(),
                        false => format!("{} of {}", image.version, image.versions),
                    },
                    image.backend,
                    output::ago(image.created),
                    image.source.clone(),
                ];
                (wide, [image.id, image.source])
            });
            Listing {
                wide: ["IMAGE_ID", "NAME", "VERSION", "BACKEND", "CREATED", "SOURCE"],
                narrow: ["IMAGE_ID", "SOURCE"],
            }
            .show(rows)?;
        }
        Ok(0)
    }
}
