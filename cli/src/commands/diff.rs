//! `mocker diff`: what was changed in a container, or between any two trees.

use mocker_core::Result;
use mocker_core::backend::complete;
use mocker_core::change::Kind;
use mocker_core::engine::{Diff, DiffRequest};

use super::open;
use crate::exit;
use crate::output::{self, Format};

mod json;
mod text;

const EXAMPLES: &str = "\
Each line is A (added), C (changed) or D (deleted) and a path, as in Docker. What a change of metadata
alone consists of stands behind a tab: mode, owner, mtime, xattr, links, holes. A directory above a
change is listed as changed too; of a directory that was deleted only itself is.

Examples:
  mocker diff work                      what the container 'work' changed in its image
  mocker diff base                      what the current version changed in the one before
  mocker diff base@2 base@5             from version 2 to version 5
  mocker diff base work                 from an image to a container, or any other two
  mocker diff --stat work               how much was changed
  mocker diff -z work | grep -z '^A '   paths as they are, each line ended by a NUL byte
  mocker diff --format json work | jq -r '.changes[] | select(.what | index(\"mode\")) | .path'";

/// Show what was changed in a container, or from one tree to another
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A container, or an image with or without @VERSION
    #[arg(value_name = "CONTAINER|IMAGE[@VERSION]")]
    subject: String,

    /// Another one: show the changes that lead there
    #[arg(value_name = "OTHER")]
    other: Option<String>,

    /// Show how much was changed instead of what
    #[arg(long)]
    stat: bool,

    /// Show paths as they are, and end each line with a NUL byte
    #[arg(short = 'z', long, conflicts_with_all = ["stat", "format"])]
    null: bool,

    /// Answer with the exit status too: 1 where anything differs
    #[arg(long)]
    exit_code: bool,

    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let request = DiffRequest { subject: self.subject.clone(), other: self.other.clone() };
        let diff = complete(open(args, "diff")?.diff(&request))?;
        if !diff.frozen {
            exit::note("the tree was being changed: an entry is shown as it was at one moment or another");
        }
        for note in &diff.notes {
            exit::note(note);
        }
        let summary = Summary::of(&diff);
        match (self.format, self.stat) {
            (Format::Json, stat) => json::show(&diff, &summary, !stat)?,
            (Format::Table, true) => output::print(&text::stat(&summary))?,
            (Format::Table, false) => text::show(&diff.changes, self.null)?,
        }
        Ok(u8::from(self.exit_code && !diff.changes.is_empty()))
    }
}

/// How much was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub(crate) struct Summary {
    /// Entries that came, and the bytes of the files among them.
    added: Amount,
    /// Entries whose content changed, and the bytes of the files as they are now.
    changed: Amount,
    /// Entries of which only metadata changed.
    metadata_only: u64,
    /// Entries that went; a directory counts once, with all that was in it.
    deleted: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub(crate) struct Amount {
    entries: u64,
    bytes: u64,
}

impl Summary {
    fn of(diff: &Diff) -> Self {
        let mut this = Self::default();
        for change in &diff.changes {
            // The bytes of a file are there once, whatever names it has.
            let bytes = if change.link.is_some() { 0 } else { change.size };
            match change.kind {
                Kind::Added => this.added.count(bytes),
                Kind::Modified(what) if what.is_metadata_only() => this.metadata_only += 1,
                Kind::Modified(_) => this.changed.count(bytes),
                Kind::Deleted => this.deleted += 1,
            }
        }
        this
    }
}

impl Amount {
    fn count(&mut self, bytes: u64) {
        self.entries += 1;
        self.bytes += bytes;
    }
}
