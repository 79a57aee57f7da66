//! A command of the program under test: its surroundings, its run, its end.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::fixture::Fixture;

/// Longer than any command takes. What is not done by then hangs, and would
/// keep the whole run from its end.
const LIMIT: Duration = Duration::from_secs(300);

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit status; 128 and the number where a signal ended it.
    pub code: i32,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// The standard output as text, without the white space at its ends.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// Asserts that what it said is fit for people, whether it succeeded or not.
    #[track_caller]
    pub(crate) fn clear(&self) {
        assert!(self.code < 126 || !self.stderr.is_empty(), "it ended with {} and said nothing", self.code);
        assert!(!self.err().contains("panicked"), "it said: {}", self.err());
    }

    /// The standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// A command that is about to run.
#[derive(Debug)]
pub struct Call<'a> {
    fixture: &'a Fixture,
    command: Command,
    stdin: Vec<u8>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(fixture: &'a Fixture, command: Command) -> Self {
        Self { fixture, command, stdin: Vec::new() }
    }
}

impl Call<'_> {
    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes a variable out of its environment.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// What it reads.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Runs it to its end, or kills it when that never comes.
    pub fn run(mut self) -> Output {
        let words: Vec<OsString> = self.command.get_args().map(OsStr::to_owned).collect();
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("start the program under test");
        let mut pipe = child.stdin.take().expect("a pipe to it");
        let bytes = std::mem::take(&mut self.stdin);
        let writer = std::thread::spawn(move || {
            // It need not read everything.
            let _written = pipe.write_all(&bytes);
        });
        let (over, is_over) = mpsc::channel::<()>();
        let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).expect("a handle to it");
        let watcher = std::thread::spawn(move || {
            let hangs = is_over.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout);
            hangs && pidfd_send_signal(&handle, Signal::KILL).is_ok()
        });
        let output = child.wait_with_output().expect("wait for the program under test");
        drop(over);
        let killed = watcher.join().expect("the watching thread");
        writer.join().expect("the writing thread");
        let code =
            output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code_shown = if killed { format!("killed after {LIMIT:?}") } else { code.to_string() };
        self.fixture.note(format!("$ mocker {} → {code_shown}\n{said}", shown(&words)));
        Output { code, stdout: output.stdout, stderr: output.stderr }
    }
}

pub(crate) fn shown<W: AsRef<OsStr>>(words: &[W]) -> String {
    words.iter().map(|word| word.as_ref().to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
