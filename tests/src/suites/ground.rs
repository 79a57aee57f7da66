//! A small file system of a case's own, to fill up or to make read-only.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::fixture::Fixture;
use crate::lane;
use crate::nodes::Nodes;

use crate::suites::background::{self, End};

/// How long the kernel may take to let go of a loop device.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mounted file system out of a sparse file, and a place for a root on it.
#[derive(Debug)]
pub(crate) struct Ground<'a> {
    fixture: &'a Fixture,
    file: PathBuf,
    mount: PathBuf,
}

impl<'a> Ground<'a> {
    /// One of the kind that the lane's root lies on.
    pub(crate) fn of_lane(fixture: &'a Fixture, mebibytes: u64) -> Self {
        match fixture.lane().ground().kind() {
            lane::Ground::Btrfs => Self::make(fixture, "mkfs.btrfs", mebibytes),
            // The smallest that it makes.
            lane::Ground::Xfs => Self::make(fixture, "mkfs.xfs", mebibytes.max(320)),
            lane::Ground::Ext4 | lane::Ground::Here(_) => Self::ext4(fixture, mebibytes),
        }
    }

    /// An ext4, on which a root needs a pool.
    pub(crate) fn ext4(fixture: &'a Fixture, mebibytes: u64) -> Self {
        Self::make(fixture, "mkfs.ext4", mebibytes)
    }

    /// One with a store of the least size on it, to be filled up.
    pub(crate) fn small_store(fixture: &'a Fixture) -> Self {
        let has_pool = fixture.lane().has_pool();
        let ground = Self::of_lane(fixture, if has_pool { 600 } else { 160 });
        if has_pool {
            ground.run(&["pool", "create", "--size", "160M"]).ok();
        }
        ground
    }

    /// The lane's backend on that root.
    pub(crate) fn nodes(&self) -> Nodes {
        let root = self.root();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&root).unwrap();
        Nodes::of((self.fixture.lane().driver().open)(&root).unwrap())
    }

    fn make(fixture: &'a Fixture, program: &str, mebibytes: u64) -> Self {
        let file = fixture.scratch().join("ground.img");
        File::create_new(&file).unwrap().set_len(mebibytes << 20).unwrap();
        succeed(Command::new(program).arg("-q").arg(&file));
        let ground = Self { fixture, file, mount: fixture.scratch().join("ground") };
        std::fs::create_dir(&ground.mount).unwrap();
        succeed(Command::new("mount").args(["-o", "loop"]).arg(&ground.file).arg(&ground.mount));
        ground
    }

    /// The top of the file system.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    /// A root on it.
    pub(crate) fn root(&self) -> PathBuf {
        self.mount.join("root")
    }

    /// Where the lane's backend keeps its trees.
    pub(crate) fn store(&self) -> PathBuf {
        self.root().join(self.fixture.lane().backend())
    }

    /// A command of mocker on that root.
    pub(crate) fn command<W: AsRef<OsStr>>(&self, words: &[W]) -> Command {
        background::at(self.fixture, &self.root(), words)
    }

    /// Runs mocker to its end, on that root.
    pub(crate) fn run<W: AsRef<OsStr>>(&self, words: &[W]) -> End {
        background::finish(&mut self.command(words))
    }

    /// The file of the pool of that root, where it has one.
    pub(crate) fn pool_file(&self) -> PathBuf {
        self.root().join("pool/btrfs.img")
    }

    /// Bytes that are free for everybody.
    pub(crate) fn free(&self) -> u64 {
        free(&self.mount)
    }

    /// Fills it with a file of somebody else's; answers where that is. What is
    /// reserved for root goes too.
    pub(crate) fn fill(&self) -> PathBuf {
        use std::io::Write;
        let path = self.mount.join("of-somebody-else");
        let mut file = File::create(&path).unwrap();
        // Ever smaller pieces, until not even the smallest has a place.
        for size in [1 << 20, 4096, 1] {
            let piece = vec![0xa5; size];
            while file.write_all(&piece).and_then(|()| file.sync_data()).is_ok() {}
        }
        path
    }

    /// Makes it read-only, or writable again.
    pub(crate) fn remount(&self, how: &str) {
        self.unmount_pool();
        let started = Instant::now();
        while !quietly(Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.mount)) {
            assert!(started.elapsed() < PATIENCE, "cannot make {} {how}", self.mount.display());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn unmount_pool(&self) {
        for mount in mounts_below(&self.mount).iter().filter(|mount| **mount != self.mount) {
            succeed(Command::new("umount").arg(mount));
        }
    }
}

impl Drop for Ground<'_> {
    fn drop(&mut self) {
        let started = Instant::now();
        // A pool inside lets go of its file a moment after it was unmounted.
        while let mounts = mounts_below(&self.mount)
            && !mounts.is_empty()
        {
            for mount in mounts {
                let _done = quietly(Command::new("umount").arg(mount));
            }
            if started.elapsed() > PATIENCE {
                // The fixture finds it, and fails the case.
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _gone = std::fs::remove_file(&self.file).and_then(|()| std::fs::remove_dir(&self.mount));
    }
}

/// Bytes that are free for everybody on the file system of a path.
pub(crate) fn free(path: &Path) -> u64 {
    let room = rustix::fs::statvfs(path).unwrap();
    room.f_bavail * room.f_frsize
}

/// How many files can still be made there. One that makes its inodes as it
/// needs them says that there are none at all.
pub(crate) fn free_inodes(path: &Path) -> u64 {
    let room = rustix::fs::statvfs(path).unwrap();
    if room.f_files == 0 { u64::MAX } else { room.f_ffree }
}

/// What is mounted at a path and below it, the deepest first.
pub(crate) fn mounts_below(path: &Path) -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut found: Vec<_> = points.filter(|point| point.starts_with(path)).collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    found
}

/// The loop devices that have this file.
pub(crate) fn loop_devices(file: &Path) -> Vec<PathBuf> {
    let devices = std::fs::read_dir("/sys/block").unwrap().flatten().map(|entry| entry.path());
    let behind =
        |device: &PathBuf| std::fs::read_to_string(device.join("loop/backing_file")).unwrap_or_default();
    devices.filter(|device| Path::new(behind(device).trim_end()) == file).collect()
}

#[track_caller]
fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn quietly(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
