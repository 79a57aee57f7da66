//! `mocker tree`: which image, version and container came from which.

use std::collections::HashMap;

use clap::ValueEnum;
use mocker_core::Result;
use mocker_core::engine::{ContainerLeaf, Lineage, Parent, Status, VersionStep};

use super::open;
use crate::output;

mod dot;
mod svg;
mod text;

const EXAMPLES: &str = "\
Examples:
  mocker tree                                   all images and containers
  mocker tree base                              'base', what it came from and what came from it
  mocker tree --format svg > lineage.svg        a picture for a browser, light or dark
  mocker tree --format dot | dot -Tpdf -o lineage.pdf
  mocker tree --format json | jq -r '.images[] | .id as $id | .versions[] | \"\\($id)@\\(.version)\"'

Each image is listed with its versions, each version with the containers that were made from it and
the images that stand on it. A version stands on the one before it unless it says 'from'. What came
from what is read from the layers; where versions in between are gone, the nearest one counts.";

/// Show which image, version and container came from which
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Show only these images and containers, what they came from and what came from them
    #[arg(value_name = "ID")]
    ids: Vec<String>,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For Graphviz
    Dot,
    /// A picture
    Svg,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let lineage = open(args, "tree")?.lineage(&self.ids)?;
        match self.format {
            Format::Text => output::print(&text::draw(&lineage))?,
            Format::Json => output::json(&lineage)?,
            Format::Dot => output::print(&dot::draw(&lineage))?,
            Format::Svg => output::print(&svg::draw(&lineage))?,
        }
        Ok(0)
    }
}

/// What each image is called: its name, or its id.
struct Names<'a>(HashMap<&'a str, &'a str>);

impl<'a> Names<'a> {
    fn of(lineage: &'a Lineage) -> Self {
        let named = |image: &'a mocker_core::engine::ImageLine| {
            (image.id.as_str(), image.name.as_deref().unwrap_or(&image.id))
        };
        Self(lineage.images.iter().map(named).collect())
    }

    fn version(&self, image: &str, version: u32) -> String {
        format!("{}@{version}", self.0.get(image).unwrap_or(&image))
    }

    fn parent(&self, of: &Parent) -> String {
        self.version(&of.image, of.version)
    }
}

/// In which state a version is, in a word; none for one that is just there.
fn state(version: &VersionStep) -> Option<&'static str> {
    match (version.current, version.pruned) {
        (true, _) => Some("current"),
        (_, true) => Some("pruned"),
        _ => None,
    }
}

/// Why a version was made, else how.
fn about(version: &VersionStep) -> String {
    let message = version.message.as_deref().filter(|message| !message.trim().is_empty());
    output::cut(message.unwrap_or(&version.created_by).to_owned())
}

fn doing(container: &ContainerLeaf) -> String {
    match (container.status, container.exit_code) {
        (Status::Created, _) => "created".to_owned(),
        (Status::Running, _) => "running".to_owned(),
        (Status::Exited, Some(code)) => format!("exited ({code})"),
        (Status::Exited, None) => "exited".to_owned(),
    }
}
