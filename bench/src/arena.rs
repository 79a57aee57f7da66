//! The file systems that everything is measured on: a btrfs in a file, made and
//! mounted as mocker's own pool is, and an ext4 for overlays. Both are taken away
//! at the end.
//!
//! They are mounted in a mount namespace of our own, their loop devices go with
//! the last mount, and a janitor in the background removes the scratch
//! directory when the pipe from us breaks. So nothing stays behind however
//! this program ends.

use std::cell::OnceCell;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::CloneFlags;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags};

use crate::failure::{During, Result, ensure};
use crate::process::{command, run};
use crate::programs::Programs;

/// What mocker's pool is made and mounted with.
const FORMAT: [&str; 7] = ["-q", "-n", "4096", "-m", "single", "-d", "single"];
const OPTIONS: &str = "noatime,nosuid,nodev,discard=async";

/// The size that each sparse file promises.
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
    namespaces: OnceCell<[File; 2]>,
}

/// What a program sees of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// All of it.
    Whole,
    /// Not the second version of cgroups where it is mounted beside the first:
    /// crun does not start on such a machine, not even when it is to make none.
    OneCgroupVersion,
}

/// Where some machines mount the second version of cgroups beside the first.
const SECOND_CGROUPS: &str = "/sys/fs/cgroup/unified";

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
        let arena = Self { programs, scratch, janitor, namespaces: OnceCell::new() };
        arena.mount()?;
        Ok(arena)
    }

    fn mount(&self) -> Result<()> {
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).during("make a mount namespace (root may)")?;
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .during("make the mounts private")?;
        let programs = self.programs;
        let mkfs = command(&programs.mkfs, FORMAT);
        self.mount_file("btrfs.img", mkfs, &["-t", "btrfs", "-o", OPTIONS], &self.top())?;
        let mkfs = command(&programs.mkfs_ext4, ["-q", "-F"]);
        self.mount_file("ext4.img", mkfs, &["-t", "ext4", "-o", "noatime"], &self.overlay_top())?;
        std::fs::create_dir(self.memory()).during("make the mount point")?;
        run(command(&programs.mount, ["-t", "tmpfs", "none"]).arg(self.memory()))?;
        std::fs::create_dir(self.peers()).during("make the directory of the peers")?;
        self.split()
    }

    /// Makes a file system in a sparse file, and mounts it.
    fn mount_file(&self, name: &str, mut mkfs: Command, options: &[&str], at: &Path) -> Result<()> {
        let image = self.scratch.join(name);
        File::create_new(&image)
            .and_then(|file| file.set_len(SIZE))
            .during(format_args!("make '{}'", image.display()))?;
        run(mkfs.arg(&image))?;
        std::fs::create_dir(at).during("make the mount point")?;
        let losetup = &self.programs.losetup;
        let device = run(command(losetup, ["--direct-io=on", "--find", "--show"]).arg(&image))?;
        let mounted = run(command(&self.programs.mount, options).arg(&device).arg(at));
        // While it is mounted, this only means that it goes with the mount.
        let detached = run(&mut command(losetup, ["--detach", &device]));
        mounted.and(detached).map(drop)
    }

    /// Makes a second mount namespace, which sees one version of cgroups, and
    /// comes back from it.
    fn split(&self) -> Result<()> {
        let own = || File::open("/proc/self/ns/mnt").during("open our mount namespace");
        let whole = own()?;
        nix::sched::unshare(CloneFlags::CLONE_NEWNS).during("make a second mount namespace")?;
        match rustix::mount::unmount(SECOND_CGROUPS, UnmountFlags::DETACH) {
            Ok(()) | Err(Errno::NOENT | Errno::INVAL) => {}
            Err(errno) => return Err(errno).during(format_args!("hide '{SECOND_CGROUPS}' from crun")),
        }
        let _first = self.namespaces.set([whole, own()?]);
        self.enter(Sight::Whole)
    }

    /// Lets this process, and what it starts, see the machine so.
    pub(crate) fn enter(&self, sight: Sight) -> Result<()> {
        let Some(namespaces) = self.namespaces.get() else { return Ok(()) };
        let here = std::env::current_dir().during("find the working directory")?;
        nix::sched::setns(&namespaces[sight as usize], CloneFlags::CLONE_NEWNS)
            .during("enter a mount namespace")?;
        // It is the root directory now.
        std::env::set_current_dir(&here).during("go back to the working directory")
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

    /// Where the ext4 is mounted.
    pub(crate) fn overlay_top(&self) -> PathBuf {
        self.scratch.join("ext4")
    }

    /// The root of mocker for overlays.
    pub(crate) fn overlay_root(&self) -> PathBuf {
        self.overlay_top().join("mocker")
    }

    /// A directory in memory, for what lies below /run as a rule.
    pub(crate) fn memory(&self) -> PathBuf {
        self.scratch.join("memory")
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
        run(command(&self.programs.sync, ["-f"]).arg(self.overlay_top()))?;
        run(command(&self.programs.btrfs, ["filesystem", "sync"]).arg(self.top())).map(drop)
    }

    /// Takes everything away.
    pub(crate) fn close(mut self) -> Result<()> {
        let settled = self.settle();
        // The other namespace has mounts of its own.
        self.namespaces.take();
        let unmount = |top: PathBuf| {
            rustix::mount::unmount(&top, UnmountFlags::empty())
                .during(format_args!("unmount '{}'", top.display()))
        };
        let unmounted = unmount(self.top()).and(unmount(self.overlay_top())).and(unmount(self.memory()));
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
