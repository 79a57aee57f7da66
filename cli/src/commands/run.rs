//! `mocker run`: a command in a new container.

use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};

use clap::ValueEnum;
use mocker_core::backend::complete;
use mocker_core::engine::{Engine, RunRequest};
use mocker_core::image::printable;
use mocker_core::sandbox::Ended;
use mocker_core::{Error, Result};

use super::{open, reclaim};
use crate::args::Depth;
use crate::exit;

const EXAMPLES: &str = "\
Examples:
  mocker run base sh -c 'echo hello > /greeting'
  mocker run --rm base 'ls -l / | wc -l'         one word with blanks goes to /bin/sh -c
  mocker run --name work -e LANG=C -w /srv base make
  tar c . | mocker run --rm base tar tv
  mocker run --rm base@2 cat /etc/passwd         the second version of the image
  mocker run --rm ./rootfs sh                    a directory: 'mocker init' comes first

The status is that of the command; 125 means that mocker failed, 126 that the command cannot be
executed, 127 that it was not found, 128+n that signal n ended it. Without --rm the container
stays: 'mocker ps' lists it, 'mocker logs', 'commit', 'start' and 'rm' take its id or name.
A directory is a path that begins with '/', './' or '../'; with --rm its image goes too.";

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

    /// The image by name or id, with @VERSION one of its versions, or a directory; then the command
    /// and its arguments [default: the image's]
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
        let (mut image, command) = self.image_and_command();
        let directory = self.words.first().filter(|word| is_path(word));
        if let Some(directory) = directory {
            match image_of(directory, args)? {
                Some(made) => image = made,
                None => return Ok(exit::ENGINE_FAILED),
            }
        }
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
        match directory {
            Some(_) if self.rm => remove(&engine, request.image),
            Some(directory) => {
                let directory = printable(&directory.to_string_lossy());
                exit::note(format_args!("{} is the image of {directory}", request.image));
            }
            None => {}
        }
        report(&engine, ended)
    }

    /// The first word is the image; what stands behind it is the command's.
    fn image_and_command(&self) -> (String, Vec<OsString>) {
        let image = self.words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        (image, self.words.iter().skip(1).cloned().collect())
    }
}

/// Whether a word that stands for an image is a directory. No name and no id of
/// an image begins so.
fn is_path(word: &OsStr) -> bool {
    let begins = |start: &str| word.as_encoded_bytes().starts_with(start.as_bytes());
    begins("/") || begins("./") || begins("../") || word == "." || word == ".."
}

/// Has 'mocker init' make an image out of a directory; `None` where it could
/// not, and has said why. In a process of its own: it copies with many threads,
/// and a process with threads cannot fork a container.
fn image_of(directory: &OsStr, args: &crate::args::Args) -> Result<Option<String>> {
    let mut init = Command::new("/proc/self/exe");
    init.arg("--root").arg(args.root_directory()?);
    init.args(args.backend.iter().flat_map(|name| ["--backend", name.as_str()]));
    init.args(args.trace.map(Depth::option)).args(["init", "--quiet", "--"]).arg(directory);
    let failed = |error| Error::io("cannot start 'mocker init'", error);
    let made = init.stderr(Stdio::inherit()).output().map_err(failed)?;
    let id = String::from_utf8_lossy(&made.stdout).trim_end().to_owned();
    Ok(Some(id).filter(|_| made.status.success()))
}

/// Takes back an image that was made for one run.
fn remove(engine: &Engine, image: String) {
    let removed = complete(async { Ok(engine.remove(&[image], false, false).await) });
    for (_, outcome) in removed.into_iter().flatten() {
        if let Err(error) = outcome {
            exit::show(&error);
        }
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
