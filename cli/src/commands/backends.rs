//! `mocker backends`: which storage drivers there are, and which work here.

use mocker_core::Result;
use mocker_core::backend::Probe;
use mocker_core::image::escaped;
use serde::Serialize;

use crate::output::{self, Format};

const EXAMPLES: &str = "\
Examples:
  mocker backends
  mocker --root /srv/mocker backends --format json

The first that works is taken for a new image, unless --backend or MOCKER_BACKEND names another.";

/// List storage backends, and say which work here
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Line {
    name: &'static str,
    summary: &'static str,
    works: bool,
    /// On what it works, or what is missing and what to do.
    why: String,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let root = std::path::absolute(args.root_directory()?)
            .map_err(|error| mocker_core::Error::io("cannot use the root", error))?;
        let lines: Vec<_> = args
            .drivers()
            .iter()
            .map(|driver| {
                let (works, why) = match (driver.probe)(&root) {
                    Probe::Works(on_what) => (true, on_what),
                    Probe::Missing(what) => (false, what),
                };
                Line { name: driver.name, summary: driver.summary, works, why }
            })
            .collect();
        if self.format == Format::Json {
            output::json(&lines)?;
            return Ok(0);
        }
        for Line { name, summary, works, why } in lines {
            let works = if works { "works" } else { "does not work" };
            output::print(&format!("{name}: {summary}\n  {works} here: {}\n", escaped(&why)))?;
        }
        Ok(0)
    }
}
