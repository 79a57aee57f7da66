//! A pool that was being made when everything was killed.

use std::fs;
use std::path::PathBuf;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;
use rustix::process::{Pid, Signal, kill_process};

use crate::suites::background::{self, wait_until};
use crate::suites::ground::{Ground, loop_devices, mounts_below};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("u6_killed_while_it_is_made", killed),
        case("u6_killed_and_the_formatting_goes_on", formatting_goes_on),
        case("u6_killed_between_making_and_mounting", half_way),
    ]
}

/// Puts a program in the place of `mkfs.btrfs`, for one command: it says that
/// it was called, waits until it may go on, and then is the real one. As the
/// real one has, it has opened the file before it begins to write.
const SLOW_MKFS: &str = "real=$(command -v mkfs.btrfs); cp \"$real\" \"$1/real\"; \
     printf '#!/bin/sh\\nfor file; do :; done; exec 9<>\"$file\"; echo $$ > %s/called.new; mv %s/called.new %s/called\\n\
     while ! test -e %s/go; do sleep 0.01; done\\nset -- \"$@\"; n=$#; i=1; for word; do shift; \
     if test $i = $n; then word=/proc/self/fd/9; fi; set -- \"$@\" \"$word\"; i=$((i+1)); done; exec %s/real --force \"$@\"\\n' \
     \"$1\" \"$1\" \"$1\" \"$1\" \"$1\" > \"$1/slow\"; chmod +x \"$1/slow\"; \
     mount --bind \"$1/slow\" \"$real\"; shift; exec \"$mocker\" \"$@\"";

/// The process that formats a pool for a dead command. It is in a mount
/// namespace of its own, which holds everything that was mounted, so it must
/// not outlive the case.
struct Formatter {
    pid: Pid,
    go: PathBuf,
}

impl Formatter {
    fn is_running(&self) -> bool {
        kill_process(self.pid, Signal::WINCH).is_ok()
    }
}

impl Drop for Formatter {
    fn drop(&mut self) {
        let _gone = kill_process(self.pid, Signal::KILL);
        wait_until("the formatter is gone", || !self.is_running());
    }
}

/// Kills an `init` that is having its pool formatted.
fn kill_an_init(fixture: &Fixture, ground: &Ground<'_>) -> Formatter {
    let place = fixture.scratch().join("mkfs");
    fs::create_dir(&place).unwrap();
    let source = fixture.rootfs();
    let words = [place.to_str().unwrap(), "init", "--name", "base", source.to_str().unwrap()];
    let job = background::start(&mut background::in_own_mounts(fixture, &ground.root(), SLOW_MKFS, &words));
    wait_until("the pool is being formatted", || place.join("called").exists());
    let pid = fs::read_to_string(place.join("called")).unwrap();
    job.kill();
    Formatter { pid: Pid::from_raw(pid.trim().parse().unwrap()).unwrap(), go: place.join("go") }
}

#[track_caller]
fn assert_works(fixture: &Fixture, ground: &Ground<'_>) {
    let root = ground.root();
    let source = fixture.rootfs();
    ground.run(&["init", "--name", "base", source.to_str().unwrap()]).ok();
    assert_eq!(ground.run(&["run", "--rm", "base", "echo", "works"]).ok(), "works");
    assert_eq!(loop_devices(&root.join("pool/btrfs.img")).len(), 1);
    let left: Vec<_> =
        fs::read_dir(root.join("pool")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    // The third is the mark of a root that once had a pool.
    assert!(
        left.iter().all(|name| ["btrfs.img", "lock", "made"].iter().any(|known| name == known)),
        "{left:?}"
    );
}

fn killed(fixture: &Fixture) {
    let ground = Ground::ext4(fixture, 1024);
    // What formats goes as well, as with a power cut.
    drop(kill_an_init(fixture, &ground));
    assert!(!ground.pool_file().exists() && mounts_below(&ground.root()).is_empty());
    assert_works(fixture, &ground);
}

/// Only mocker was killed; what it had started still writes, now into a pool
/// that somebody uses.
fn formatting_goes_on(fixture: &Fixture) {
    let ground = Ground::ext4(fixture, 1024);
    let root = ground.root();
    let formatter = kill_an_init(fixture, &ground);
    assert_works(fixture, &ground);
    let expected = oracle::look(&fixture.rootfs());

    fs::write(&formatter.go, "").unwrap();
    wait_until("the forgotten formatting is over", || !formatter.is_running());
    ground.run(&["pool", "umount"]).ok();
    wait_until("the kernel has let go of the device", || loop_devices(&ground.pool_file()).is_empty());
    assert_eq!(ground.run(&["run", "--rm", "base", "echo", "works"]).ok(), "works");
    let nodes: Vec<_> = fs::read_dir(root.join("btrfs/nodes")).unwrap().flatten().collect();
    assert_eq!(nodes.len(), 1);
    let differences = oracle::differences(&expected, &oracle::look(&nodes[0].path().join("fs")));
    assert!(differences.is_empty(), "{differences:?}");
}

fn half_way(fixture: &Fixture) {
    let ground = Ground::ext4(fixture, 1024);
    let root = ground.root();
    // A pool that was made, and an unfinished one of somebody who died.
    ground.run(&["pool", "create"]).ok();
    fs::write(root.join("pool/btrfs.img.new"), "half a btrfs").unwrap();
    ground.run(&["init", fixture.rootfs().to_str().unwrap()]).ok();
    ground.run(&["pool", "destroy", "--force"]).ok();
    assert_works(fixture, &ground);
}
