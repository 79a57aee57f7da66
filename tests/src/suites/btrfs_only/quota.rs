//! R4, R5: who else may delete, and quotas that are somebody else's business.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use mocker_core::backend::{Chain, complete};

use super::{btrfs, subvolume};
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes::Nodes;
use crate::script::How;
use crate::suites::disk::{Disk, said};
use crate::suites::nodes::{bash, layer, numbers, same, tip_of, write};

pub(super) fn cases() -> Vec<Case> {
    cases![
        r4_nobody_without_rights_deletes_a_node_and_what_a_user_froze_goes,
        r5_quotas_stay_off,
        r5_quotas_that_are_on_stay_on_and_no_group_is_left,
    ]
}

const MKFS: [&str; 4] = ["mkfs.btrfs", "--quiet", "--metadata", "single"];
const SIZE: (usize, u64) = (1, 256);
const NOBODY: u32 = 65534;

/// A backend with a root of its own there.
fn open(fixture: &Fixture, disk: &Disk) -> Nodes {
    let root = disk.path().join("root");
    std::fs::create_dir_all(&root).unwrap();
    Nodes::of((fixture.lane().driver().open)(&root).unwrap())
}

/// The program itself needs root on btrfs; this is about everybody else, whom a
/// mount option lets delete subvolumes of their own.
fn r4_nobody_without_rights_deletes_a_node_and_what_a_user_froze_goes(fixture: &Fixture) {
    for (name, options) in [("plain", "noatime"), ("allowed", "noatime,user_subvol_rm_allowed")] {
        let disk = Disk::make(fixture, name, &MKFS, SIZE, options).unwrap();
        let nodes = open(fixture, &disk);
        let base = layer(&nodes, &Chain::EMPTY, "echo x > file; chmod 777 .");
        let before = tip_of(&nodes, &base);
        let work = nodes.create(&base).unwrap();
        let tree = subvolume(&nodes, work, &base);
        // As a process in a container could: its own volume, one in that, both read-only.
        bash(
            &tree,
            "btrfs -q subvolume create own; btrfs -q subvolume create own/in; chown -R 65534:65534 own; \
                     btrfs -q property set own/in ro true; btrfs -q property set own ro true; chown 65534:65534 .",
        );
        let layer = disk.path().join("root/btrfs/nodes").join(base.tip().unwrap().0.to_string()).join("fs");
        for path in [&tree, &layer, &tree.join("own/in")] {
            let mut delete = Command::new("btrfs");
            delete.args(["subvolume", "delete"]).arg(path).uid(NOBODY).gid(NOBODY).current_dir("/");
            let refused = said(&mut delete).unwrap_err();
            assert!(refused.contains("Permission denied"), "{name}: {refused}");
            assert!(path.exists());
        }
        same("the layer", &before, &tip_of(&nodes, &base));
        complete(nodes.backend.delete(work.0)).unwrap();
        complete(nodes.backend.delete(base.tip().unwrap().0)).unwrap();
        complete(nodes.backend.reclaim()).unwrap();
        assert!(numbers(&nodes).is_empty());
        assert_eq!(btrfs(&["subvolume", "list"], disk.path()), "", "{name}: a subvolume is left");
    }
}

/// A life of nodes, to its end.
fn live(nodes: &Nodes) {
    let base =
        layer(nodes, &Chain::EMPTY, "mkdir dir; dd if=/dev/urandom of=dir/file bs=1M count=4 2>/dev/null");
    let work = nodes.create(&base).unwrap();
    write(nodes, work, &base, "echo more >> dir/file");
    nodes.snapshot(work, &base, How::Idle).unwrap();
    numbers(nodes).into_iter().for_each(|node| nodes.delete(node).unwrap());
    complete(nodes.backend.reclaim()).unwrap();
}

/// What is said of the groups; none where quotas are off.
fn groups(place: &Path) -> Option<Vec<String>> {
    let shown = said(Command::new("btrfs").args(["qgroup", "show", "--raw"]).arg(place)).ok()?;
    let is_group = |word: &&str| word.contains('/') && word.starts_with(|first: char| first.is_ascii_digit());
    Some(
        shown
            .lines()
            .filter_map(|line| line.split_whitespace().next().filter(is_group))
            .map(str::to_owned)
            .collect(),
    )
}

fn r5_quotas_stay_off(fixture: &Fixture) {
    let disk = Disk::make(fixture, "disk", &MKFS, SIZE, "noatime").unwrap();
    assert_eq!(groups(disk.path()), None, "quotas are off on a new btrfs");
    live(&open(fixture, &disk));
    assert_eq!(groups(disk.path()), None, "quotas were switched on");
}

fn r5_quotas_that_are_on_stay_on_and_no_group_is_left(fixture: &Fixture) {
    let disk = Disk::make(fixture, "disk", &MKFS, SIZE, "noatime").unwrap();
    btrfs(&["quota", "enable"], disk.path());
    btrfs(&["quota", "rescan", "--wait"], disk.path());
    let before = groups(disk.path()).unwrap();
    let nodes = open(fixture, &disk);
    live(&nodes);
    let after = groups(disk.path()).unwrap_or_else(|| panic!("quotas were switched off"));
    assert_eq!(after, before, "groups of what was deleted are left");
}
