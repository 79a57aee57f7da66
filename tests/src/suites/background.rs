//! Commands that go on while a case looks at them: they can be stopped, killed,
//! and waited for within a limit.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::Fixture;
use rustix::process::{Pid, Signal, kill_process};

/// Longer than any command takes on a busy machine. What is not done by then
/// hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A command of mocker on the root of the case.
pub(crate) fn mocker<W: AsRef<OsStr>>(fixture: &Fixture, words: &[W]) -> Command {
    at(fixture, fixture.root(), words)
}

/// A command of mocker on another root.
pub(crate) fn at<W: AsRef<OsStr>>(fixture: &Fixture, root: &Path, words: &[W]) -> Command {
    let mut command = Command::new(Fixture::program());
    command.args(words);
    surroundings(&mut command, fixture, root);
    command
}

/// A shell script in a mount namespace of its own, in which `$mocker` is the
/// program and `$1`, `$2`, … are `words`.
pub(crate) fn in_own_mounts<W: AsRef<OsStr>>(
    fixture: &Fixture,
    root: &Path,
    script: &str,
    words: &[W],
) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec", script, "sh"]).args(words);
    command.env("mocker", Fixture::program());
    surroundings(&mut command, fixture, root);
    command
}

fn surroundings(command: &mut Command, fixture: &Fixture, root: &Path) {
    // A group of its own, by which what it leaves behind can be found.
    command.process_group(0);
    command.env("MOCKER_ROOT", root).env("MOCKER_BACKEND", fixture.lane().backend());
}

/// A running command.
#[derive(Debug)]
pub(crate) struct Job {
    shown: String,
    child: Child,
    out: File,
    err: File,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct End {
    shown: String,
    /// The exit status, unless a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

/// Starts a command. Its output goes to files, so that whoever inherits them
/// cannot keep us waiting.
pub(crate) fn start(command: &mut Command) -> Job {
    let (out, err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let shown = format!("{:?}", command.get_args().collect::<Vec<_>>());
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
    let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    Job { shown, child, out, err }
}

/// Runs mocker to its end, on the root of the case.
pub(crate) fn run<W: AsRef<OsStr>>(fixture: &Fixture, words: &[W]) -> End {
    finish(&mut mocker(fixture, words))
}

/// Runs a command to its end.
pub(crate) fn finish(command: &mut Command) -> End {
    start(command).end()
}

impl Job {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).unwrap();
        // It may have ended; then it is a zombie of ours, which takes every signal.
        kill_process(pid, signal).unwrap();
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(self) -> End {
        self.signal(Signal::KILL);
        let ended = self.end();
        assert_eq!(ended.signal, Some(9), "it was over before it was killed: {ended:?}");
        ended
    }

    /// Waits for its end.
    pub(crate) fn end(self) -> End {
        self.end_within(LIMIT)
    }

    /// Waits for its end, and fails the case where that takes too long.
    pub(crate) fn end_within(mut self, limit: Duration) -> End {
        let started = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if started.elapsed() < limit => std::thread::sleep(Duration::from_millis(1)),
                None => panic!("{} still runs after {limit:?}; it said: {}", self.shown, self.said()),
            }
        };
        End {
            code: status.code(),
            signal: status.signal(),
            out: read(&self.out),
            err: self.said(),
            shown: std::mem::take(&mut self.shown),
        }
    }

    /// What it wrote to stderr so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&read(&self.err)).into_owned()
    }
}

/// Reads without moving the position, which the command's descriptor shares.
fn read(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // A case has failed; nothing of it may go on.
            let _ended = self.child.kill().and_then(|()| self.child.wait());
        }
    }
}

impl End {
    /// Asserts success; answers what it printed.
    #[track_caller]
    pub(crate) fn ok(&self) -> String {
        assert_eq!(self.code, Some(0), "{} failed: {}", self.shown, self.err);
        String::from_utf8_lossy(&self.out).trim().to_owned()
    }

    /// Asserts a failure of the engine that is clear; answers what it said.
    #[track_caller]
    pub(crate) fn refused(&self) -> &str {
        assert!(matches!(self.code, Some(1 | 2 | 125)), "{} was not refused: {self:?}", self.shown);
        assert!(self.out.is_empty(), "{} failed and printed: {self:?}", self.shown);
        self.clear();
        &self.err
    }

    /// Asserts a refusal that says what to do about it.
    #[track_caller]
    pub(crate) fn refused_with_a_hint(&self) -> &str {
        let said = self.refused();
        assert!(said.contains("\n  try: "), "{}: no way out is named: {said}", self.shown);
        said
    }

    /// Asserts that what it said is fit for people: no panic, no control
    /// characters, no words of the database.
    #[track_caller]
    pub(crate) fn clear(&self) {
        let Self { shown, err, signal, .. } = self;
        assert_eq!(*signal, None, "{shown} was ended by a signal: {err}");
        for word in ["panicked", "RUST_BACKTRACE", "database is locked", "this should not happen"] {
            assert!(!err.contains(word), "{shown} said: {err}");
        }
        assert!(!err.contains(|letter: char| letter.is_control() && letter != '\n'), "{shown} said: {err:?}");
    }
}

/// Waits until something holds, and fails the case where it never does.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < LIMIT, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
