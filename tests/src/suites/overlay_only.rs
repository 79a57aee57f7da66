//! M3, U7: what only means something to an overlay: the length of mount(2)'s
//! options, and file systems that cannot be an upper.

use std::path::Path;

use mocker_core::ErrorKind;
use mocker_core::backend::{Access, Chain, Node, NodeId, Probe, Rootfs, WorkId, complete};
use mocker_core::mount::{Method, mount_by, mount_overlay};

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::lane::Lane;
use crate::script::How;
use crate::suites::disk::Disk;
use crate::suites::nodes::{a_bit_of_everything, play_at, refused, seal};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        m3_options_of_just_a_page_are_mounted_and_longer_ones_refused,
        u7_a_file_system_that_hides_the_kinds_of_entries,
        u7_an_overlay_beneath,
        u7_a_store_from_which_nothing_is_executed,
        u7_a_store_in_memory,
    ]
}

/// Where trees are mounts of overlayfs.
pub(crate) fn applies(lane: Lane) -> bool {
    lane.backend() == mocker_backend_overlay::DRIVER.name
}

/// Kernels before 6.8 take all layers in one string of a page, its NUL
/// included (mount(2)).
fn m3_options_of_just_a_page_are_mounted_and_longer_ones_refused(fixture: &Fixture) {
    const OPTIONS: &str = ",index=off,metacopy=off,redirect_dir=nofollow,xino=off";
    const LAYER: &str = "1000000000000000000/fs:";
    let nodes = fixture.nodes();
    // What all layers but one take, and what stands around the digits of that one and of the work area.
    let around = "lowerdir=/fs,upperdir=/fs,workdir=/work".len() + OPTIONS.len();
    let layers = (4095 - 14 - around) / LAYER.len();
    let mut next = 1_000_000_000_000_000_000;
    let mut number = || {
        next += 1;
        NodeId(next)
    };
    let make = |layer: NodeId, spare: NodeId, base: &Chain| {
        let work = WorkId(layer);
        complete(nodes.backend.create(work, base)).unwrap();
        let sealed = seal(&nodes, work, base, spare, How::Consume).unwrap();
        nodes.delete(spare).unwrap();
        assert_eq!(sealed.layer.0, layer);
        base.clone().with(sealed.layer)
    };
    let mut chain = Chain::EMPTY;
    for _ in 0..layers {
        chain = make(number(), number(), &chain);
    }
    for wanted in [4095, 4096, 4097] {
        // The digits of the work area count twice, those of the last layer once.
        let rest = wanted - around - layers * LAYER.len();
        let digits = 10 + rest % 2;
        let power = |digits: usize| 10_u64.pow(u32::try_from(digits - 1).unwrap());
        let (last, work) = (NodeId(power(digits)), WorkId(NodeId(2 * power((rest - digits) / 2))));
        let base = make(last, number(), &chain);
        complete(nodes.backend.create(work, &base)).unwrap();
        let plan = complete(nodes.backend.rootfs(Node::Work(work), &base, Access::Write)).unwrap();
        let Rootfs::Overlay(plan) = plan else { panic!("no overlay: {plan:?}") };
        let outcome = mount_by(&plan, Method::Legacy);
        if wanted == 4095 {
            drop(outcome.unwrap_or_else(|error| panic!("{wanted} bytes: {error}")));
        } else {
            let said = refused(&format!("{wanted} bytes"), outcome, &[ErrorKind::Unsupported]);
            assert!(said.contains(&format!("{} layers", layers + 1)), "{said}");
            assert!(said.contains("--squash"), "no way out is named: {said}");
        }
        // The usual ways have no such limit.
        drop(mount_overlay(&plan).unwrap());
        nodes.delete(work.0).unwrap();
        nodes.delete(last).unwrap();
    }
}

/// It works, or the reason is told; never anything in between.
#[track_caller]
fn works_or_is_explained(fixture: &Fixture, place: &Path, reasons: &[&str]) {
    let root = place.join("root");
    std::fs::create_dir(&root).unwrap();
    let driver = fixture.lane().driver();
    let before = names(&root);
    match (driver.probe)(&root) {
        Probe::Works(_) => {
            assert!(reasons.is_empty(), "it is said to work: {reasons:?} was expected");
            play_at(fixture, &root, a_bit_of_everything());
        }
        Probe::Missing(why) => {
            assert!(!reasons.is_empty(), "it is said not to work: {why}");
            assert!(reasons.iter().all(|reason| why.contains(reason)), "{reasons:?} is not said: {why}");
            let said = refused("open", (driver.open)(&root), &[ErrorKind::Unsupported]);
            assert!(said.contains(reasons[0]) && said.contains("--root"), "no way out is named: {said}");
            assert_eq!(names(&root), before, "a refused root is not empty");
        }
    }
}

fn names(directory: &Path) -> Vec<String> {
    crate::fixture::names_in(directory)
}

/// As xfs was on many servers for years; a new kernel mounts none of that kind
/// any more, and ext4 can do without them too.
fn u7_a_file_system_that_hides_the_kinds_of_entries(fixture: &Fixture) {
    let mkfs = ["mkfs.ext4", "-q", "-O", "^filetype"];
    let disk = Disk::make(fixture, "disk", &mkfs, (1, 64), "noatime").unwrap();
    works_or_is_explained(fixture, disk.path(), &["d_type"]);
}

fn u7_an_overlay_beneath(fixture: &Fixture) {
    for name in ["lower", "upper", "work"] {
        std::fs::create_dir(fixture.scratch().join(name)).unwrap();
    }
    let place = |name: &str| fixture.scratch().join(name).display().to_string();
    let options =
        format!("lowerdir={},upperdir={},workdir={}", place("lower"), place("upper"), place("work"));
    let disk = Disk::mount(fixture, "disk", &["-t", "overlay", "-o", &options, "overlay"]);
    works_or_is_explained(fixture, disk.path(), &["is on an overlay itself", "--root"]);
}

fn u7_a_store_from_which_nothing_is_executed(fixture: &Fixture) {
    let disk = Disk::make(fixture, "disk", &["mkfs.ext4", "-q"], (1, 64), "noexec,nosuid,nodev").unwrap();
    works_or_is_explained(fixture, disk.path(), &[]);
    // What is mounted over it is executed all the same.
    let root = disk.path().join("store");
    let run = |words: &[&str]| {
        crate::suites::background::finish(&mut crate::suites::background::at(fixture, &root, words)).ok()
    };
    run(&["init", "--name", "base", fixture.rootfs().to_str().unwrap()]);
    assert_eq!(run(&["run", "--rm", "base", "echo", "works"]), "works");
}

fn u7_a_store_in_memory(fixture: &Fixture) {
    let disk = Disk::mount(fixture, "disk", &["-t", "tmpfs", "-o", "mode=755", "tmpfs"]);
    works_or_is_explained(fixture, disk.path(), &[]);
}
