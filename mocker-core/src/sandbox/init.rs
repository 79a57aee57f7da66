//! The init stage: from a fresh process in new namespaces to the command.
//!
//! It starts as process 1 of the container, which still sees the host's files,
//! and can do anything. Until it gives up its rights it executes nothing,
//! loads nothing and believes nothing that comes from the image. What does not
//! depend on the order it makes before the order comes, and everything before
//! the supervisor says go; what is left is the exec.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::signal::SigSet;
use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{
    DumpableBehavior, Signal, getpid, set_dumpable_behavior, set_parent_process_death_signal, setsid, umask,
};
use rustix::stdio;
use rustix::thread::set_name;

use super::command::Command;
use super::devices::Devices;
use super::mounts::KernelViews;
use super::wire::{self, BUILD, FAILED, GO, STARTING, shown};
use super::{Network, Spec, capabilities, mounts, relay, root, sys, user};
use crate::{Error, ErrorKind, Result, story};

/// The name under which the program is executed as the init stage.
pub(super) const NAME: &str = "mocker-init";
/// Its argument for [`Network::None`].
const NO_NETWORK: &str = "none";

/// What the process ends with when the command never started.
const FAILURE: i32 = 125;

/// Becomes a container's command, if this process was started to be one, and
/// then never returns; otherwise does nothing.
///
/// To be called first thing in `main` by every program that calls
/// [`spawn`](super::spawn()), before any thread exists.
pub fn run_init_stage_if_asked() {
    let mut args = std::env::args_os();
    // Whoever takes the name without being process 1 has no namespaces of its own to build in.
    if args.next().is_none_or(|name| name != NAME) || !getpid().is_init() {
        return;
    }
    run(args.next(), args.next(), args.next());
    #[expect(clippy::exit, reason = "the process has no other purpose, and no caller to return to")]
    std::process::exit(FAILURE);
}

/// The whole life of the stage; returns only where there is no command. Its
/// arguments are those of [`argv`].
fn run(control: Option<OsString>, verbosity: Option<OsString>, network: Option<OsString>) {
    // Nobody may look into this process, and it must not survive its supervisor.
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok()
        && set_parent_process_death_signal(Some(Signal::KILL)).is_ok();
    let number = |text: Option<OsString>| text?.to_str()?.parse().ok();
    let control = number(control).and_then(|number| sys::adopt(number).ok());
    let (true, Some(control), Some(verbosity)) = (hidden, control, number(verbosity)) else { return };
    let mut control = UnixStream::from(control);
    if verbosity > 0
        && let Ok(control) = control.try_clone()
    {
        let verbosity = u8::try_from(verbosity).unwrap_or(u8::MAX);
        // Cannot fail: this is the first and only one in the process.
        let _set = tracing::subscriber::set_global_default(relay::Relay { control, verbosity });
    }
    let network = if network.is_some_and(|word| word == NO_NETWORK) { Network::None } else { Network::Host };
    let failure = match prepare(&mut control, network) {
        Ok(Some(command)) => start(&command, &control),
        // The supervisor is gone, and nobody is left to report to.
        Ok(None) => return,
        Err(error) => error,
    };
    // If it does not arrive, then because nobody is there to read it.
    let _sent = wire::send(&control, FAILED, &wire::pack_error(&failure));
}

/// Does all but the last step, as the supervisor says; `None` where it has
/// nothing to say any more.
fn prepare(control: &mut UnixStream, network: Network) -> Result<Option<Command>> {
    let Some(spec) = wire::receive_order(&*control) else { return Ok(None) };
    let ready = Ready::make(&spec, network)?;
    let Some(tree) = wire::receive_tree(control) else { return Ok(None) };
    ready.command.read_ahead(tree.as_fd());
    if !hears(control, BUILD) {
        return Ok(None);
    }
    let command = ready.build(&spec, &tree)?;
    // Had the supervisor died before the parent-death signal was set, and after it said go, the message
    // STARTING would not find it any more, and nothing would start.
    Ok(hears(control, GO).then_some(command))
}

/// The argument vector of the stage.
pub(super) fn argv(control: RawFd, verbosity: u8, network: Network) -> [String; 4] {
    let network = match network {
        Network::None => NO_NETWORK,
        Network::Host => "host",
    };
    [NAME.to_owned(), control.to_string(), verbosity.to_string(), network.to_owned()]
}

/// All of a container that does not depend on its tree, made while the
/// supervisor sees to that.
struct Ready {
    devices: Devices,
    views: KernelViews,
    files: Vec<OwnedFd>,
    command: Command,
}

impl Ready {
    fn make(spec: &Spec, network: Network) -> Result<Self> {
        let _shown_by_ps = set_name(c"mocker-init");
        let command = Command::new(&spec.argv, &spec.env)?;
        mounts::make_private()?;
        umask(Mode::empty());
        story!("making /dev, /proc and /sys of the container");
        // What must come from the host is taken while it is in sight.
        let (devices, views) = (Devices::make()?, KernelViews::make()?);
        let files = mounts::make_files(&spec.files)?;
        mounts::leave_host()?;
        if network == Network::None {
            bring_loopback_up()?;
        }
        // A session of its own, so that a terminal's Ctrl-C comes through the supervisor only.
        setsid().map_err(|error| Error::io("cannot start a session", error))?;
        sys::join_new_session_keyring().map_err(|error| Error::io("cannot make a session keyring", error))?;
        Ok(Self { devices, views, files, command })
    }

    /// Builds the container around this process, and cuts its rights.
    fn build(self, spec: &Spec, tree: &OwnedFd) -> Result<Command> {
        story!("making the container's tree the root directory");
        let root = mounts::enter(tree.as_fd())?;
        mounts::bind_files(root.as_fd(), &spec.files, &self.files)?;
        let dev = self.devices.put_in_place(root.as_fd())?;
        self.views.put_in_place(root.as_fd(), dev.as_fd())?;
        rustix::system::sethostname(spec.hostname.as_bytes()).map_err(|error| {
            Error::io(format!("cannot set the host name '{}'", shown(OsStr::new(&spec.hostname))), error)
                .with_hint("it has at most 64 bytes")
        })?;
        umask(Mode::WGRP | Mode::WOTH);

        let identity = user::look_up(root.as_fd(), &spec.user)?;
        enter_working_directory(&root, &spec.cwd)?;
        let mut command = self.command;
        if !spec.env.iter().any(|(name, _)| name == b"HOME") {
            command.set("HOME", &identity.home)?;
        }
        own_the_pipes(identity.uid)?;
        story!("giving up all rights but a container's, as user {}", identity.uid);
        capabilities::give_up_rights(&identity)?;
        set_parent_process_death_signal(Some(Signal::KILL))
            .map_err(|error| Error::io("cannot tie the container to its supervisor", error))?;
        Ok(command)
    }
}

/// Waits for a word of the supervisor; whether it was that.
fn hears(control: &mut UnixStream, wanted: u8) -> bool {
    let mut word = [0];
    control.read_exact(&mut word).is_ok() && word[0] == wanted
}

/// Becomes the command; comes back with the reason why not.
fn start(command: &Command, control: &UnixStream) -> Error {
    let clean = || -> std::io::Result<()> {
        sys::default_dispositions();
        SigSet::empty().thread_set_mask()?;
        wire::send(control, STARTING, &[])?;
        // The control socket too: its end tells the supervisor that the exec went well.
        sys::close_on_exec_from(3)
    };
    match clean() {
        Ok(()) => command.exec(),
        Err(error) => Error::io("cannot clean up before the command", error),
    }
}

/// Makes the container's user the owner of the pipes that it reads and writes,
/// so that it can open `/dev/stdout` too, as programs that log do. A pipe that
/// has a name on some file system is left alone.
fn own_the_pipes(uid: u32) -> Result<()> {
    /// `PIPEFS_MAGIC` of linux/magic.h.
    const PIPES: i128 = 0x5049_5045;
    for descriptor in [stdio::stdin(), stdio::stdout(), stdio::stderr()] {
        let own = || {
            if i128::from(rustix::fs::fstatfs(descriptor)?.f_type) == PIPES {
                rustix::fs::fchown(descriptor, Some(rustix::fs::Uid::from_raw(uid)), None)?;
            }
            Ok::<_, rustix::io::Errno>(())
        };
        own().map_err(|error| Error::io("cannot hand the pipes to the container's user", error))?;
    }
    Ok(())
}

fn bring_loopback_up() -> Result<()> {
    let up = || -> std::io::Result<()> {
        let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        sys::loopback_up(socket.as_fd())
    };
    up().map_err(|error| Error::io("cannot switch the loopback interface on", error))
}

/// Enters the directory and makes sure that it lies inside the root: one
/// outside has no path, and the kernel says so (CVE-2024-21626; getcwd(2)).
fn enter_working_directory(root: &OwnedFd, path: &Path) -> Result<()> {
    let failed = |error| Error::io(format!("cannot enter the working directory {}", shown(path)), error);
    if !path.is_absolute() {
        let text = format!("the working directory '{}' is not an absolute path", shown(path));
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    let directory = root::working_directory(root.as_fd(), path)?;
    rustix::process::fchdir(directory).map_err(failed)?;
    let real = rustix::process::getcwd(Vec::new()).map_err(failed)?;
    if !real.to_bytes().starts_with(b"/") {
        let text = format!("the working directory {} lies outside the container", shown(path));
        return Err(Error::new(ErrorKind::Conflict, text));
    }
    Ok(())
}
