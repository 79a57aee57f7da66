//! `mocker du`, also called `mocker system df`: what everything occupies.

use mocker_core::Result;
use mocker_core::backend::complete;
use mocker_core::engine::{Bytes, KindSpace, Space, Status};

use super::open;
use crate::output::{self, Format};

const EXAMPLES: &str = "\
Examples:
  mocker du
  mocker du -v                    the versions of each image as well
  mocker du --format json | jq '.images[] | select(.exclusive > 100e6) | .name'
  mocker du --format json | jq .totals.images.reclaimable

SIZE is all that something needs, SHARED what of that something else needs too, and EXCLUSIVE what
comes back when it alone is removed. RECLAIMABLE is what comes back when all images go that no
container was made from, or all containers that do not run. File contents are not read.";

/// Show what images and containers occupy, and what comes back on their removal
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Show each version of an image
    #[arg(short, long)]
    verbose: bool,

    /// How to show it; JSON has the versions too, and bytes
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let space = complete(open(args, "du")?.space())?;
        if self.format == Format::Json {
            output::json(&space)?;
            return Ok(0);
        }
        self.images(&space)?;
        output::print("\n")?;
        containers(&space)?;
        output::print("\n")?;
        totals(&space)?;
        output::print("\n")?;
        backends(&space)?;
        Ok(0)
    }

    fn images(&self, space: &Space) -> Result<()> {
        let mut rows = Vec::new();
        for image in &space.images {
            let name = image.name.clone().unwrap_or_else(|| "-".to_owned());
            let counts = [image.versions.len().to_string(), image.containers.to_string()];
            rows.push(row([image.id.clone(), name, image.backend.clone()], counts, image.bytes));
            for version in image.versions.iter().filter(|_| self.verbose) {
                let state = match (version.current, version.pruned) {
                    (true, _) => "current",
                    (_, true) => "pruned",
                    _ => "-",
                };
                let id = format!("{}@{}", image.id, version.version);
                let empty = || "-".to_owned();
                rows.push(row(
                    [id, state.to_owned(), image.backend.clone()],
                    [empty(), empty()],
                    version.bytes,
                ));
            }
        }
        let headings =
            ["IMAGE_ID", "NAME", "BACKEND", "VERSIONS", "CONTAINERS", "SIZE", "SHARED", "EXCLUSIVE"];
        output::table(headings, rows.into_iter())
    }
}

fn row(words: [String; 3], counts: [String; 2], bytes: Bytes) -> [String; 8] {
    let [id, name, backend] = words;
    let [one, other] = counts;
    let Bytes { size, shared, exclusive } = bytes;
    [id, name, backend, one, other, output::size(size), output::size(shared), output::size(exclusive)]
}

fn containers(space: &Space) -> Result<()> {
    let rows = space.containers.iter().map(|found| {
        let status = match found.status {
            Status::Created => "created",
            Status::Running => "running",
            Status::Exited => "exited",
        };
        let name = found.name.clone().unwrap_or_else(|| "-".to_owned());
        let counts = [found.image.clone(), status.to_owned()];
        row([found.id.clone(), name, found.backend.clone()], counts, found.bytes)
    });
    let headings = ["CONTAINER_ID", "NAME", "BACKEND", "IMAGE", "STATUS", "SIZE", "SHARED", "EXCLUSIVE"];
    output::table(headings, rows)
}

fn totals(space: &Space) -> Result<()> {
    let row = |(kind, of): (&str, KindSpace)| {
        let percent = (of.reclaimable * 100).checked_div(of.size).unwrap_or(0);
        [
            kind.to_owned(),
            of.count.to_string(),
            of.active.to_string(),
            output::size(of.size),
            format!("{} ({percent}%)", output::size(of.reclaimable)),
        ]
    };
    let rows =
        [("Images", space.totals.images), ("Containers", space.totals.containers)].into_iter().map(row);
    output::table(["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"], rows)
}

fn backends(space: &Space) -> Result<()> {
    let rows = space.backends.iter().map(|of| {
        let figure = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), output::size);
        let held = if of.exact { output::size(of.size) } else { format!("up to {}", output::size(of.size)) };
        [
            of.backend.clone(),
            held,
            figure(of.file_system.map(|of| of.size)),
            figure(of.file_system.map(|of| of.used)),
            figure(of.file_system.map(|of| of.free)),
        ]
    });
    output::table(["BACKEND", "HOLDS", "FILE SYSTEM", "USED", "FREE"], rows)
}
