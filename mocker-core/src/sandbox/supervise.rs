//! Runs beside the container until it ends: output, signals, exit status.

use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal as Number;
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitIdStatus, pidfd_send_signal};
use rustix::stdio;

use super::log::{LogWriter, Stream};
use super::output::Ends;
use super::spawn::Held;
use super::wire::{self, EXEC_FAILED, FAILED, GO, STARTING, TOLD};
use super::{output, relay};
use crate::{Error, ErrorKind, Result, story};

/// Enough for a thread that copies with a buffer on the heap.
const STACK: usize = 128 << 10;

/// After so many `INT` and `TERM` in a row the container is killed: its process
/// 1 ignores both unless it has a handler (pid_namespaces(7)), and a person who
/// presses Ctrl-C three times wants it to end.
const PATIENCE: usize = 3;

/// How close together they must come. A program that handles Ctrl-C gets many
/// of them in its life.
const IN_A_ROW: Duration = Duration::from_secs(2);

/// How a container ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit status as a shell has it: the command's own, 128+n where
    /// signal n ended it, 127 where the command was not found, 126 where it
    /// could not be executed, 125 where the container could not be set up.
    pub status: u8,
    /// Why the command never started; `None` where it did.
    pub failure: Option<Error>,
    /// What of the output did not reach the log or our own output, and why. An
    /// output that its reader closed is not among it.
    pub lost: Vec<Error>,
}

impl Held {
    /// Lets the container go, and stays with it until its end.
    ///
    /// Its standard input is ours. Its output goes to our descriptors 1 and 2
    /// and to `log`. `HUP INT QUIT USR1 USR2 ALRM TERM CONT TSTP WINCH` are
    /// forwarded. Three `INT` or `TERM` within two seconds kill it, and so does
    /// a `HUP` that its process 1 does not handle: the terminal is gone. When it
    /// is dead, `INT`, `TERM` and `HUP` end the wait for whoever reads our
    /// output. Afterwards no process of the container is left and no zombie.
    /// Why a command never started stands in the log too, as a line on its
    /// standard error.
    ///
    /// # Errors
    /// Only where the supervision itself failed; the container is killed then.
    pub fn supervise(mut self, log: &LogWriter) -> Result<Ended> {
        let signals = self.signals.descriptor()?;
        let (stdout, stderr) = (self.container.stdout.take(), self.container.stderr.take());
        let pair = || pipe_with(PipeFlags::CLOEXEC).map_err(|error| Error::io("cannot make a pipe", error));
        // The copiers hold the one end of the first pipe until they are done, we that of the second
        // until nobody wants to wait for them any longer.
        let ((finished, copying), (give_up, patience)) = (pair()?, pair()?);
        let mut heard = Heard::default();
        let (watched, lost) = std::thread::scope(|scope| {
            let held = &self;
            let copy = |pipe, ours, stream| {
                let ends = Ends { ours, dead: held.container.pidfd.as_fd(), give_up: give_up.as_fd() };
                copier(scope, pipe, ends, stream, log, copying.try_clone())
            };
            let started = copy(stdout, stdio::stdout(), Stream::Stdout)
                .and_then(|out| Ok((out, copy(stderr, stdio::stderr(), Stream::Stderr)?)));
            drop(copying);
            let watched = started.and_then(|threads| {
                let mut stops = Stops { patience: Some(patience), recent: Vec::new() };
                held.watch(&signals, &mut heard, &mut stops)?;
                held.drain(&signals, finished.as_fd(), &mut stops)?;
                Ok(threads)
            });
            match watched {
                Ok((out, err)) => {
                    let mut lost = out.join().unwrap_or_default();
                    lost.extend(err.join().unwrap_or_default());
                    (Ok(()), lost)
                }
                // The threads end with the container.
                Err(error) => (Err(error.after_cleanup(held.container.kill())), Vec::new()),
            }
        });
        watched?;
        let status = self.container.reap()?;
        let ended = heard.conclude(&status, lost);
        if let Some(failure) = &ended.failure {
            log.append(Stream::Stderr, format!("mocker: {failure}\n").as_bytes())?;
        }
        story!("the container ended with status {}", ended.status);
        Ok(ended)
    }

    /// Says go, forwards signals and listens to the init stage, until process
    /// 1 has ended and with it every process of the container.
    fn watch(&self, signals: &SignalFd, heard: &mut Heard, stops: &mut Stops) -> Result<()> {
        story!("letting the container go");
        match (&self.container.control).write_all(&[GO]) {
            Ok(()) => {}
            // It is dead already, and has said why.
            Err(error) if error.kind() == IoErrorKind::BrokenPipe => {}
            Err(error) => return Err(Error::io("cannot let the container go", error)),
        }
        let mut listening = true;
        loop {
            let mut ready = [
                PollFd::new(&self.container.pidfd, PollFlags::IN),
                PollFd::new(signals, PollFlags::IN),
                PollFd::new(&self.container.control, PollFlags::IN),
            ];
            let watched = if listening { &mut ready[..] } else { &mut ready[..2] };
            match poll(watched, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(Error::io("cannot watch the container", error)),
            }
            let [ended, signalled, said] = ready.map(|descriptor| !descriptor.revents().is_empty());
            if said && listening {
                listening = heard.listen(&self.container.control)?;
            }
            if ended {
                // The other end of the socket is closed, so this comes to an end.
                while listening {
                    listening = heard.listen(&self.container.control)?;
                }
                return Ok(());
            }
            if signalled {
                self.forward(signals, stops)?;
            }
        }
    }

    fn forward(&self, signals: &SignalFd, stops: &mut Stops) -> Result<()> {
        let failed = |error: std::io::Error| Error::io("cannot forward a signal", error);
        while let Some(arrived) = signals.read_signal().map_err(|error| failed(error.into()))? {
            let number = i32::try_from(arrived.ssi_signo).unwrap_or_default();
            if stops.count(number) >= PATIENCE {
                story!("killing the container after {PATIENCE} requests to stop");
                stops.patience = None;
                return self.container.kill();
            }
            if number == Number::SIGHUP as i32 && !self.handles(number) {
                story!("killing the container: the terminal is gone, and its process 1 does not mind");
                stops.patience = None;
                return self.container.kill();
            }
            let Some(signal) = Signal::from_named_raw(number) else { continue };
            story!("forwarding signal {number} to the container");
            match pidfd_send_signal(&self.container.pidfd, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        Ok(())
    }

    /// Waits until all output has reached its reader, or somebody does not want
    /// to wait any longer.
    fn drain(&self, signals: &SignalFd, finished: BorrowedFd<'_>, stops: &mut Stops) -> Result<()> {
        let failed = |error: std::io::Error| Error::io("cannot wait for the output", error);
        loop {
            let mut ready =
                [PollFd::from_borrowed_fd(finished, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
            match poll(&mut ready, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(failed(error.into())),
            }
            let [done, signalled] = ready.map(|descriptor| !descriptor.revents().is_empty());
            if done {
                return Ok(());
            }
            while signalled && let Some(arrived) = signals.read_signal().map_err(|e| failed(e.into()))? {
                let number = i32::try_from(arrived.ssi_signo).unwrap_or_default();
                if stops.count(number) > 0 || number == Number::SIGHUP as i32 {
                    stops.patience = None;
                }
            }
        }
    }

    /// Whether process 1 of the container has a handler for a signal; the
    /// kernel does not deliver it otherwise (pid_namespaces(7)).
    fn handles(&self, signal: i32) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.container.identity.pid))
            .unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
        mask & (1 << (signal - 1)) != 0
    }
}

/// The requests to stop so far.
struct Stops {
    /// Dropped when nobody wants to wait for a reader of the output any longer.
    patience: Option<OwnedFd>,
    recent: Vec<Instant>,
}

impl Stops {
    /// Counts a signal; answers how many requests came close together.
    fn count(&mut self, signal: i32) -> usize {
        if ![Number::SIGINT as i32, Number::SIGTERM as i32].contains(&signal) {
            return 0;
        }
        self.recent.retain(|then| then.elapsed() < IN_A_ROW);
        self.recent.push(Instant::now());
        self.recent.len()
    }
}

/// Starts the thread that copies one of the container's outputs.
fn copier<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    pipe: Option<OwnedFd>,
    ends: Ends<'scope>,
    stream: Stream,
    log: &'env LogWriter,
    copying: std::io::Result<OwnedFd>,
) -> Result<std::thread::ScopedJoinHandle<'scope, Vec<Error>>> {
    let failed = |error| Error::io("cannot start a thread for the output", error);
    let copying = copying.map_err(failed)?;
    Builder::new()
        .stack_size(STACK)
        .spawn_scoped(scope, move || {
            let lost = pipe.map(|pipe| output::copy(pipe, &ends, stream, log)).unwrap_or_default();
            drop(copying);
            lost
        })
        .map_err(failed)
}

/// What the init stage has said so far.
#[derive(Default)]
struct Heard {
    arrived: Vec<u8>,
    starting: bool,
    failure: Option<Error>,
}

impl Heard {
    /// Takes in what the socket has; answers false at its end.
    fn listen(&mut self, mut control: &std::os::unix::net::UnixStream) -> Result<bool> {
        let mut buffer = [0; 4096];
        let length = match control.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == IoErrorKind::Interrupted => return Ok(true),
            // It died with unread words of ours in its socket.
            Err(error) if error.kind() == IoErrorKind::ConnectionReset => 0,
            Err(error) => return Err(Error::io("cannot listen to the container's init stage", error)),
        };
        self.arrived.extend_from_slice(&buffer[..length]);
        while let Some((tag, body)) = wire::take(&mut self.arrived) {
            match tag {
                STARTING => self.starting = true,
                TOLD => relay::retell(&body),
                FAILED => self.failure = wire::unpack_error(&body),
                EXEC_FAILED => {
                    let errno = body.try_into().map(i32::from_le_bytes).unwrap_or_default();
                    let error = std::io::Error::from_raw_os_error(errno);
                    self.failure = Some(
                        Error::io("cannot execute the program's own file as the init stage", error)
                            .with_hint("the file must be executable, and Linux 5.9 or newer"),
                    );
                }
                _ => {}
            }
        }
        Ok(length > 0)
    }

    fn conclude(self, status: &WaitIdStatus, lost: Vec<Error>) -> Ended {
        let own = match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => code,
            (None, Some(signal)) => 128 + signal,
            (None, None) => 255,
        };
        let failure = self.failure.or_else(|| {
            (!self.starting).then(|| {
                let text = format!("the container's init stage ended before the command, with status {own}");
                Error::new(ErrorKind::Io, text)
            })
        });
        let status = match failure.as_ref().map(Error::kind) {
            None => u8::try_from(own).unwrap_or(255),
            Some(ErrorKind::CommandNotFound) => 127,
            Some(ErrorKind::CommandNotExecutable) => 126,
            Some(_) => 125,
        };
        Ended { status, failure, lost }
    }
}
