//! Finds the processes of containers, also when nobody knows their numbers.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A process, by its number and its start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Process {
    pid: u32,
    start: u64,
    command: String,
}

/// `PF_EXITING` of linux/sched.h: it will not come back from the kernel.
const EXITING: u32 = 4;

impl Process {
    /// The process that has this number now. One that has ended, or is about
    /// to and runs no more, counts as none.
    fn of(pid: u32) -> Option<(Self, u32)> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The program's name stands in parentheses and can hold anything (proc_pid_stat(5)).
        let (_, fields) = stat.rsplit_once(')')?;
        let fields: Vec<_> = fields.split_whitespace().collect();
        let (state, group, flags, start) =
            (*fields.first()?, fields.get(2)?, fields.get(6)?, fields.get(19)?);
        if matches!(state, "Z" | "X") || flags.parse::<u32>().ok()? & EXITING != 0 {
            return None;
        }
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        Some((Self { pid, start: start.parse().ok()?, command }, group.parse().ok()?))
    }

    /// Whether its command line begins so.
    pub(crate) fn starts_with(&self, words: &str) -> bool {
        self.command.starts_with(words)
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).is_some_and(|(now, _)| now.start == self.start)
    }
}

/// What is left of a command that was killed: processes of its group (those
/// that were about to become a container) and those whose root directory is
/// one of `trees`.
pub(crate) fn left_of(killed: u32, trees: &[impl AsRef<Path>]) -> BTreeSet<Process> {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let roots: Vec<_> = trees.iter().filter_map(|tree| identity(tree.as_ref())).collect();
    let pids = || {
        let names = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| name.parse::<u32>().ok()).filter(|pid| *pid != killed)
    };
    // In this order: whoever leaves the group has changed its root before.
    let of_group =
        pids().filter_map(Process::of).filter(|(_, group)| *group == killed).map(|(found, _)| found);
    let mut found: BTreeSet<_> = of_group.collect();
    let groups: Vec<_> = trees.iter().flat_map(|tree| groups_of(tree.as_ref())).collect();
    let inside = |pid: &u32| {
        let group = || std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        identity(format!("/proc/{pid}/root/.").as_ref()).is_some_and(|root| roots.contains(&root))
            || (!groups.is_empty()
                && group().lines().any(|line| groups.iter().any(|own| line.ends_with(own))))
    };
    found.extend(pids().filter(inside).filter_map(Process::of).map(|(found, _)| found));
    found
}

/// The control groups of all containers of the root that an overlay's tree
/// belongs to: a container's root is no directory on the host there, by which
/// its processes could be found.
fn groups_of(tree: &Path) -> Vec<String> {
    let root = tree.ancestors().nth(4).filter(|root| tree.starts_with(root.join("overlay/nodes")));
    let listed = root.and_then(|root| std::fs::read_dir(root.join("containers")).ok());
    let ids = listed.into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    ids.map(|id| format!("/mocker/{id}")).collect()
}
