//! Forks the container: new namespaces, and in them the init stage, which
//! waits for the word to go.

use std::ffi::CString;
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid};

use super::cgroup::Cgroup;
use super::command::Command;
use super::mounts::READ_ONLY;
use super::process::ProcessIdentity;
use super::signals::HeldBack;
use super::stdin::Input;
use super::sys::{self, Launch};
use super::wire;
use super::{Network, Spec, init, relay};
use crate::{Error, ErrorKind, Result, notice, story, trace};

/// A container that is forked and waits for the word to go.
///
/// Dropping it kills the container and waits for its end. It stays on the
/// thread that made it, because the container dies with that thread (prctl(2),
/// `PR_SET_PDEATHSIG`). Signals that a container gets forwarded are held back
/// for as long as this lives.
#[derive(Debug)]
pub struct Held {
    pub(super) identity: ProcessIdentity,
    pub(super) pidfd: OwnedFd,
    pub(super) control: UnixStream,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    pub(super) signals: HeldBack,
    stdin: Option<Input>,
    cgroup: Option<Cgroup>,
    reaped: bool,
    on_one_thread: PhantomData<*const ()>,
}

/// Forks a container that will run `spec` in `tree`, and stops short of the
/// command.
///
/// `tree` is a detached mount, whose `/proc`, `/sys` and `/dev` exist; it
/// becomes the container's root. The caller's descriptor of it may be closed
/// afterwards. `lock` is a descriptor by whose lock others know that the caller
/// lives: the container must not have it for a moment.
///
/// The container is built at once, while the caller can write down its
/// [`Held::identity`]; nothing of the image is executed before
/// [`Held::supervise`]. What fails in the container is reported there. The
/// calling program must call
/// [`run_init_stage_if_asked`](super::run_init_stage_if_asked) first thing in
/// `main`. Needs Linux 5.12.
///
/// # Errors
/// [`ErrorKind::Conflict`] where the process has more than one thread;
/// [`ErrorKind::InvalidInput`] for an order that cannot be carried out, such
/// as a NUL in an argument; [`ErrorKind::PermissionDenied`] without root;
/// [`ErrorKind::Unsupported`] on a kernel that is too old. Nothing is left
/// running.
pub fn spawn(spec: &Spec, tree: BorrowedFd<'_>, lock: BorrowedFd<'_>) -> Result<Held> {
    refuse_threads()?;
    // The init stage would find the same, but later and more expensively.
    Command::new(&spec.argv, &spec.env)?;
    let program = own_program()?;
    let (ours, theirs) =
        UnixStream::pair().map_err(|error| Error::io("cannot make a control socket", error))?;
    let pipe = || {
        pipe_with(PipeFlags::CLOEXEC).map_err(|error| Error::io("cannot make a pipe for the output", error))
    };
    let ((stdout, their_stdout), (stderr, their_stderr)) = (pipe()?, pipe()?);
    let argv = [init::NAME.to_owned(), theirs.as_raw_fd().to_string(), tree.as_raw_fd().to_string()]
        .map(CString::new)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::io("cannot name the init stage", io::Error::other(error)))?;
    let mut namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWPID;
    let mut names = "mount, UTS, IPC, PID".to_owned();
    if spec.network == Network::None {
        namespaces |= libc::CLONE_NEWNET;
        names.push_str(", network");
    }

    story!("forking the container into new namespaces: {names}");
    let signals = HeldBack::begin()?;
    let stdin = Input::guarded()?;
    let cgroup = spec.cgroup.as_deref().map(Cgroup::make).transpose()?.flatten();
    let entrance = match &cgroup {
        Some(group) => group.entrance()?,
        None => None,
    };
    let launch = Launch {
        program: program.as_fd(),
        kept: [theirs.as_fd(), tree],
        control: theirs.as_fd(),
        lock,
        stdin: stdin.as_ref().map(Input::descriptor),
        stdout: their_stdout.as_fd(),
        stderr: their_stderr.as_fd(),
        argv: &argv,
        namespaces,
        cgroup: entrance.as_ref().map(AsFd::as_fd),
    };
    let (pid, pidfd) = trace::kernel_call("clone3(2)", format_args!("new {names}, CLONE_PIDFD"), || {
        sys::clone_and_exec(&launch)
    })
    .map_err(|error| {
        let removed = cgroup.as_ref().map_or(Ok(()), Cgroup::remove);
        explain(Error::io("cannot make namespaces for the container", error)).after_cleanup(removed)
    })?;
    let mut held = Held {
        // Replaced at once; until then dropping `held` must already end the process.
        identity: ProcessIdentity { pid, start_time: 0 },
        pidfd,
        control: ours,
        stdout: Some(stdout),
        stderr: Some(stderr),
        signals,
        stdin,
        cgroup,
        reaped: false,
        on_one_thread: PhantomData,
    };
    held.identity = ProcessIdentity::of(pid)?;
    if let Some(group) = &held.cgroup {
        group.admit(pid)?;
    }
    match wire::send_order(&held.control, spec, relay::verbosity()) {
        Ok(()) => Ok(held),
        // It is dead already, and `supervise` finds out why.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => Ok(held),
        Err(error) => Err(Error::io("cannot hand the container its order", error)),
    }
}

impl Held {
    /// The container's process 1, by which a later process can find and kill
    /// it. To be written down before [`Held::supervise`].
    pub fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    /// Kills the container: the kernel takes all its processes along
    /// (pid_namespaces(7)).
    pub(super) fn kill(&self) -> Result<()> {
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(Error::io("cannot kill the container", error)),
        }
    }

    /// Waits for the end of process 1 and takes its status, so that no zombie stays.
    pub(super) fn reap(&mut self) -> Result<WaitIdStatus> {
        let failed = |error| Error::io("cannot wait for the container", error);
        loop {
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Ok(Some(status)) => {
                    self.reaped = true;
                    self.stdin.take().into_iter().for_each(Input::give_back);
                    if let Some(Err(error)) = self.cgroup.take().map(|group| group.remove()) {
                        notice!("{error}");
                    }
                    return Ok(status);
                }
                // waitid(2) answers without a status only when asked not to wait.
                Ok(None) => poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], None).map_err(failed)?,
                Err(rustix::io::Errno::INTR) => 0,
                Err(error) => return Err(failed(error)),
            };
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.reaped && self.kill().is_ok() {
            // Nobody is left to tell it to; the parent-death signal stays in force.
            let _status = self.reap();
        }
    }
}

/// How long a thread that was joined may still be seen: the kernel wakes the
/// joiner a moment before it takes the thread away (`mm_release` in
/// kernel/fork.c).
const THREAD_GONE_WITHIN: Duration = Duration::from_secs(1);

/// Refuses to fork where other threads run: the copy would have their locks
/// and not them.
fn refuse_threads() -> Result<()> {
    let started = Instant::now();
    let threads = loop {
        let threads = fs::read_dir("/proc/self/task")
            .map_err(|error| Error::io("cannot count the threads in /proc/self/task", error))?
            .count();
        if threads == 1 {
            return Ok(());
        }
        if started.elapsed() > THREAD_GONE_WITHIN {
            break threads;
        }
        std::thread::sleep(Duration::from_micros(50));
    };
    let text = format!("cannot fork a container from a process with {threads} threads");
    Err(Error::new(ErrorKind::Conflict, text).with_hint("shut the runtime down before the container starts"))
}

/// Our own program file as a read-only detached mount, so that the container
/// can never reach the host's file through `/proc/self/exe` (CVE-2019-5736).
fn own_program() -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let program = trace::kernel_call("open_tree(2)", "/proc/self/exe, OPEN_TREE_CLONE", || {
        open_tree(CWD, "/proc/self/exe", flags)
    })
    .map_err(|error| {
        let error = explain(Error::io("cannot bind the program's own file", error));
        match error.kind() {
            ErrorKind::InvalidInput => error.with_hint(
                "its file system is not mounted in this mount namespace; start the program from a file that is",
            ),
            _ => error,
        }
    })?;
    trace::kernel_call("mount_setattr(2)", "the program's own file, read-only", || {
        sys::mount_setattr(program.as_fd(), READ_ONLY)
    })
    .map_err(|error| explain(Error::io("cannot make the program's own file read-only", error)))?;
    Ok(program)
}

/// Adds the way out to what the kernel refuses.
fn explain(error: Error) -> Error {
    match error.kind() {
        ErrorKind::PermissionDenied => error.with_hint("run it as root, for example with sudo"),
        ErrorKind::Unsupported => error.with_hint("Linux 5.12 or newer is needed"),
        ErrorKind::NoSpace => error.with_hint("raise the limits in /proc/sys/user/max_*_namespaces"),
        _ => error,
    }
}
