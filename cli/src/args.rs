//! The command line: the options of every verb, and the list of verbs.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use mocker_core::backend::Driver;

use crate::Program;
use crate::commands::{
    backends, check, commit, completions, conformance, convert, diff, du, history, images, init, inspect,
    logs, pool, prune, ps, reclaim, rm, rollback, run, start, system, tag, tree,
};
use crate::exit::{ENGINE_FAILED, FAILED};

/// The heading of what every verb takes.
const GLOBAL: &str = "Options of every verb";

const EXAMPLES: &str = "\
Examples:
  mocker init ./rootfs --name base            an image out of a directory
  mocker run --name work base sh              a command in a container of it
  mocker diff work                            what the command changed
  mocker commit -m 'what I did' work base     one more version of the image
  mocker run --rm base ls /                   a container that goes when it is done
  mocker rm work base                         away with both

'mocker help VERB' tells more about one verb.";

/// Containers whose commits cost nothing.
#[derive(Debug, Parser)]
#[command(name = "mocker", version, after_help = EXAMPLES, arg_required_else_help = true)]
#[command(max_term_width = 100, infer_subcommands = false, disable_help_subcommand = false)]
pub(crate) struct Args {
    /// The directory that holds everything [default: $MOCKER_ROOT, else /var/lib/mocker for root,
    /// else $XDG_DATA_HOME/mocker]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,

    /// The storage backend for a new image [default: $MOCKER_BACKEND, else the first that works]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "NAME")]
    pub(crate) backend: Option<String>,

    /// Tell what the storage driver and the kernel do, on stderr
    #[arg(
        long,
        global = true,
        help_heading = GLOBAL,
        value_name = "DEPTH",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "calls"
    )]
    pub(crate) trace: Option<Depth>,

    #[command(subcommand)]
    pub(crate) verb: Verb,

    /// Which program this is.
    #[arg(skip)]
    pub(crate) program: Option<Program>,
}

/// How much `--trace` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Depth {
    /// What was done, in sentences
    Story,
    /// The kernel calls too, with arguments and times
    Calls,
}

impl Depth {
    /// The option by which another call of this program tells as much.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Story => "--trace=story",
            Self::Calls => "--trace=calls",
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Init(init::Args),
    Images(images::Args),
    Run(run::Args),
    Start(start::Args),
    Ps(ps::Args),
    Logs(logs::Args),
    Commit(commit::Args),
    Diff(diff::Args),
    Tag(tag::Args),
    History(history::Args),
    Inspect(inspect::Args),
    Tree(tree::Args),
    Rollback(rollback::Args),
    Rm(rm::Args),
    Du(du::Args),
    Prune(prune::Args),
    System(system::Args),
    Convert(convert::Args),
    Check(check::Args),
    Backends(backends::Args),
    Pool(pool::Args),
    Conformance(conformance::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Reclaim(reclaim::Args),
}

impl Verb {
    /// The exit status of a failure of the engine. Where the status is a
    /// command's own as a rule, a failure must be told apart from it.
    pub(crate) fn failure_status(&self) -> u8 {
        match self {
            Self::Run(_) | Self::Start(_) => ENGINE_FAILED,
            // 1 says that something is wrong with the root.
            Self::Check(_) => ENGINE_FAILED,
            _ => FAILED,
        }
    }
}

impl Args {
    /// The storage drivers, the preferred ones first.
    pub(crate) fn drivers(&self) -> &'static [Driver] {
        self.program.map_or(&[], |program| program.drivers)
    }

    /// The backend for a new image. A variable of the environment says no more
    /// than that; `--backend` contradicts an object that lies on another one.
    pub(crate) fn backend_for_new(&self) -> Option<String> {
        let from_environment = || set("MOCKER_BACKEND").map(|name| name.to_string_lossy().into_owned());
        self.backend.clone().or_else(from_environment)
    }

    /// The directory that holds everything.
    ///
    /// `DOCKER_DEMO_BTRFS_PATH` is the variable of the course exercise that
    /// this program grew out of: a directory on btrfs.
    pub(crate) fn root_directory(&self) -> mocker_core::Result<PathBuf> {
        let given = self.root.clone().or_else(|| set("MOCKER_ROOT").map(PathBuf::from));
        if let Some(root) = given.or_else(|| set("DOCKER_DEMO_BTRFS_PATH").map(PathBuf::from)) {
            return Ok(root);
        }
        if rustix::process::geteuid().is_root() {
            return Ok("/var/lib/mocker".into());
        }
        let home = || set("HOME").map(|home| PathBuf::from(home).join(".local/share"));
        let data = set("XDG_DATA_HOME").map(PathBuf::from).or_else(home);
        data.map(|data| data.join("mocker")).ok_or_else(|| {
            mocker_core::Error::new(
                mocker_core::ErrorKind::InvalidInput,
                "there is no place for the root: neither XDG_DATA_HOME nor HOME is set",
            )
            .with_hint("name one with --root or MOCKER_ROOT")
        })
    }
}

/// A variable of the environment; an empty one counts as none.
fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Args::command().debug_assert();
    }
}
