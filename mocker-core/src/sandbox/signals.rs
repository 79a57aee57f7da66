//! What the supervisor does with its own signals: it takes them for the
//! container, and learns of the container's end.

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::sys;
use crate::{Error, Result};

/// What a person or a service manager sends to a program in order to tell it
/// something. Not `TTIN` and `TTOU`, which the terminal sends about our own
/// reading and writing.
const FORWARDED: [Signal; 10] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGWINCH,
];

/// The signals held back for as long as this lives; dropping it puts back
/// what was before.
#[derive(Debug)]
pub(super) struct HeldBack {
    before: SigSet,
    forwarded: SigSet,
}

impl HeldBack {
    /// Blocks the signals that are to be forwarded, on this thread and those
    /// that it will start. One that the process was told to ignore (`nohup`, a
    /// shell's background job) stays ignored.
    pub(super) fn begin() -> Result<Self> {
        let forwarded: SigSet =
            FORWARDED.into_iter().filter(|signal| !sys::is_ignored(*signal as i32)).collect();
        let before = forwarded
            .thread_swap_mask(SigmaskHow::SIG_BLOCK)
            .map_err(|error| Error::io("cannot hold signals back", error))?;
        Ok(Self { before, forwarded })
    }

    /// A descriptor from which the signals can be read; it never waits.
    pub(super) fn descriptor(&self) -> Result<SignalFd> {
        SignalFd::with_flags(&self.forwarded, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(|error| Error::io("cannot receive signals", error))
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        // What came when there was nobody left to forward it to was still meant for the container.
        if let Ok(signals) = self.descriptor() {
            while let Ok(Some(_)) = signals.read_signal() {}
        }
        // It succeeded with the same kind of arguments before.
        let _restored = self.before.thread_set_mask();
    }
}

/// Exit statuses of children are kept for as long as this lives: where
/// `SIGCHLD` is ignored the kernel throws them away (wait(2)).
#[derive(Debug)]
pub(super) struct KeptStatuses {
    ignored_before: bool,
}

impl KeptStatuses {
    pub(super) fn begin() -> Self {
        let ignored_before = sys::is_ignored(Signal::SIGCHLD as i32);
        if ignored_before {
            sys::ignore_child_signal(false);
        }
        Self { ignored_before }
    }
}

impl Drop for KeptStatuses {
    fn drop(&mut self) {
        if self.ignored_before {
            sys::ignore_child_signal(true);
        }
    }
}
