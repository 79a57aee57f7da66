//! Declarations that the backend alone keeps: layers, space, depth and holes.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes::{Nodes, look};
use crate::oracle;
use crate::script::How;
use mocker_core::backend::{Access, Chain, LayerId, Layers, Node, Reclaim, Sparse, complete};
use mocker_core::mount::View;
use std::os::fd::AsRawFd;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("a_layer_stands_alone_or_needs_those_beneath_as_declared", layers),
        case("a_chain_is_as_deep_as_is_declared_to_be_possible", depth),
        case("holes_stay_where_that_is_declared", holes),
        // The free space is everybody's.
        Case { name: "space_comes_back_by_whom_it_is_declared", run: space, alone: true },
    ]
}

/// The directory that a view shows, by a path.
fn top(view: &View) -> PathBuf {
    Path::new("/proc/self/fd").join(view.top().as_raw_fd().to_string()).join(".")
}

/// One more layer on a chain, after some writing.
fn layer_over(nodes: &Nodes, base: &Chain, write: impl FnOnce(&Path)) -> LayerId {
    let work = nodes.create(base).unwrap();
    let view = nodes.view(Node::Work(work), base, Access::Write).unwrap();
    write(&top(&view));
    drop(view);
    nodes.snapshot(work, base, How::Consume).unwrap().layer
}

fn layers(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let lower = layer_over(&nodes, &Chain::EMPTY, |top| std::fs::write(top.join("lower"), "lower").unwrap());
    let base = Chain::EMPTY.with(lower);
    let upper = layer_over(&nodes, &base, |top| std::fs::write(top.join("upper"), "upper").unwrap());
    let chain = base.with(upper);
    let show = || nodes.view(Node::Layer(upper), &chain, Access::Read).map(|view| look(&view));
    let before = show().unwrap();
    nodes.delete(lower.0).unwrap();
    let after = show();
    match nodes.capabilities().layers {
        Layers::Whole => oracle::assert_equal(&before, &after.unwrap()),
        Layers::Delta => {
            let is_whole = after.is_ok_and(|after| oracle::differences(&before, &after).is_empty());
            assert!(!is_whole, "the layer is declared to need the one beneath, and does not");
        }
    }
    nodes.delete(upper.0).unwrap();
}

fn depth(fixture: &Fixture) {
    const DEEP: usize = 60;
    let nodes = fixture.nodes();
    // No deeper than other cases go; M2 goes to the declared end.
    let most = nodes.capabilities().max_depth.unwrap_or(DEEP).min(DEEP);
    let mut chain = Chain::EMPTY;
    for number in 0..most {
        let write = |top: &Path| std::fs::write(top.join(number.to_string()), "").unwrap();
        chain = chain.clone().with(layer_over(&nodes, &chain, write));
    }
    let tip = chain.tip().unwrap();
    let view = nodes.view(Node::Layer(tip), &chain, Access::Read).unwrap();
    assert_eq!(std::fs::read_dir(top(&view)).unwrap().count(), most);
    drop(view);
    for layer in chain.layers().iter().rev() {
        nodes.delete(layer.0).unwrap();
    }
}

/// A hole, with a block of data on either side.
const HOLE: u64 = 8 << 20;

fn holes(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let lower = layer_over(&nodes, &Chain::EMPTY, |top| {
        let file = File::create(top.join("file")).unwrap();
        file.write_all_at(&[1; 4096], 0).unwrap();
        file.write_all_at(&[2; 4096], HOLE).unwrap();
        file.sync_all().unwrap();
    });
    let base = Chain::EMPTY.with(lower);
    let work = nodes.create(&base).unwrap();
    let view = nodes.view(Node::Work(work), &base, Access::Write).unwrap();
    let path = top(&view).join("file");
    let mut file = File::options().append(true).open(&path).unwrap();
    file.write_all(b"more").unwrap();
    file.sync_all().unwrap();
    let found = path.metadata().unwrap();
    assert_eq!(found.len(), HOLE + 4096 + 4);
    if nodes.capabilities().sparse == Sparse::Kept {
        // Its blocks, and those by which the file system finds them.
        assert!(found.blocks() * 512 < HOLE / 4, "the hole is filled: {} blocks", found.blocks());
    }
    drop((file, view));
    nodes.delete(work.0).unwrap();
    nodes.delete(lower.0).unwrap();
}

/// Much more than anything else writes meanwhile.
const MUCH: u64 = 64 << 20;

/// The cleaner of btrfs wakes up every half minute at the latest, which only a
/// soak waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// xfs counts the blocks of a removed file as free a moment later
/// (fs/xfs/xfs_icache.c, inode inactivation in the background since Linux 5.14).
const SOON: Duration = Duration::from_secs(5);

fn space(fixture: &Fixture) {
    let nodes = fixture.nodes();
    // Not the place of the lane where the trees lie in a pool.
    let place = fixture.beside_the_trees().parent().unwrap().to_owned();
    let free = || {
        let root = File::open(&place).unwrap();
        rustix::fs::syncfs(&root).unwrap();
        let found = rustix::fs::fstatvfs(&root).unwrap();
        found.f_bfree * found.f_frsize
    };
    let work = nodes.create(&Chain::EMPTY).unwrap();
    let before = free();
    let view = nodes.view(Node::Work(work), &Chain::EMPTY, Access::Write).unwrap();
    // Nothing that a file system could store in less.
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(1 << 20).collect();
    let mut file = File::create(top(&view).join("much")).unwrap();
    for _ in 0..MUCH >> 20 {
        file.write_all(&noise).unwrap();
    }
    drop((file, view));
    let taken = before.saturating_sub(free());
    assert!(taken > MUCH / 2, "{MUCH} bytes took {taken}");
    complete(nodes.backend.delete(work.0)).unwrap();
    let is_back = || before.saturating_sub(free()) < MUCH / 4;
    match nodes.capabilities().reclaim {
        Reclaim::Backend => {
            assert!(!is_back(), "'reclaim' is declared to free the space, and nobody has called it");
            complete(nodes.backend.reclaim()).unwrap();
            within(SOON, is_back, "'reclaim' has come back, and the space has not");
        }
        // It only waits, and lets the file system know that somebody does.
        Reclaim::FileSystem if !crate::soaks() => {
            complete(nodes.backend.reclaim()).unwrap();
            within(SOON, is_back, "'reclaim' has come back, and the space has not");
        }
        Reclaim::FileSystem => {
            within(PATIENCE, is_back, "the file system has not freed the space by itself");
        }
    }
}

#[track_caller]
fn within(limit: Duration, holds: impl Fn() -> bool, otherwise: &str) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "{otherwise}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
