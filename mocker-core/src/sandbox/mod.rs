//! Runs one command in namespaces of its own, in a directory that becomes its
//! root.
//!
//! Two processes of ours take part. The **supervisor** is the caller: a
//! process with a single thread, which [`spawn`]s the container, gives it its tree
//! in [`Spawned::show`], lets it be built in [`Spawned::build`], stays with it in
//! [`Held::supervise`], and takes it along when it dies. The **init stage** is the
//! same program again, executed from a read-only detached bind inside the new
//! namespaces (see [`run_init_stage_if_asked`]); it builds the root, gives up its
//! rights and becomes the command, which so is process 1.
//!
//! The container dies with its supervisor, by a parent-death signal. A command
//! can shed that (prctl(2), `PR_SET_PDEATHSIG`; the kernel forgets it too when
//! the command changes its own user id). Therefore whoever finds a container
//! without a supervisor kills it by its [`ProcessIdentity`] before anything
//! else.

mod capabilities;
mod cgroup;
mod command;
mod devices;
mod init;
mod log;
mod mounts;
mod output;
mod process;
mod relay;
mod root;
mod signals;
mod spawn;
mod stdin;
mod supervise;
pub(crate) mod sys;
mod user;
mod wire;

use std::ffi::OsString;
use std::path::PathBuf;

pub use cgroup::Cgroup;
pub use init::run_init_stage_if_asked;
pub use log::{LogReader, LogWriter, Record, Stream};
pub use process::{HASTY, PATIENT, ProcessIdentity};
pub use spawn::{Held, Spawned, spawn};
pub use supervise::Ended;

/// What to run, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The command and its arguments; not empty. A command without a slash is
    /// looked up in the `PATH` of [`Spec::env`], inside the root.
    pub argv: Vec<OsString>,
    /// The whole environment, names and values. Only `HOME` is added, from the
    /// image's `/etc/passwd`, where it is missing.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// The working directory, absolute, in the container. It must exist.
    pub cwd: PathBuf,
    /// Whose rights the command has: empty for root, or `name`, `uid`,
    /// `name:group`, `uid:gid` and their mixtures, as in an OCI image config.
    pub user: String,
    /// The host name, at most 64 bytes.
    pub hostname: String,
    /// Files of the engine to be seen in the container.
    pub files: Vec<BoundFile>,
    /// Which network the container sees.
    pub network: Network,
    /// The name of a control group to be made for the container, so that it
    /// can be paused; see [`Cgroup::of`]. Where no hierarchy can be written to
    /// it runs without one.
    pub cgroup: Option<String>,
}

/// Which network a container sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// The host's.
    #[default]
    Host,
    /// A new one that has nothing but a loopback interface.
    None,
}

/// A file in memory, bind-mounted over one of the container. What is written
/// into it is gone with the container's processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundFile {
    /// What is in it at first. It belongs to root, mode 0644.
    pub content: Vec<u8>,
    /// The regular file in the container that it covers; symbolic links on the
    /// way are resolved inside the root.
    pub target: PathBuf,
}
