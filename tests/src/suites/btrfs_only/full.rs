//! M5: a btrfs that has no room for data, and one that has no room for metadata:
//! `df` shows free space, and yet nothing can be made.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use mocker_core::ErrorKind;
use mocker_core::backend::{Chain, WorkId, complete};

use super::subvolume;
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes::Nodes;
use crate::script::How;
use crate::suites::disk::said;
use crate::suites::ground::{self, Ground};
use crate::suites::nodes::{layer, refused, same, tip_of};

pub(super) fn cases() -> Vec<Case> {
    cases![m5_full_data_is_said_to_be_that, m5_full_metadata_is_said_to_be_that_with_advice]
}

/// A small btrfs, and the lane's backend on it: in a pool, which keeps its metadata
/// once, or on the file system itself, where it is kept twice (`DUP`).
fn small(fixture: &Fixture) -> (Ground<'_>, Nodes) {
    let ground = Ground::small_store(fixture);
    let nodes = ground.nodes();
    (ground, nodes)
}

/// Does something with ever new names in a directory until that is refused;
/// answers how often it worked.
fn fill(directory: &Path, each: impl Fn(&Path) -> std::io::Result<()>) -> u32 {
    std::fs::create_dir(directory).unwrap();
    let full = |number: &u32| each(&directory.join(number.to_string())).is_err();
    (0..100_000).find(full).expect("it is never full")
}

fn large(path: &Path) -> std::io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(&[0xa5; 1 << 20])?;
    // Else it would be refused only after it was written.
    file.sync_data()
}

/// All that is in it lies in the metadata: an attribute as large as a node allows.
fn attribute(path: &Path) -> std::io::Result<()> {
    File::create_new(path)?;
    let set =
        |size| rustix::fs::setxattr(path, "user.fill", &vec![0xa5; size], rustix::fs::XattrFlags::empty());
    match set(16_000) {
        // The nodes have 4 KiB.
        Err(rustix::io::Errno::NOSPC) => Ok(set(3_900)?),
        outcome => Ok(outcome?),
    }
}

/// After the one that fills it is gone, everything goes on.
#[track_caller]
fn goes_on(nodes: &Nodes, base: &Chain, filler: WorkId) {
    nodes.delete(filler.0).unwrap();
    complete(nodes.backend.reclaim()).unwrap();
    complete(nodes.backend.admit(0)).unwrap();
    let work = nodes.create(base).unwrap();
    nodes.snapshot(work, base, How::Idle).unwrap();
}

fn m5_full_data_is_said_to_be_that(fixture: &Fixture) {
    let (_ground, nodes) = small(fixture);
    let base = layer(&nodes, &Chain::EMPTY, "echo kept > file");
    let before = tip_of(&nodes, &base);
    let filler = nodes.create(&base).unwrap();
    fill(&subvolume(&nodes, filler, &base).join("data"), large);

    let said = refused("admit", complete(nodes.backend.admit(0)), &[ErrorKind::NoSpace]);
    assert!(said.contains("the data of the btrfs is full") && said.contains("mocker rm"), "{said}");
    assert!(!said.contains("balance"), "data would get nothing from that: {said}");
    // A snapshot writes no data.
    let sealed = nodes.snapshot(filler, &base, How::Idle).unwrap();
    nodes.delete(sealed.layer.0).unwrap();
    same("the layer", &before, &tip_of(&nodes, &base));
    goes_on(&nodes, &base, filler);
}

fn m5_full_metadata_is_said_to_be_that_with_advice(fixture: &Fixture) {
    let (_ground, nodes) = small(fixture);
    let base = layer(&nodes, &Chain::EMPTY, "echo kept > file");
    let before = tip_of(&nodes, &base);
    let filler = nodes.create(&base).unwrap();
    let top = subvolume(&nodes, filler, &base);
    // Data takes every chunk, and then keeps them all, three quarters full.
    let data = top.join("data");
    let files = fill(&data, large);
    (0..files).step_by(4).for_each(|number| std::fs::remove_file(data.join(number.to_string())).unwrap());
    rustix::fs::syncfs(File::open(&top).unwrap()).unwrap();
    assert!(ground::free(&top) > 8 << 20, "there is no room for data");
    fill(&top.join("metadata"), attribute);

    let made = complete(nodes.backend.create(WorkId(nodes.fresh()), &base));
    for (what, outcome) in [("create", made), ("admit", complete(nodes.backend.admit(0)))] {
        let said = refused(what, outcome, &[ErrorKind::NoSpace]);
        assert!(said.contains("the metadata of the btrfs is full") && said.contains("mocker rm"), "{said}");
        assert!(said.contains("'btrfs balance start -dusage=5 \"/"), "{what}: no advice: {said}");
        take(&said);
    }
    same("the layer", &before, &tip_of(&nodes, &base));
    goes_on(&nodes, &base, filler);
}

/// Does what the hint says, which must at least be a command that works.
#[track_caller]
fn take(hint: &str) {
    let words = hint.split('\'').find(|quoted| quoted.starts_with("btrfs balance")).unwrap();
    said(Command::new("sh").args(["-c", words])).unwrap();
}
