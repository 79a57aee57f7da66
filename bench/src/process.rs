//! Whole processes as a user sees them: from before `fork` until they are
//! waited for, on a monotonic clock.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;

use crate::failure::{During, Failure, Result};

/// How long a process took, and what it printed.
#[derive(Debug)]
pub(crate) struct Timed {
    pub(crate) took: Duration,
    pub(crate) said: String,
}

/// Runs a command to its end. Any status but 0 is a failure.
///
/// What it prints goes into files in memory: a pipe would have to be read
/// meanwhile, and would stay open for as long as something in the background
/// holds it.
pub(crate) fn time(command: &mut Command) -> Result<Timed> {
    let describe = |command: &Command| format!("run {command:?}");
    let (mut out, mut err) = (memory_file()?, memory_file()?);
    let copy = |file: &File| file.try_clone().map(Stdio::from).during("duplicate a descriptor");
    command.stdin(Stdio::null()).stdout(copy(&out)?).stderr(copy(&err)?);
    let started = Instant::now();
    let status = command.status();
    let took = started.elapsed();
    let status = status.during(describe(command))?;
    let said = read_back(&mut out)?;
    if !status.success() {
        return Err(Failure::new(format!("{command:?} failed ({status}): {}", read_back(&mut err)?.trim())));
    }
    Ok(Timed { took, said })
}

/// As [`time`], for what is not measured: the answer is what was printed.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    time(command).map(|timed| timed.said.trim().to_owned())
}

/// A command that is given by the path of its program and its arguments.
pub(crate) fn command<A: AsRef<std::ffi::OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn memory_file() -> Result<File> {
    rustix::fs::memfd_create("mocker-bench", MemfdFlags::CLOEXEC)
        .map(File::from)
        .during("make a file in memory")
}

fn read_back(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).during("read what a program printed")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        command(Path::new("/bin/sh"), ["-c", script])
    }

    #[test]
    fn a_process_is_timed_to_its_end() {
        let timed = time(&mut shell("sleep 0.05; echo done")).unwrap();
        assert!(timed.took >= Duration::from_millis(50), "{timed:?}");
        assert_eq!(timed.said, "done\n");
    }

    #[test]
    fn what_stays_behind_is_not_waited_for() {
        let timed = time(&mut shell("sleep 5 & echo done")).unwrap();
        assert!(timed.took < Duration::from_secs(4), "{timed:?}");
    }

    #[test]
    fn a_failure_tells_what_the_program_said() {
        let error = time(&mut shell("echo no >&2; exit 3")).unwrap_err();
        assert!(error.to_string().ends_with("(exit status: 3): no"), "{error}");
    }
}
