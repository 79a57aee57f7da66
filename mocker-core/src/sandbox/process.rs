//! Names a process so that the name cannot come to mean another one.

use std::fs;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result, story, trace};

/// How long a killed process may take to be gone. It waits for its disk calls
/// in the kernel, which a slow disk can make long.
const GONE_WITHIN_SECONDS: i64 = 30;

/// A process by its number and its start, which together never come back
/// before a reboot; compare the boot id where one may lie between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The number, in the pid namespace of whoever made this.
    pub pid: i32,
    /// When it started, in clock ticks since boot: field 22 of
    /// `/proc/PID/stat` (proc_pid_stat(5)).
    pub start_time: u64,
}

impl ProcessIdentity {
    /// The identity of the process that has this number now.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none.
    pub(super) fn of(pid: i32) -> Result<Self> {
        match read_stat(pid)? {
            Some(stat) => Ok(Self { pid, start_time: stat.start_time }),
            None => Err(Error::new(ErrorKind::NotFound, format!("no process {pid} exists"))),
        }
    }

    /// Whether the process still runs. One that ended and was not yet waited
    /// for does not; where `/proc` cannot be read the answer is yes, because
    /// it is asked in order not to disturb what may be alive.
    pub fn is_alive(&self) -> bool {
        match read_stat(self.pid) {
            Ok(Some(stat)) => stat.start_time == self.start_time && !stat.ended,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// Kills the process and waits until it is gone; of a container, all of
    /// its processes are. Answers whether there was anything to kill.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`], and [`ErrorKind::Busy`] where it is not
    /// gone after half a minute.
    pub fn kill(&self) -> Result<bool> {
        let failed = |error: Errno| Error::io(format!("cannot kill process {}", self.pid), error);
        // Negative numbers and 0 mean groups, and 1 is never a container.
        let Some(pid) = Some(self.pid).filter(|pid| *pid > 1).and_then(Pid::from_raw) else {
            return Err(Error::new(ErrorKind::InvalidInput, format!("{} is no container's pid", self.pid)));
        };
        // First the descriptor, then the comparison: what it holds cannot change afterwards.
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        if !self.is_alive() {
            return Ok(false);
        }
        story!("killing process {}, which a container left behind", self.pid);
        let sent =
            trace::kernel_call("pidfd_send_signal(2)", format_args!("process {}, SIGKILL", self.pid), || {
                pidfd_send_signal(&pidfd, Signal::KILL)
            });
        match sent {
            Ok(()) => {}
            Err(Errno::SRCH) => return Ok(false),
            Err(error) => return Err(failed(error)),
        }
        let limit = Timespec { tv_sec: GONE_WITHIN_SECONDS, tv_nsec: 0 };
        loop {
            match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)) {
                Ok(0) => {
                    let text = format!("process {} was killed and is not gone yet", self.pid);
                    return Err(Error::new(ErrorKind::Busy, text)
                        .with_hint("it waits for the kernel, often for a disk; try again later"));
                }
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

struct Stat {
    start_time: u64,
    ended: bool,
}

/// Reads what `/proc` says about a process; `None` where there is none.
fn read_stat(pid: i32) -> Result<Option<Stat>> {
    let path = format!("/proc/{pid}/stat");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => return Ok(None),
        Err(error) => return Err(Error::io(format!("cannot read {path}"), error)),
    };
    parse_stat(&text)
        .map(Some)
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("cannot understand {path}")))
}

/// The name of the program stands in parentheses and can hold anything, so the
/// fields are counted from the last closing one; the state is field 3.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let after_name = text.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = text.get(after_name..)?.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let state = fields.next()?;
    let start_time = str::from_utf8(fields.nth(22 - 3 - 1)?).ok()?.parse().ok()?;
    Some(Stat { start_time, ended: matches!(state, b"Z" | b"X") })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn sleeper() -> std::process::Child {
        Command::new("sleep").arg("100").stdout(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn a_program_name_full_of_parentheses_is_understood() {
        let text = b"7 (a) Z 1 ) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.start_time, stat.ended), (987_654, false));
    }

    #[test]
    fn killing_ends_the_process_that_was_meant() {
        let mut child = sleeper();
        let identity = ProcessIdentity::of(child.id() as i32).unwrap();
        assert!(identity.is_alive());
        assert!(identity.kill().unwrap());
        assert!(!identity.is_alive(), "not yet waited for, and dead all the same");
        assert!(!identity.kill().unwrap());
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }

    #[test]
    fn a_number_that_came_back_is_another_process_and_lives_on() {
        let mut child = sleeper();
        let now = ProcessIdentity::of(child.id() as i32).unwrap();
        let before = ProcessIdentity { start_time: now.start_time - 1, ..now };
        assert!(!before.is_alive());
        assert!(!before.kill().unwrap());
        assert!(now.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn groups_and_everybody_are_no_process() {
        for pid in [-1, 0, 1] {
            let error = ProcessIdentity { pid, start_time: 0 }.kill().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    }
}
