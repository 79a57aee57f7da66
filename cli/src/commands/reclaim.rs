//! `mocker reclaim`: frees the space of what was deleted. Started in the
//! background by every verb that deletes, where the storage needs it.

use std::process::{Command, Stdio};

use mocker_core::Result;
use mocker_core::backend::complete;
use mocker_core::engine::Engine;

use super::open;
use crate::exit;

/// Free the space of what was deleted
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The backends
    #[arg(required = true)]
    backends: Vec<String>,
}

impl Args {
    pub(crate) fn perform(&self, args: &crate::args::Args) -> Result<u8> {
        // Away from the terminal, whose Ctrl-C and end are not meant for it. Started by hand at the
        // head of a process group it cannot leave, and need not.
        let _session = rustix::process::setsid();
        let engine = open(args, "reclaim")?;
        complete(engine.reclaim(&self.backends))?;
        Ok(0)
    }
}

/// Starts it in the background, where the engine left something to do.
pub(super) fn in_background(engine: &Engine) {
    let backends = engine.rubbish();
    if backends.is_empty() {
        return;
    }
    let started = Command::new("/proc/self/exe")
        .arg("--root")
        .arg(engine.root_directory())
        .arg("reclaim")
        .args(backends)
        .current_dir("/")
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = started {
        exit::note(format_args!(
            "the space of what was deleted is not freed yet ({error}); 'mocker rm --wait' does it"
        ));
    }
}
