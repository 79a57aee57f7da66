//! Names a process so that the name cannot come to mean another one.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result, story, trace};

/// How long a killed process may take to be gone, where somebody waits for just
/// that. It waits for its disk calls in the kernel, which a slow disk can make
/// long.
pub const PATIENT: Duration = Duration::from_secs(30);

/// The same for whoever has something else to do.
pub const HASTY: Duration = Duration::from_secs(2);

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
        match read_start(pid)? {
            Some(start_time) => Ok(Self { pid, start_time }),
            None => Err(Error::new(ErrorKind::NotFound, format!("no process {pid} exists"))),
        }
    }

    /// Whether the process still runs: all of its threads have to end. One that
    /// ended and was not yet waited for does not run.
    ///
    /// Where the kernel does not tell, the answer is yes, because it is asked
    /// in order not to disturb what may be alive.
    pub fn is_alive(&self) -> bool {
        let Some(pid) = self.checked_pid() else { return false };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => self.is_named_by_its_number() && !has_ended(&pidfd),
            Err(error) => error != Errno::SRCH,
        }
    }

    /// Whether the number still means the process that this was made of.
    fn is_named_by_its_number(&self) -> bool {
        match read_start(self.pid) {
            Ok(Some(start_time)) => start_time == self.start_time,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// The number, unless it means several processes or the first of all.
    fn checked_pid(&self) -> Option<Pid> {
        Some(self.pid).filter(|pid| *pid > 1).and_then(Pid::from_raw)
    }

    /// Kills the process and waits until it is gone; of a container, all of
    /// its processes are. Answers whether there was anything to kill.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`], and [`ErrorKind::Busy`] where it is not
    /// gone after `patience`.
    pub fn kill(&self, patience: Duration) -> Result<bool> {
        let failed = |error: Errno| Error::io(format!("cannot kill process {}", self.pid), error);
        let Some(pid) = self.checked_pid() else {
            return Err(Error::new(ErrorKind::InvalidInput, format!("{} is no container's pid", self.pid)));
        };
        // First the descriptor, then the comparison: what it holds cannot change afterwards.
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        if !self.is_named_by_its_number() || has_ended(&pidfd) {
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
        let limit = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
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

/// Whether a process has ended, with all of its threads: only then its
/// descriptor becomes readable (pidfd_open(2)). The state in `/proc` tells of
/// the first thread alone, which may end long before the others.
fn has_ended(pidfd: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
}

/// Reads when a process started; `None` where there is none.
fn read_start(pid: i32) -> Result<Option<u64>> {
    let path = format!("/proc/{pid}/stat");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => return Ok(None),
        Err(error) => return Err(Error::io(format!("cannot read {path}"), error)),
    };
    parse_start(&text)
        .map(Some)
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, format!("cannot understand {path}")))
}

/// The name of the program stands in parentheses and can hold anything, so the
/// fields are counted from the last closing one; the state is field 3.
fn parse_start(text: &[u8]) -> Option<u64> {
    let after_name = text.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = text.get(after_name..)?.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    str::from_utf8(fields.nth(22 - 3)?).ok()?.parse().ok()
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
        assert_eq!(parse_start(text), Some(987_654));
    }

    #[test]
    fn killing_ends_the_process_that_was_meant() {
        let mut child = sleeper();
        let identity = ProcessIdentity::of(child.id() as i32).unwrap();
        assert!(identity.is_alive());
        assert!(identity.kill(PATIENT).unwrap());
        assert!(!identity.is_alive(), "not yet waited for, and dead all the same");
        assert!(!identity.kill(PATIENT).unwrap());
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }

    /// A program whose first thread has ended, and which runs on: `/proc` calls
    /// it a zombie.
    const HEADLESS: &str = "import ctypes, platform, threading, time
threading.Thread(target=time.sleep, args=(100,)).start()
print(flush=True)
ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)";

    #[test]
    fn a_process_lives_for_as_long_as_any_of_its_threads() {
        use std::io::Read;
        let mut child = Command::new("python3")
            .args(["-c", HEADLESS])
            .stdout(Stdio::piped())
            .spawn()
            .expect("needs python3");
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let identity = ProcessIdentity::of(child.id() as i32).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        while !state().contains(") Z ") {
            std::thread::yield_now();
        }
        assert!(identity.is_alive());
        assert!(identity.kill(PATIENT).unwrap());
        assert!(!identity.is_alive());
        child.wait().unwrap();
    }

    #[test]
    fn a_number_that_came_back_is_another_process_and_lives_on() {
        let mut child = sleeper();
        let now = ProcessIdentity::of(child.id() as i32).unwrap();
        let before = ProcessIdentity { start_time: now.start_time - 1, ..now };
        assert!(!before.is_alive());
        assert!(!before.kill(PATIENT).unwrap());
        assert!(now.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn groups_and_everybody_are_no_process() {
        for pid in [-1, 0, 1] {
            let error = ProcessIdentity { pid, start_time: 0 }.kill(PATIENT).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    }
}
