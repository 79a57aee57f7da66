//! The file system that everything is measured on: a btrfs in a file, made and
//! mounted as mocker's own pool is, and taken away at the end.
//!
//! It is mounted in a mount namespace of our own, its loop device goes with
//! the last mount, and a janitor in the background removes the scratch
//! directory when the pipe from us breaks. So nothing stays behind however
//! this program ends.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::CloneFlags;
use rustix::mount::{MountPropagationFlags, UnmountFlags};

use crate::failure::{During, Result, ensure};
use crate::process::{command, run};
use crate::programs::Programs;

/// What mocker's pool is made and mounted with.
const FORMAT: [&str; 7] = ["-q", "-n", "4096", "-m", "single", "-d", "single"];
const OPTIONS: &str = "noatime,nosuid,nodev,discard=async";

/// The size that the sparse file promises.
const SIZE: u64 = 8 << 30;

/// What the workloads occupy at most at one time, with room to spare.
const NEEDED: u64 = 4 << 30;

/// How long the file system may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(60);

/// The mounted file system, and a scratch directory on the host's.
#[derive(Debug)]
pub(crate) struct Arena<'a> {
    programs: &'a Programs,
    scratch: PathBuf,
    janitor: Child,
}

impl<'a> Arena<'a> {
    /// Makes it in a new directory below `parent`.
    pub(crate) fn make(programs: &'a Programs, parent: &Path) -> Result<Self> {
        let room = rustix::fs::statvfs(parent)
            .during(format_args!("look at the free space of '{}'", parent.display()))?;
        ensure(room.f_bavail * room.f_frsize >= NEEDED, || {
            format!(
                "'{}' has less than {} GiB free; name another directory with --scratch",
                parent.display(),
                NEEDED >> 30
            )
        })?;
        let scratch = tempfile::Builder::new()
            .prefix("mocker-bench-")
            .tempdir_in(parent)
            .during(format_args!("make a directory in '{}'", parent.display()))?
            .keep();
        // Before the namespace: the janitor must not keep the mount alive.
        let janitor = start_janitor(programs, &scratch)?;
        let arena = Self { programs, scratch, janitor };
        arena.mount()?;
        Ok(arena)
    }

    fn mount(&self) -> Result<()> {
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).during("make a mount namespace (root may)")?;
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .during("make the mounts private")?;
        let image = self.scratch.join("btrfs.img");
        File::create_new(&image)
            .and_then(|file| file.set_len(SIZE))
            .during(format_args!("make '{}'", image.display()))?;
        run(command(&self.programs.mkfs, FORMAT).arg(&image))?;
        std::fs::create_dir(self.top()).during("make the mount point")?;
        let losetup = &self.programs.losetup;
        let device = run(command(losetup, ["--direct-io=on", "--find", "--show"]).arg(&image))?;
        let mounted =
            run(command(&self.programs.mount, ["-t", "btrfs", "-o", OPTIONS]).arg(&device).arg(self.top()));
        // While it is mounted, this only means that it goes with the mount.
        let detached = run(&mut command(losetup, ["--detach", &device]));
        mounted.and(detached)?;
        std::fs::create_dir(self.peers()).during("make the directory of the peers")
    }

    /// Where the btrfs is mounted.
    pub(crate) fn top(&self) -> PathBuf {
        self.scratch.join("btrfs")
    }

    /// The directory in which the peers work, on the btrfs.
    pub(crate) fn peers(&self) -> PathBuf {
        self.top().join("peers")
    }

    /// The root of mocker, on the same btrfs.
    pub(crate) fn root(&self) -> PathBuf {
        self.top().join("mocker")
    }

    /// A directory on the host's own file system.
    pub(crate) fn host(&self) -> &Path {
        &self.scratch
    }

    /// Waits until nothing of earlier samples goes on: no deleted subvolume
    /// is being cleaned up, and nothing waits to be written.
    pub(crate) fn settle(&self) -> Result<()> {
        let started = Instant::now();
        while self.is_cleaning()? {
            ensure(started.elapsed() < PATIENCE, || "the file system does not come to rest".to_owned())?;
            std::thread::sleep(Duration::from_millis(10));
        }
        self.sync()
    }

    fn is_cleaning(&self) -> Result<bool> {
        // The commit wakes the cleaner, which otherwise sleeps for up to 30 s.
        self.sync()?;
        let pending = run(command(&self.programs.btrfs, ["subvolume", "list", "-d"]).arg(self.top()))?;
        Ok(!pending.is_empty())
    }

    fn sync(&self) -> Result<()> {
        run(command(&self.programs.btrfs, ["filesystem", "sync"]).arg(self.top())).map(drop)
    }

    /// Takes everything away.
    pub(crate) fn close(mut self) -> Result<()> {
        let settled = self.settle();
        let unmounted = rustix::mount::unmount(self.top(), UnmountFlags::empty())
            .during(format_args!("unmount '{}'", self.top().display()));
        drop(self.janitor.stdin.take());
        self.janitor.wait().during("wait for the janitor")?;
        settled.and(unmounted)?;
        ensure(!self.scratch.exists(), || format!("'{}' could not be removed", self.scratch.display()))
    }
}

/// Starts a shell that removes the scratch directory once our end of its
/// standard input is closed, which the kernel does if nobody else does it. It
/// is in a process group of its own, so that Ctrl-C does not reach it.
fn start_janitor(programs: &Programs, scratch: &Path) -> Result<Child> {
    Command::new(&programs.shell)
        .args(["-c", "cat; rm -rf --one-file-system -- \"$1\"", "janitor"])
        .arg(scratch)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .during("start the janitor")
}
