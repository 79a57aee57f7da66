//! R2, R3, R4, R5, U5, M5, D: what only means something on btrfs: subvolumes in
//! subvolumes, rights to them, quotas, the many ways in which a btrfs is made and
//! mounted, and becomes full, and the search of its trees for what was changed.

use std::path::{Path, PathBuf};
use std::process::Command;

use mocker_core::backend::{Access, Chain, Node, Rootfs, WorkId, complete};

use crate::harness::Case;
use crate::lane::Lane;
use crate::nodes::Nodes;
use crate::suites::disk::said;

mod changes;
mod full;
mod nested;
mod observed;
mod places;
mod quota;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = nested::cases();
    cases.extend(full::cases());
    cases.extend(changes::cases());
    cases.extend(observed::cases());
    cases.extend(places::cases());
    cases.extend(quota::cases());
    cases
}

/// Where the trees are subvolumes.
pub(crate) fn applies(lane: Lane) -> bool {
    lane.backend() == mocker_backend_btrfs::DRIVER.name
}

#[track_caller]
fn btrfs(words: &[&str], path: &Path) -> String {
    said(Command::new("btrfs").args(words).arg(path)).unwrap()
}

/// The subvolume of a work area.
#[track_caller]
fn subvolume(nodes: &Nodes, work: WorkId, base: &Chain) -> PathBuf {
    match complete(nodes.backend.rootfs(Node::Work(work), base, Access::Write)).unwrap() {
        Rootfs::Directory(path) => path,
        other => panic!("no directory: {other:?}"),
    }
}
