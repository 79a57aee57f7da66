//! `mocker history`: the versions of an image.

use mocker_core::Result;
use mocker_core::backend::complete;
use mocker_core::engine::VersionSummary;

use super::open;
use crate::output::{self, Format, Shape};

const EXAMPLES: &str = "\
Examples:
  mocker history base
  mocker history --no-trunc base | cut -f1,7      numbers and messages, whole
  mocker history --format json base | jq -r '.[] | select(.author == \"me\") | .version'
  mocker run --rm $(mocker history -q base | tail -1) ls /     the first version

SIZE is what is stored of the version's tree, whoever else has a part of it. LAYERS is how many
layers it stands on. The tree of a pruned version is gone. 'mocker rollback' makes another version
the current one, and IMAGE@2 is the second one wherever an image is read.";

/// List the versions of an image, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The image: its name, its id, or the beginning of that
    image: String,

    /// Show long texts whole; where stdout is no terminal they always are
    #[arg(long)]
    no_trunc: bool,

    #[command(flatten)]
    shape: Shape,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let engine = open(args, "history")?;
        let versions = complete(engine.history(&self.image, !self.shape.quiet))?;
        if self.shape.quiet {
            let id = |version: &VersionSummary| format!("{}@{}\n", version.image, version.version);
            output::print(&versions.iter().map(id).collect::<String>())?;
            return Ok(0);
        }
        if self.shape.format == Format::Json {
            output::json(&versions)?;
            return Ok(0);
        }
        let whole = self.no_trunc || !output::is_for_people();
        let text = |text: Option<String>| match text {
            Some(text) if whole => text,
            Some(text) => output::cut(text),
            None => "-".to_owned(),
        };
        let rows = versions.into_iter().map(|version| {
            let state = match (version.current, version.pruned) {
                (true, _) => "current",
                (_, true) => "pruned",
                _ => "-",
            };
            [
                version.version.to_string(),
                state.to_owned(),
                output::when(version.created),
                text(Some(version.created_by)),
                version.size.map_or_else(|| "-".to_owned(), output::size),
                version.layers.to_string(),
                text(version.message),
                text(version.author),
            ]
        });
        let headings = ["VERSION", "STATE", "CREATED", "CREATED BY", "SIZE", "LAYERS", "MESSAGE", "AUTHOR"];
        output::table(headings, rows)?;
        Ok(0)
    }
}
