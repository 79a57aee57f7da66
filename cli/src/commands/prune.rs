//! `mocker prune`, also called `mocker system prune`: old versions and other
//! things that nobody needs any more give their space back.

use std::io::{self, IsTerminal, Write};

use mocker_core::backend::complete;
use mocker_core::engine::{Because, PruneRequest, Pruned};
use mocker_core::image::escaped;
use mocker_core::{Error, ErrorKind, Result};

use super::{open, reclaim};
use crate::exit;
use crate::output::{self, Format, Shape};

const EXAMPLES: &str = "\
Examples:
  mocker prune --dry-run               what would go, and what would come back
  mocker prune                         of each image all but the current version
  mocker prune --keep 3 web            of this image all but three versions
  mocker prune --containers --force    containers that do not run as well; without asking

Of each image the current version is kept, and as many of the newest others as --keep says. A
version stays as well that a container was made from, and one whose layers something needs that is
kept; on overlay that is any version that a newer one stands on. The history keeps the entry of a
pruned version. Nothing asks twice: 'mocker rollback' cannot go back to one.";

/// Remove old versions of images, and what nothing refers to
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Images: names, ids, or beginnings of ids [default: all]
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,

    /// How many versions of an image to keep, the current one among them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    keep: u32,

    /// Remove containers too that do not run; with IMAGE, those made from it
    #[arg(long)]
    containers: bool,

    /// Only say what would go
    #[arg(long, conflicts_with_all = ["force", "wait"])]
    dry_run: bool,

    /// Do not ask
    #[arg(short, long)]
    force: bool,

    /// Come back when the space is free as well
    #[arg(long)]
    wait: bool,

    #[command(flatten)]
    shape: Shape,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let engine = open(args, "prune")?;
        let request =
            PruneRequest { images: self.images.clone(), keep: self.keep, containers: self.containers };
        if self.dry_run {
            return self.show(&complete(engine.prune_plan(&request))?).map(|()| 0);
        }
        if !self.force {
            let plan = complete(engine.prune_plan(&request))?;
            if plan.is_nothing() {
                return self.show(&plan).map(|()| 0);
            }
            if !confirmed(&plan)? {
                return Err(Error::new(ErrorKind::Interrupted, "nothing was pruned"));
            }
        }
        let pruned = complete(engine.prune(&request, self.wait));
        reclaim::in_background(&engine);
        self.show(&pruned?).map(|()| 0)
    }

    fn show(&self, pruned: &Pruned) -> Result<()> {
        staying(pruned);
        pruned.notes.iter().for_each(exit::note);
        let is_for_people = !self.shape.quiet && self.shape.format == Format::Table;
        if pruned.is_nothing() && is_for_people {
            exit::note("there is nothing to prune");
            return Ok(());
        }
        match (self.shape.quiet, self.shape.format) {
            (true, _) => output::print(&objects(pruned, "", "")),
            (false, Format::Json) => output::json(pruned),
            (false, Format::Table) => {
                let (versions, containers, came_back) = match (self.dry_run, self.wait) {
                    (true, _) => ("Would prune: ", "Would remove: ", "Would come back"),
                    (false, false) => ("Pruned: ", "Removed: ", "Comes back"),
                    (false, true) => ("Pruned: ", "Removed: ", "Came back"),
                };
                let mut text = objects(pruned, versions, containers);
                if pruned.strays > 0 {
                    text += &format!("Left over, belonging to nothing: {}\n", pruned.strays);
                }
                let after = pruned.waited_ms.map_or_else(String::new, |ms| format!(", after {ms} ms"));
                if let Some(bytes) = pruned.bytes {
                    text += &format!("{came_back}: {}{after}\n", output::size(bytes));
                }
                output::print(&text)
            }
        }
    }
}

/// A line for each object that goes.
fn objects(pruned: &Pruned, before_version: &str, before_container: &str) -> String {
    let containers = pruned.containers.iter().map(|id| format!("{before_container}{id}\n"));
    let versions = pruned.versions.iter().map(|gone| {
        let name = match &gone.name {
            Some(name) if !before_version.is_empty() => format!(" ({})", escaped(name)),
            _ => String::new(),
        };
        format!("{before_version}{}@{}{name}\n", gone.image, gone.version)
    });
    containers.chain(versions).collect()
}

/// Says what is old enough to go, and stays.
fn staying(pruned: &Pruned) {
    let mut because_of_layers = 0;
    for stays in &pruned.stay {
        match &stays.because {
            Because::Container(id) => exit::note(format_args!(
                "{}@{} stays: container {id} stands on it",
                stays.version.image, stays.version.version
            )),
            Because::Layer => because_of_layers += 1,
        }
    }
    if because_of_layers > 0 {
        exit::note(format_args!(
            "{because_of_layers} old version(s) stay: what is kept stands on their layers \
             ('mocker commit --squash=all' makes one layer of several)"
        ));
    }
}

/// Asks whether all this is to go.
fn confirmed(plan: &Pruned) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "what is pruned is gone for good, and there is no terminal to ask at",
        )
        .with_hint("--force goes ahead, --dry-run says what would go"));
    }
    let back = plan.bytes.map_or_else(String::new, |bytes| format!(", {} come back", output::size(bytes)));
    exit::say(format_args!("{}", objects(plan, "version ", "container ").trim_end()));
    exit::say(format_args!(
        "{} version(s), {} container(s) and {} left-over tree(s) go for good{back}.",
        plan.versions.len(),
        plan.containers.len(),
        plan.strays
    ));
    let asked = write!(io::stderr(), "Go on? [y/N] ").and_then(|()| io::stderr().flush());
    asked.map_err(|error| Error::io("cannot ask", error))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| Error::io("cannot read the answer", error))?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}
