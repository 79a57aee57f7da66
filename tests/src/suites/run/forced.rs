//! R10: `rm -f` of a container that runs: every process of it is dead when it
//! comes back, and its control group is gone, in whatever hierarchy it was.

use std::path::{Path, PathBuf};

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

use crate::suites::background::{self, Job, wait_until};
use crate::suites::processes::{Process, left_of};

pub(super) fn cases() -> Vec<Case> {
    cases![
        r10_a_forced_removal_kills_every_process_and_takes_the_control_group_along,
        r10_so_it_is_in_a_hierarchy_of_version_1_or_in_none,
        r10_a_paused_container_is_removed_as_well,
    ]
}

/// Processes that no signal but one ends, in sessions of their own, of another
/// user, one that goes on starting others, and one that has lost its parent.
const PROCESSES: &str = "
    trap '' HUP INT TERM
    sleep 9871 & setsid sleep 9872 & (setsid sh -c 'sleep 9873 & exec sleep 9874' &)
    su mallory -s /bin/sh -c 'sleep 9875 & exec sleep 9876' &
    (while :; do sleep 0.05; done) &
    exec sleep 9877";

/// Starts the container `work`, in mounts of its own where a script for them is
/// given, and waits for all of its processes.
fn start(fixture: &Fixture, mounts: Option<&str>) -> (Job, Vec<Process>) {
    let mut command = match mounts {
        None => background::mocker(fixture, &["run", "--name", "work", "base", "sh", "-c", PROCESSES]),
        Some(mounts) => {
            let script = format!("{mounts}\nexec \"$mocker\" run --name work base sh -c \"$1\"");
            background::in_own_mounts(fixture, fixture.root(), &script, &[PROCESSES])
        }
    };
    let job = background::start(&mut command);
    let found = || left_of(job.pid(), &[fixture.tree("work")]);
    wait_until("the container and its processes run", || {
        fixture.record("work").is_some_and(|record| record["status"] == "running")
            && found().iter().filter(|process| process.starts_with("sleep 987")).count() == 7
    });
    let processes = found().into_iter().collect();
    (job, processes)
}

/// The control groups that a container's process 1 is in and that carry its
/// name, as directories.
fn groups(fixture: &Fixture) -> Vec<PathBuf> {
    let record = fixture.record("work").unwrap();
    let id = record["id"].as_str().unwrap();
    let own = std::fs::read_to_string(format!("/proc/{}/cgroup", record["pid"])).unwrap();
    let path = |line: &str| line.splitn(3, ':').nth(2).map(str::to_owned);
    let named: Vec<_> = own.lines().filter_map(path).filter(|path| path.ends_with(id)).collect();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let tops =
        mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4));
    let paths =
        tops.flat_map(|top| named.iter().map(move |path| Path::new(top).join(path.trim_start_matches('/'))));
    paths.filter(|path| path.is_dir()).collect()
}

/// Removes `work` by force and looks for what is left.
#[track_caller]
fn removed(fixture: &Fixture, job: Job, processes: &[Process], groups: &[PathBuf]) {
    assert!(processes.len() >= 8, "{processes:?}");
    fixture.ok(&["rm", "-f", "work"]);
    let alive: Vec<_> = processes.iter().filter(|process| process.is_alive()).collect();
    assert!(alive.is_empty(), "alive when 'rm -f' has come back: {alive:?}");
    let left =
        left_of(job.pid(), &fixture.node_numbers().into_iter().map(|n| fixture.node(n)).collect::<Vec<_>>());
    assert!(left.is_empty(), "{left:?}");
    for group in groups {
        assert!(!group.exists(), "'{}' is left", group.display());
    }
    assert_eq!(job.end().code, Some(137));
    assert!(fixture.record("work").is_none());
    fixture.assert_consistent();
}

fn r10_a_forced_removal_kills_every_process_and_takes_the_control_group_along(fixture: &Fixture) {
    fixture.image("base");
    let (job, processes) = start(fixture, None);
    let groups = groups(fixture);
    assert!(!groups.is_empty(), "the container has no control group");
    removed(fixture, job, &processes, &groups);
}

/// Hides the unified hierarchy from a command.
const WITHOUT_VERSION_2: &str = "sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \\([^ ]*\\) .* - cgroup2 .*/\\1/p' /proc/self/mountinfo | \
     while read -r top; do umount -l \"$top\"; done";

fn r10_so_it_is_in_a_hierarchy_of_version_1_or_in_none(fixture: &Fixture) {
    fixture.image("base");
    let (job, processes) = start(fixture, Some(WITHOUT_VERSION_2));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let of_freezer = |line: &str| {
        let (_, system) = line.split_once(" - cgroup ")?;
        system.split([' ', ',']).any(|word| word == "freezer").then_some(())
    };
    let groups = groups(fixture);
    // Where there is no freezer of version 1, as on most machines now, there is no group at all.
    assert_eq!(groups.len(), mounts.lines().filter_map(of_freezer).count(), "{groups:?}");
    removed(fixture, job, &processes, &groups);
}

fn r10_a_paused_container_is_removed_as_well(fixture: &Fixture) {
    fixture.image("base");
    for mounts in [None, Some(WITHOUT_VERSION_2)] {
        let (job, processes) = start(fixture, mounts);
        let groups = groups(fixture);
        for group in &groups {
            // cgroup-v2.rst; cgroup-v1/freezer-subsystem.rst.
            let freeze = if group.join("cgroup.freeze").exists() {
                ("cgroup.freeze", "1")
            } else {
                ("freezer.state", "FROZEN")
            };
            std::fs::write(group.join(freeze.0), freeze.1).unwrap();
        }
        removed(fixture, job, &processes, &groups);
    }
}
