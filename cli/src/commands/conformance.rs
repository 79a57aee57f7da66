//! `mocker conformance`: what a backend must prove, on this machine.
//!
//! The cases, their fixtures and the report are the conformance kit, a program
//! of its own that knows the same verbs: what everybody starts all day stays
//! small. `mocker` hands the whole command line over.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;
use mocker_core::{Error, ErrorKind, Result};

use crate::Request;

/// The name of the program with the kit in it.
const KIT: &str = "mocker-conformance";

const EXAMPLES: &str = "\
Examples:
  mocker conformance                                every backend that works here
  mocker conformance --backend overlay --on ext4,xfs
  mocker conformance --filter F10 --filter K        one case, and a group
  mocker conformance --list
  mocker conformance --format junit > report.xml
  mocker conformance --backend copy --script found.txt

The cases run below the root, each in a directory of its own that goes afterwards, or with --on on
fresh file systems in files. The exit status is 0 where nothing failed, and 1 otherwise.";

/// Show what a storage backend proves on this machine, kernel and file system
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Run only cases with this id or group, or with this in their name; can be repeated
    #[arg(long, value_name = "TEXT")]
    pub filter: Vec<String>,

    /// Run on fresh file systems, not on that of the root
    #[arg(long, value_name = "KIND", value_enum, value_delimiter = ',')]
    pub on: Vec<FileSystem>,

    /// How to show the outcome
    #[arg(long, value_enum, default_value_t = Report::Table)]
    pub format: Report,

    /// Run long: more seeds, more power cuts, longer scripts
    #[arg(long)]
    pub soak: bool,

    /// Cases at a time [default: two for each processor]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub jobs: Option<u8>,

    /// Show the cases and run none
    #[arg(long)]
    pub list: bool,

    /// Play a script that a failed case has shown, and nothing else
    #[arg(long, value_name = "FILE", conflicts_with_all = ["filter", "list", "soak", "format"])]
    pub script: Option<PathBuf>,
}

/// How the outcome is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Report {
    /// For people
    Table,
    /// For programs
    Json,
    /// For what collects test results
    Junit,
}

/// A file system that is made for the cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileSystem {
    /// btrfs
    Btrfs,
    /// ext4
    Ext4,
    /// xfs with reflink
    Xfs,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let Some(run) = args.program.and_then(|program| program.conformance) else {
            return hand_over();
        };
        run(&Request {
            options: self,
            backend: args.backend.as_deref(),
            drivers: args.drivers(),
            root: args.root_directory()?,
        })
    }
}

/// Becomes the program with the kit in it; comes back only where that fails.
fn hand_over() -> Result<u8> {
    let own = std::env::current_exe().map_err(|error| Error::io("cannot find this program", error))?;
    let kit = own.parent().unwrap_or(Path::new("/")).join(KIT);
    let error = Command::new(&kit).args(std::env::args_os().skip(1)).exec();
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => "make build and make install put it beside mocker",
        _ => return Err(Error::io(format_args!("cannot start '{}'", kit.display()), error)),
    };
    let what = format!("the conformance kit is a program of its own, and '{}' is not there", kit.display());
    Err(Error::new(ErrorKind::NotFound, what).with_hint(hint))
}
