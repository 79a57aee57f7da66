//! Forks the container: new namespaces, and in them the init stage, which is
//! told step by step what to do.

use std::ffi::CString;
use std::fs;
use std::io::{self, Write};
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
use super::signals::{HeldBack, KeptStatuses};
use super::stdin::Input;
use super::sys::{self, Launch};
use super::wire::{self, BUILD};
use super::{Network, Spec, init, relay};
use crate::{Error, ErrorKind, Result, notice, story, trace};

/// A container that is forked and waits for its tree.
///
/// Dropping it kills the container and waits for its end. It stays on the
/// thread that made it, because the container dies with that thread (prctl(2),
/// `PR_SET_PDEATHSIG`).
#[derive(Debug)]
pub struct Spawned {
    pub(super) identity: ProcessIdentity,
    pub(super) pidfd: OwnedFd,
    pub(super) control: UnixStream,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
    stdin: Option<Input>,
    cgroup: Option<Cgroup>,
    reaped: bool,
    _statuses: KeptStatuses,
    on_one_thread: PhantomData<*const ()>,
}

/// A container that is built, and waits for the word to go.
///
/// As with [`Spawned`], dropping it ends the container. Signals that a
/// container gets forwarded are held back for as long as this lives.
#[derive(Debug)]
pub struct Held {
    pub(super) container: Spawned,
    pub(super) signals: HeldBack,
}

/// Forks a container that will run `spec`; it makes ready all that does not
/// depend on its tree, while the caller sees to that.
///
/// `lock` is a descriptor by whose lock others know that the caller lives: the
/// container must not have it for a moment.
///
/// Nothing of the image is executed before [`Held::supervise`]. What fails in
/// the container is reported there. The calling program must call
/// [`run_init_stage_if_asked`](super::run_init_stage_if_asked) first thing in
/// `main`. Needs Linux 5.12.
///
/// # Errors
/// [`ErrorKind::Conflict`] where the process has more than one thread;
/// [`ErrorKind::InvalidInput`] for an order that cannot be carried out, such
/// as a NUL in an argument; [`ErrorKind::PermissionDenied`] without root; [`ErrorKind::Unsupported`] on
/// a kernel that is too old. Nothing is left running.
pub fn spawn(spec: &Spec, lock: BorrowedFd<'_>) -> Result<Spawned> {
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
    let argv = init::argv(theirs.as_raw_fd(), relay::verbosity(), spec.network)
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
    let statuses = KeptStatuses::begin();
    let stdin = Input::guarded()?;
    let cgroup = spec.cgroup.as_deref().map(Cgroup::make).transpose()?.flatten();
    let entrance = match &cgroup {
        Some(group) => group.entrance()?,
        None => None,
    };
    let launch = Launch {
        program: program.as_fd(),
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
    let mut spawned = Spawned {
        // Replaced at once; until then dropping it must already end the process.
        identity: ProcessIdentity { pid, start_time: 0 },
        pidfd,
        control: ours,
        stdout: Some(stdout),
        stderr: Some(stderr),
        stdin,
        cgroup,
        reaped: false,
        _statuses: statuses,
        on_one_thread: PhantomData,
    };
    spawned.identity = ProcessIdentity::of(pid)?;
    if let Some(group) = &spawned.cgroup {
        group.admit(pid)?;
    }
    spawned.tell(|control| wire::send_order(control, spec))?;
    Ok(spawned)
}

impl Spawned {
    /// The container's process 1, by which a later process can find and kill
    /// it. To be written down at once.
    pub fn identity(&self) -> ProcessIdentity {
        self.identity
    }

    /// Gives the container its tree, a detached mount, which becomes its root.
    /// Nothing is done in it yet, but the program of the command is read ahead.
    /// The caller's descriptor may be closed afterwards.
    ///
    /// # Errors
    /// Those of a socket.
    pub fn show(&self, tree: BorrowedFd<'_>) -> Result<()> {
        self.tell(|control| wire::send_tree(control, tree))
    }

    /// Lets the container be built in the tree that it was given, whose
    /// `/proc`, `/sys` and `/dev` exist, up to the command.
    ///
    /// # Errors
    /// Those of a socket. The container is killed then.
    pub fn build(self) -> Result<Held> {
        let signals = HeldBack::begin()?;
        self.tell(|mut control| control.write_all(&[BUILD]))?;
        Ok(Held { container: self, signals })
    }

    /// Tells the init stage something. Where it is dead already, `supervise`
    /// finds out why.
    fn tell(&self, something: impl FnOnce(&UnixStream) -> io::Result<()>) -> Result<()> {
        match something(&self.control) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => Ok(()),
            outcome => outcome.map_err(|error| Error::io("cannot hand the container its order", error)),
        }
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

impl Held {
    /// That of [`Spawned::identity`].
    pub fn identity(&self) -> ProcessIdentity {
        self.container.identity
    }
}

impl Drop for Spawned {
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
