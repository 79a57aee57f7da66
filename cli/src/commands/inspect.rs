//! `mocker inspect`: all that is known of images and containers.

use clap::ValueEnum;
use mocker_core::Result;
use mocker_core::backend::complete;

use super::open;
use crate::{exit, output};

const EXAMPLES: &str = "\
Examples:
  mocker inspect base work
  mocker inspect base@2 | jq '.[0].Config'
  mocker inspect work | jq -r '.[0].State | \"\\(.Status) \\(.ExitCode)\"'
  mocker inspect base | jq -r '.[0].History[] | \"\\(.created) \\(.created_by)\"'
  mocker inspect $(mocker ps -q) | jq -r '.[] | select(.State.Running) | .Id'

The answer is one array, in the order of the words. Keys are Docker's and those of the OCI image
specification; what there is none of is null. Of what was not found each is told on stderr, and the
status is 1. The guide lists the keys.";

/// Show all that is known of images and containers
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Images, with or without @VERSION, and containers: ids, beginnings of ids, or names
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,

    /// Look only for these
    #[arg(long = "type", value_enum)]
    kind: Option<Kind>,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Images
    Image,
    /// Containers
    Container,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For programs, indented so that people can read it
    Json,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let engine = open(args, "inspect")?;
        let kind = self.kind.map(|kind| match kind {
            Kind::Image => mocker_core::engine::Kind::Image,
            Kind::Container => mocker_core::engine::Kind::Container,
        });
        let mut found = Vec::new();
        let mut status = 0;
        for id in &self.ids {
            match complete(engine.inspect(id, kind)) {
                Ok(inspected) => found.push(inspected),
                Err(error) => {
                    exit::show(&error);
                    status = exit::FAILED;
                }
            }
        }
        match self.format {
            Format::Json => output::json(&found)?,
        }
        Ok(status)
    }
}
