//! The verbs, one file each: its options, and what it does with the engine.

pub(crate) mod backends;
pub(crate) mod check;
pub(crate) mod commit;
pub(crate) mod completions;
pub(crate) mod conformance;
pub(crate) mod convert;
pub(crate) mod diff;
pub(crate) mod du;
pub(crate) mod history;
pub(crate) mod images;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod logs;
pub(crate) mod pool;
pub(crate) mod prune;
pub(crate) mod ps;
pub(crate) mod reclaim;
pub(crate) mod rm;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod start;
pub(crate) mod system;
pub(crate) mod tag;
pub(crate) mod tree;

use mocker_core::Result;
use mocker_core::backend::complete;
use mocker_core::engine::{Engine, Options};

use crate::args::{Args, Verb};

/// Carries out the verb; answers the exit status.
pub(crate) fn perform(args: &Args) -> Result<u8> {
    match &args.verb {
        Verb::Init(verb) => verb.perform(args),
        Verb::Images(verb) => verb.perform(args),
        Verb::Run(verb) => verb.perform(args),
        Verb::Start(verb) => verb.perform(args),
        Verb::Ps(verb) => verb.perform(args),
        Verb::Logs(verb) => verb.perform(args),
        Verb::Commit(verb) => verb.perform(args),
        Verb::Diff(verb) => verb.perform(args),
        Verb::Tag(verb) => verb.perform(args),
        Verb::History(verb) => verb.perform(args),
        Verb::Inspect(verb) => verb.perform(args),
        Verb::Tree(verb) => verb.perform(args),
        Verb::Rollback(verb) => verb.perform(args),
        Verb::Rm(verb) => verb.perform(args),
        Verb::Du(verb) => verb.perform(args),
        Verb::Prune(verb) => verb.perform(args),
        Verb::System(verb) => verb.perform(args),
        Verb::Pool(verb) => verb.perform(args),
        Verb::Convert(verb) => verb.perform(args),
        Verb::Check(verb) => verb.perform(args),
        Verb::Backends(verb) => verb.perform(args),
        Verb::Conformance(verb) => verb.perform(args),
        Verb::Completions(verb) => verb.perform(),
        Verb::Reclaim(verb) => verb.perform(args),
    }
}

/// Opens the root.
fn open(args: &Args, verb: &'static str) -> Result<Engine> {
    complete(Engine::open(options(args, verb)?))
}

/// How to open the root.
fn options(args: &Args, verb: &'static str) -> Result<Options> {
    let preferred = if verb == "init" { args.backend_for_new() } else { args.backend.clone() };
    Ok(Options { root: args.root_directory()?, drivers: args.drivers(), preferred, verb })
}
