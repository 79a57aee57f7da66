//! `mocker commit`: a container's tree as a version of an image.

use clap::ValueEnum;
use mocker_core::Result;
use mocker_core::backend::complete;
use mocker_core::engine::{CommitRequest, ConfigFrom, Squash};

use super::{open, reclaim};
use crate::output::{self, Shape};

const EXAMPLES: &str = "\
Examples:
  mocker commit work                          a new image without a name
  mocker commit -m 'add curl' work base       one more version of 'base', or a new image
  mocker commit -c 'CMD [\"httpd\", \"-f\"]' -c 'ENV PORT=80' work web:v2

A container that runs is paused for a moment, and goes on. On btrfs nothing is copied. The earlier
versions of the image stay.";

/// Make a version of an image out of a container's tree
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The container: its id, the beginning of it, or its name
    container: String,

    /// An image that gets a new version, or a name for a new one
    #[arg(value_name = "IMAGE[:TAG]")]
    target: Option<String>,

    /// Who made it
    #[arg(short, long, value_name = "WHO")]
    author: Option<String>,

    /// Why it was made
    #[arg(short, long, value_name = "WHY")]
    message: Option<String>,

    /// Change a setting: ENV, CMD, ENTRYPOINT, WORKDIR, USER, LABEL, EXPOSE, VOLUME, STOPSIGNAL or
    /// ONBUILD, as in a Dockerfile
    #[arg(short, long = "change", value_name = "INSTRUCTION")]
    changes: Vec<String>,

    /// Whose settings the version gets
    #[arg(long, value_enum, default_value_t = From::Container)]
    config_from: From,

    /// Make one layer of several: of the new ones, or of all. Without a value: of the new ones
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "new")]
    squash: Option<Layers>,

    /// Pause a container that runs for as long as its tree is frozen or copied
    #[arg(
        short,
        long,
        value_name = "BOOL",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    pause: bool,

    /// Turn subvolumes that were made inside the container into directories
    #[arg(long)]
    flatten_subvolumes: bool,

    #[command(flatten)]
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum From {
    /// Those that the container was run with, its command among them
    Container,
    /// Those of the image that the container was made from
    Image,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Layers {
    /// Those that the container got since it was made from its image
    New,
    /// All, those of the image too
    All,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let request = CommitRequest {
            container: self.container.clone(),
            target: self.target.clone(),
            author: self.author.clone(),
            message: self.message.clone(),
            changes: self.changes.clone(),
            config_from: match self.config_from {
                From::Container => ConfigFrom::Container,
                From::Image => ConfigFrom::Image,
            },
            flatten: self.flatten_subvolumes,
            never_pause: !self.pause,
            squash: self.squash.map(|layers| match layers {
                Layers::New => Squash::New,
                Layers::All => Squash::All,
            }),
        };
        let engine = open(args, "commit")?;
        let made = complete(engine.commit(request));
        reclaim::in_background(&engine);
        output::created(&made?, self.shape)?;
        Ok(0)
    }
}
