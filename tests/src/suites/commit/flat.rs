//! C6: what a commit costs over bases of different sizes.
//!
//! Backends that walk the tree, or ask for its size, on every commit are what
//! containerd/containerd#6581 and containerd/containerd#4217 are about. How long
//! it takes is for the benchmark to say; what is looked at and written can be
//! counted.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use crate::fixture::Fixture;
use crate::harness::Case;
use mocker_core::backend::CommitCost;
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;

use super::cost::{bytes_written, settle};

pub(super) fn cases() -> Vec<Case> {
    // Whatever else writes to the file system would be counted.
    vec![Case { name: "c6_a_commit_over_a_large_base_costs_what_is_declared", run: over_bases, alone: true }]
}

/// Files in a directory.
const TOGETHER: usize = 100;

/// Files of the bases.
const SIZES: [usize; 2] = [100, 10_000];
const LARGER_SIZES: [usize; 4] = [100, 10_000, 100_000, 1_000_000];

/// What a commit did.
#[derive(Debug)]
struct Cost {
    /// Files and directories that were opened, of the container's tree and of
    /// the layer that it stands on.
    opened: usize,
    /// Kernel calls in the trace.
    calls: usize,
    /// What the disk was given to write, in bytes.
    written: u64,
}

/// Half of what the inodes of the second base take.
const RECORDS: u64 = 2 << 20;

/// More or fewer kernel calls than this are no accident of the moment.
const FEW: usize = 8;

fn over_bases(fixture: &Fixture) {
    let constant = fixture.capabilities().commit_cost == CommitCost::Constant;
    let sizes = if crate::soaks() { &LARGER_SIZES[..] } else { &SIZES[..] };
    let costs: Vec<_> = sizes.iter().map(|files| commit_over(fixture, *files)).collect();
    let first = &costs[0];
    for (files, cost) in sizes.iter().zip(&costs) {
        if constant {
            assert_eq!(cost.opened, 0, "with {files} files beneath, a commit has opened some: {cost:?}");
            assert!(cost.calls.abs_diff(first.calls) < FEW, "{files} files beneath: {cost:?}, not {first:?}");
            assert!(cost.written < RECORDS, "{files} files beneath: {cost:?}");
        } else {
            assert!(cost.opened >= files / TOGETHER, "a walk is declared, and this was none: {cost:?}");
        }
    }
}

/// Commits a container that has changed one file of a base of so many.
fn commit_over(fixture: &Fixture, files: usize) -> Cost {
    let source = fixture.rootfs();
    for directory in 0..files.div_ceil(TOGETHER) {
        let directory = source.join(format!("many/{directory}"));
        std::fs::create_dir_all(&directory).unwrap();
        for file in 0..TOGETHER {
            std::fs::write(directory.join(file.to_string()), "").unwrap();
        }
    }
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", "echo changed > /many/0/0"]);
    let watch = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
    watch_opens_below(fixture.root(), &watch);
    settle(fixture.site());
    let before = bytes_written(fixture.site());
    let ended = fixture.mocker(&["--trace=calls", "commit", "work", "made"]).run();
    assert_eq!(ended.code, 0, "{}", ended.err());
    let opened = count(&watch);
    // It keeps what it watches from being freed.
    drop(watch);
    settle(fixture.site());
    let written = bytes_written(fixture.site()) - before;
    let calls = ended.err().lines().filter(|line| line.starts_with("    ")).count();
    assert!(calls > 0, "nothing was told: {}", ended.err());
    assert_eq!(fixture.ok(&["run", "--rm", "made", "cat", "/many/0/0"]), "changed");
    fixture.ok(&["rm", "--wait", "work", "made", "base"]);
    Cost { opened, calls, written }
}

/// Watches the directories that hold the many files, wherever in the root there
/// are trees.
fn watch_opens_below(root: &Path, watch: &OwnedFd) {
    let found = walkdir::WalkDir::new(root).into_iter().map(|entry| entry.unwrap());
    let found = found.filter(|entry| entry.path().components().any(|name| name.as_os_str() == "many"));
    // The walk opens them as well, and has to be over.
    let directories: Vec<_> = found.filter(|entry| entry.file_type().is_dir()).collect();
    assert!(!directories.is_empty(), "there are no trees below the root");
    for directory in directories {
        add_watch(watch, directory.path(), WatchFlags::OPEN).unwrap();
    }
}

/// How many files were opened since. Where the kernel has lost count, those
/// that it still knows.
fn count(watch: &OwnedFd) -> usize {
    let mut buffer = [MaybeUninit::uninit(); 64 << 10];
    let mut events = Reader::new(watch, &mut buffer);
    let mut opened = 0;
    loop {
        match events.next() {
            Ok(_) => opened += 1,
            Err(Errno::AGAIN) => return opened,
            Err(errno) => panic!("cannot read what was opened: {errno}"),
        }
    }
}
