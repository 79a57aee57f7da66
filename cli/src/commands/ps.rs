//! `mocker ps`: the containers that there are.

use mocker_core::Result;
use mocker_core::engine::{ContainerSummary, Status, shown_command};

use super::open;
use crate::output::{self, Format, Listing, Shape};

const EXAMPLES: &str = "\
Examples:
  mocker ps
  mocker ps --running
  mocker ps --format json | jq '.[] | {id, status, exit_code}'
  mocker rm $(mocker ps -q)";

/// List containers, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// List those that do not run as well; this is so without it too
    #[arg(short, long, conflicts_with = "running")]
    all: bool,

    /// List only those whose command runs
    #[arg(long)]
    running: bool,

    #[command(flatten)]
    shape: Shape,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let mut containers = open(args, "ps")?.containers()?;
        if self.running {
            containers.retain(|container| container.status == Status::Running);
        }
        if self.shape.quiet {
            output::print(&containers.iter().map(|found| format!("{}\n", found.id)).collect::<String>())?;
        } else if self.shape.format == Format::Json {
            output::json(&containers)?;
        } else {
            let rows = containers.into_iter().map(|found| {
                let command = shown_command(&found.command);
                let wide = [
                    found.id.clone(),
                    found.name.clone().unwrap_or_else(|| "-".to_owned()),
                    found.image_name.clone().unwrap_or_else(|| found.image.clone()),
                    status(&found),
                    found.backend,
                    output::ago(found.created),
                    command.clone(),
                ];
                (wide, [found.id, command])
            });
            Listing {
                wide: ["CONTAINER_ID", "NAME", "IMAGE", "STATUS", "BACKEND", "CREATED", "COMMAND"],
                narrow: ["CONTAINER_ID", "COMMAND"],
            }
            .show(rows)?;
        }
        Ok(0)
    }
}

fn status(container: &ContainerSummary) -> String {
    match (container.status, container.exit_code, container.finished) {
        (Status::Created, ..) => "created".to_owned(),
        (Status::Running, ..) => "running".to_owned(),
        (Status::Exited, Some(code), Some(finished)) => format!("exited ({code}) {}", output::ago(finished)),
        (Status::Exited, ..) => "exited".to_owned(),
    }
}
