//! `mocker run`: a command in a new container.

use std::ffi::OsString;

use clap::ValueEnum;
use mocker_core::Result;
use mocker_core::engine::{Engine, RunRequest};
use mocker_core::sandbox::Ended;

use super::{open, reclaim};
use crate::exit;

const EXAMPLES: &str = "\
Examples:
  mocker run base sh -c 'echo hello > /greeting'
  mocker run --rm base 'ls -l / | wc -l'         one word with blanks goes to /bin/sh -c
  mocker run --name work -e LANG=C -w /srv base make
  tar c . | mocker run --rm base tar tv

The status is that of the command; 125 means that mocker failed, 126 that the command cannot be
executed, 127 that it was not found, 128+n that signal n ended it. Without --rm the container
stays: 'mocker ps' lists it, 'mocker logs', 'commit', 'start' and 'rm' take its id or name.";

/// Run a command in a new container of an image
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "mocker run [OPTIONS] IMAGE [COMMAND [ARGUMENT]...]")]
pub(crate) struct Args {
    /// Remove the container when its command has ended
    #[arg(long)]
    rm: bool,

    /// A name for the container
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Set an environment variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,

    /// The working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,

    /// Whose rights the command has: names or numbers
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,

    /// Replace the image's entry point and forget its command; "" for none
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,

    /// The host name inside [default: the container's id]
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,

    /// The network that the container sees
    #[arg(long, value_enum, default_value_t = Network::Host)]
    network: Network,

    /// The image by name or id, then the command and its arguments [default: the image's]
    #[arg(value_name = "IMAGE [COMMAND [ARGUMENT]...]", required = true, trailing_var_arg = true)]
    words: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Network {
    /// The host's
    Host,
    /// None but a loopback interface of its own
    None,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        let (image, command) = self.image_and_command();
        let request = RunRequest {
            image,
            command,
            name: self.name.clone(),
            remove: self.rm,
            env: self.env.clone(),
            workdir: self.workdir.clone(),
            user: self.user.clone(),
            entrypoint: self.entrypoint.clone(),
            hostname: self.hostname.clone(),
            network: match self.network {
                Network::Host => mocker_core::sandbox::Network::Host,
                Network::None => mocker_core::sandbox::Network::None,
            },
        };
        let engine = open(args, "run")?;
        let ended = engine.run(&request);
        report(&engine, ended)
    }

    /// The first word is the image; what stands behind it is the command's.
    fn image_and_command(&self) -> (String, Vec<OsString>) {
        let image = self.words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        (image, self.words.iter().skip(1).cloned().collect())
    }
}

/// Reports how a container's command ended; answers the exit status.
pub(super) fn report(engine: &Engine, ended: Result<Ended>) -> Result<u8> {
    reclaim::in_background(engine);
    let ended = ended?;
    for lost in &ended.lost {
        exit::show(lost);
    }
    if let Some(failure) = &ended.failure {
        exit::show(failure);
    }
    // A command that went well and whose output is not whole did not go well.
    Ok(if ended.status == 0 && !ended.lost.is_empty() { exit::ENGINE_FAILED } else { ended.status })
}
