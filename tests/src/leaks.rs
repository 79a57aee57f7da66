//! What a case must not leave behind: mounts, loop devices, processes and
//! control groups.

use std::collections::{BTreeSet, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The kernel lets go of a loop device a moment after the last unmount; and a
/// mount namespace that somebody else made meanwhile has a copy of the mount,
/// for as long as it lives.
const PATIENCE: Duration = Duration::from_secs(60);

/// A container's group goes with its supervisor, or with the next command on its
/// root.
const GROUP_GONE_WITHIN: Duration = Duration::from_secs(5);

/// What is mounted below a directory, the deepest first.
pub(crate) fn mounts_below(directory: &Path) -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("read the mounts");
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut found: Vec<_> = points.filter(|point| point.starts_with(directory)).collect();
    found.sort_unstable_by(|one, other| other.cmp(one));
    found
}

/// Loop devices whose file lies, or lay, below a directory.
pub(crate) fn loop_devices_below(directory: &Path) -> Vec<String> {
    let started = Instant::now();
    loop {
        let found = attached_to(directory);
        if found.is_empty() || started.elapsed() > PATIENCE {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The loop devices whose file is this one, or lies below this directory.
pub(crate) fn attached_to(directory: &Path) -> Vec<String> {
    let devices = std::fs::read_dir("/sys/block").expect("list the block devices").flatten();
    devices
        .filter(|device| {
            std::fs::read_to_string(device.path().join("loop/backing_file"))
                .is_ok_and(|file| Path::new(file.trim_end()).starts_with(directory))
        })
        .map(|device| device.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The control groups of containers, in every hierarchy.
pub(crate) fn control_groups() -> BTreeSet<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("read the mounts");
    // Field 5 is the mount point; the type of the file system stands behind a dash
    // (proc_pid_mountinfo(5)).
    let tops =
        mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4));
    let groups = tops.flat_map(|top| std::fs::read_dir(Path::new(top).join("mocker")).into_iter().flatten());
    groups.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Those that were not there `before` and do not go.
pub(crate) fn control_groups_since(before: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let started = Instant::now();
    loop {
        let left: Vec<_> = control_groups().difference(before).cloned().collect();
        if left.is_empty() || started.elapsed() > GROUP_GONE_WITHIN {
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Processes whose root directory is one of these trees.
pub(crate) fn processes_in(trees: &[PathBuf]) -> Vec<String> {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let wanted: HashSet<_> = trees.iter().filter_map(|tree| identity(tree)).collect();
    let names = std::fs::read_dir("/proc").expect("list the processes").flatten();
    names
        .map(|entry| entry.path())
        .filter(|process| identity(&process.join("root/.")).is_some_and(|root| wanted.contains(&root)))
        .map(|process| {
            let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
            format!("{}: {}", process.display(), String::from_utf8_lossy(&command).replace('\0', " "))
        })
        .collect()
}
