//! `mocker init`: an image out of a directory.

use std::path::PathBuf;
use std::sync::Arc;

use mocker_core::Result;
use mocker_core::backend::complete;
use mocker_core::engine::{InitRequest, check_source};
use mocker_core::image::printable;

use super::{open, reclaim};
use crate::output::{self, Shape};
use crate::progress::Watcher;

const EXAMPLES: &str = "\
Examples:
  mocker init ./rootfs
  mocker init --name base:v1 ./rootfs
  debootstrap --variant=minbase stable ./debian && mocker init ./debian --name debian

Everything comes along: hard links, holes, devices, owners, ACLs, capabilities, times. Where the
file systems allow it, file data is shared by reflink and takes no space. Ctrl-C leaves nothing.";

/// Make an image out of a directory
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The directory that holds a root file system; it is not changed
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// A name for the image; one that exists gets a new version
    #[arg(short, long, value_name = "NAME[:TAG]")]
    name: Option<String>,

    #[command(flatten)]
    shape: Shape,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let name = self.name.as_deref().map(str::parse).transpose()?;
        let what = format!("copying {}", printable(&self.directory.to_string_lossy()));
        let watcher = Arc::new(Watcher::start(&what, args.trace.is_some())?);
        check_source(&args.root_directory()?, &self.directory)?;
        let engine = open(args, "init")?;
        let request = InitRequest { directory: self.directory.clone(), name };
        let made = complete(engine.init(request, watcher.clone()));
        watcher.finish();
        reclaim::in_background(&engine);
        output::created(&made?, self.shape)?;
        Ok(0)
    }
}
