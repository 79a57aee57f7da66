//! R1, R6, R9, R11: a node goes, whoever still looks at it and however full the
//! file system is, and its space comes back.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mocker_core::ErrorKind;
use mocker_core::backend::{Access, Chain, Node, NodeId, Reclaim, Rootfs, WorkId, complete};
use rustix::process::Signal;

use crate::nodes::left_to_reclaim;

use super::watch::{Watch, own};
use super::{EVERYTHING, alone, bash, layer, numbers, refused, same, seal, tip_of, top, tree_of, write};
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes::Nodes;
use crate::oracle::Tree;
use crate::script::How;
use crate::suites::background::{self, Job, wait_until};
use crate::suites::ground::{self, Ground};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = cases![
        r1_a_node_that_is_mounted_elsewhere_goes_or_is_told_to_be_in_use,
        r1_a_node_that_somebody_looks_at_goes_or_is_told_to_be_in_use,
        r9_a_node_goes_from_a_full_file_system,
        r11_a_deletion_walks_nothing_and_frees_the_number_at_once,
        r11_what_was_deleted_is_reclaimed_after_a_restart,
        r11_a_reclaim_that_was_stopped_goes_on,
    ];
    // Others take space and give it back.
    cases.push(alone("r6_the_space_of_what_was_deleted_is_free_again", space));
    cases
}

/// Mounts a tree in a mount namespace of its own, and stays there.
fn mounted_elsewhere(fixture: &Fixture, rootfs: &Rootfs) -> Job {
    let place = fixture.scratch().join("elsewhere");
    std::fs::create_dir_all(&place).unwrap();
    let ready = fixture.scratch().join("ready");
    let _gone = std::fs::remove_file(&ready);
    let shown = |path: &Path| path.to_str().unwrap().to_owned();
    let words = match rootfs {
        Rootfs::Directory(path) => vec!["--bind".to_owned(), shown(path)],
        Rootfs::Overlay(plan) => {
            let lower: Vec<_> = plan.lower.iter().map(|path| shown(path)).collect();
            let mut options = format!("lowerdir={}", lower.join(":"));
            if let Some(upper) = &plan.upper {
                options += &format!(",upperdir={},workdir={}", shown(&upper.directory), shown(&upper.work));
            }
            ["-t", "overlay", "-o", &options, "overlay"].map(str::to_owned).to_vec()
        }
        other => panic!("a kind of tree that the tests do not know: {other:?}"),
    };
    let script =
        "place=$1; ready=$2; shift 2; mount \"$@\" \"$place\"; cd \"$place\"; : > \"$ready\"; exec sleep 600";
    let words = [vec![shown(&place), shown(&ready)], words].concat();
    let mut job = background::start(&mut background::in_own_mounts(fixture, fixture.root(), script, &words));
    wait_until("it is mounted elsewhere", || {
        assert!(!job.has_ended(), "it cannot be mounted: {}", job.said());
        ready.exists()
    });
    job
}

/// Deletes a node that is in use; answers whether it is gone.
#[track_caller]
fn delete_in_use(nodes: &Nodes, node: NodeId) -> bool {
    let kept = numbers(nodes);
    match complete(nodes.backend.delete(node)) {
        Ok(()) => {
            assert!(!numbers(nodes).contains(&node), "it is said to be gone, and is listed");
            let tree = complete(nodes.backend.rootfs(Node::Work(WorkId(node)), &Chain::EMPTY, Access::Read));
            refused("the tree of what is gone", tree, &[ErrorKind::NotFound]);
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
            assert_eq!(numbers(nodes), kept, "it is refused, and gone");
            false
        }
    }
}

fn r1_a_node_that_is_mounted_elsewhere_goes_or_is_told_to_be_in_use(fixture: &Fixture) {
    let nodes = fixture.nodes();
    for access in [Access::Write, Access::Read] {
        let base = layer(&nodes, &Chain::EMPTY, EVERYTHING);
        let (node, number) = match access {
            Access::Write => {
                let work = nodes.create(&base).unwrap();
                write(&nodes, work, &base, "echo changed > changed");
                (Node::Work(work), work.0)
            }
            Access::Read => (Node::Layer(base.tip().unwrap()), base.tip().unwrap().0),
        };
        let rootfs = complete(nodes.backend.rootfs(node, &base, access)).unwrap();
        let job = mounted_elsewhere(fixture, &rootfs);
        delete_in_use(&nodes, number);
        job.signal(Signal::KILL);
        job.end();
        // Again, whatever was said before.
        nodes.delete(number).unwrap();
        for node in numbers(&nodes) {
            assert_ne!(node, number);
            nodes.delete(node).unwrap();
        }
        complete(nodes.backend.reclaim()).unwrap();
    }
}

fn r1_a_node_that_somebody_looks_at_goes_or_is_told_to_be_in_use(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, EVERYTHING);
    let work = nodes.create(&base).unwrap();
    let view = nodes.view(Node::Work(work), &base, Access::Write).unwrap();
    let file = std::fs::File::create(top(&view).join("open")).unwrap();
    delete_in_use(&nodes, work.0);
    drop((view, file));
    nodes.delete(work.0).unwrap();
    assert_eq!(numbers(&nodes), [base.tip().unwrap().0]);
    same("the layer beneath", &tip_of(&nodes, &base), &tip_of(&nodes, &base));
}

/// What is free where the trees lie.
fn free(fixture: &Fixture) -> u64 {
    ground::free(fixture.beside_the_trees().parent().unwrap())
}

fn space(fixture: &Fixture) {
    const DATA: u64 = 64 << 20;
    /// What file systems set apart for metadata as they go.
    const SOME: u64 = 8 << 20;
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "mkdir dir; sync -f .");
    complete(nodes.backend.reclaim()).unwrap();
    let before = free(fixture);
    let work = nodes.create(&base).unwrap();
    write(&nodes, work, &base, "dd if=/dev/urandom of=dir/much bs=1M count=64 2>/dev/null; sync -f .");
    let taken = before - free(fixture);
    assert!(taken >= DATA, "{DATA} bytes took {taken}");
    complete(nodes.backend.delete(work.0)).unwrap();
    let started = Instant::now();
    let reclaimed = complete(nodes.backend.reclaim()).unwrap();
    // Writing down what was removed is the file system's own business.
    let store = fixture.beside_the_trees();
    bash(store.parent().unwrap(), "sync -f .");
    // XFS frees what was removed a moment later (`xfs_inodegc_worker` of fs/xfs/xfs_icache.c, Linux 6.18).
    let left = || before.saturating_sub(free(fixture));
    while left() >= SOME && started.elapsed() < background::LIMIT {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (time, left) = (started.elapsed(), left());
    assert!(left < SOME, "{left} of {taken} bytes did not come back in {time:?}: {reclaimed:?}");
    assert_eq!(left_to_reclaim(&*nodes.backend), 0, "there is still something to reclaim");
}

/// Also C11: what is frozen without space is whole, or not there.
fn r9_a_node_goes_from_a_full_file_system(fixture: &Fixture) {
    let ground = Ground::small_store(fixture);
    {
        let nodes = ground.nodes();
        let base = layer(&nodes, &Chain::EMPTY, EVERYTHING);
        let work = nodes.create(&base).unwrap();
        let fill = "dd if=/dev/zero of=fill bs=1M 2>/dev/null || dd if=/dev/zero of=more bs=4k 2>/dev/null || sync -f . || :";
        write(&nodes, work, &base, fill);
        let store = ground.store();
        assert!(ground::free(&store) < 16 << 20, "{} bytes are free", ground::free(&store));
        refused("more room", complete(nodes.backend.admit(64 << 20)), &[ErrorKind::NoSpace]);
        // The time of a write that found no space is in memory alone on btrfs (`btrfs_dirty_inode` of
        // fs/btrfs/inode.c, Linux 6.18).
        let timeless = |tree: Tree| tree.without_time("/fill").without_time("/more");
        let (before, known) = (timeless(tree_of(&nodes, work, &base)), numbers(&nodes));
        let spare = nodes.fresh();
        match seal(&nodes, work, &base, spare, How::Paused) {
            Ok(sealed) => {
                let layer = tip_of(&nodes, &base.clone().with(sealed.layer));
                same("the layer", &before, &timeless(layer));
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}"),
        }
        complete(nodes.backend.delete(spare)).unwrap();
        assert_eq!(numbers(&nodes), known, "what could not be frozen leaves something");
        same("the work area", &before, &timeless(tree_of(&nodes, work, &base)));
        complete(nodes.backend.delete(work.0)).unwrap();
        complete(nodes.backend.reclaim()).unwrap();
        assert_eq!(numbers(&nodes), [base.tip().unwrap().0]);
        wait_until("the space comes back", || ground::free(&store) > 32 << 20);
        layer(&nodes, &base, "echo works > works");
    }
}

fn r11_a_deletion_walks_nothing_and_frees_the_number_at_once(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let work = nodes.create(&Chain::EMPTY).unwrap();
    write(&nodes, work, &Chain::EMPTY, "for i in $(seq 50); do mkdir -p $i/in; echo x > $i/in/file; done");
    let rootfs = complete(nodes.backend.rootfs(Node::Work(work), &Chain::EMPTY, Access::Write)).unwrap();
    let place = own(&rootfs).to_owned();
    let watch = Watch::over(std::slice::from_ref(&place));
    std::fs::read(place.join("1/in/file")).unwrap();
    assert!(watch.events() > 1, "the watch sees nothing");
    complete(nodes.backend.delete(work.0)).unwrap();
    assert_eq!(watch.events(), 0, "the tree is walked when it is deleted");
    // What was there must not come back under its number.
    complete(nodes.backend.create(work, &Chain::EMPTY)).unwrap();
    assert_eq!(tree_of(&nodes, work, &Chain::EMPTY).len(), 1);
    drop(watch);
    nodes.delete(work.0).unwrap();
    assert!(numbers(&nodes).is_empty());
}

fn r11_what_was_deleted_is_reclaimed_after_a_restart(fixture: &Fixture) {
    let nodes = fixture.nodes();
    for _ in 0..3 {
        let work = nodes.create(&Chain::EMPTY).unwrap();
        write(&nodes, work, &Chain::EMPTY, EVERYTHING);
        complete(nodes.backend.delete(work.0)).unwrap();
    }
    let frees_itself = nodes.capabilities().reclaim == Reclaim::FileSystem;
    drop(nodes);
    let again = fixture.nodes();
    assert!(numbers(&again).is_empty());
    let reclaimed = complete(again.backend.reclaim()).unwrap().nodes;
    // The file system may have been faster.
    assert!(frees_itself || reclaimed == 3, "{reclaimed} of 3 were reclaimed");
    assert_eq!(left_to_reclaim(&*again.backend), 0);
}

fn r11_a_reclaim_that_was_stopped_goes_on(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let mut works: Vec<_> = (0..6).map(|_| nodes.create(&Chain::EMPTY).unwrap()).collect();
    for work in &works {
        let script = "mkdir -p a/b c; echo x > a/b/blocker; for i in $(seq 200); do echo x > c/$i; done";
        write(&nodes, *work, &Chain::EMPTY, script);
    }
    let blocked = works.remove(2);
    let rootfs = complete(nodes.backend.rootfs(Node::Work(blocked), &Chain::EMPTY, Access::Write)).unwrap();
    let backend_reclaims = nodes.capabilities().reclaim == Reclaim::Backend;
    let mut blocker = Blocker::of(own(&rootfs).join("a/b/blocker"));
    if backend_reclaims {
        // A mount point cannot be unlinked in its own namespace, and stops it in the middle (unlink(2), EBUSY).
        blocker.mount();
    }
    complete(nodes.backend.delete(blocked.0)).unwrap();
    let two: Vec<WorkId> = works.drain(..2).collect();
    two.iter().for_each(|work| complete(nodes.backend.delete(work.0)).unwrap());
    if backend_reclaims {
        let said = refused("reclaim", complete(nodes.backend.reclaim()), &[ErrorKind::Busy]);
        assert!(said.contains("blocker"), "it does not say what is in the way: {said}");
    }
    drop(blocker);
    // Two at once do not stand in each other's way.
    works.iter().for_each(|work| complete(nodes.backend.delete(work.0)).unwrap());
    let backends = [fixture.open_backend(), fixture.open_backend()];
    std::thread::scope(|scope| {
        let both = backends.each_ref().map(|backend| scope.spawn(|| complete(backend.reclaim())));
        assert!(both.into_iter().all(|one| one.join().unwrap().is_ok()));
    });
    assert_eq!(left_to_reclaim(&*nodes.backend), 0, "something is left");
    assert!(numbers(&nodes).is_empty());
}

/// A file that is followed wherever its directory goes, and can be mounted on
/// itself.
struct Blocker {
    file: std::fs::File,
    is_mounted: bool,
}

impl Blocker {
    fn of(path: PathBuf) -> Self {
        Self { file: std::fs::File::open(path).unwrap(), is_mounted: false }
    }

    fn mount(&mut self) {
        let path = self.path();
        bash(path.parent().unwrap(), "mount --bind blocker blocker");
        self.is_mounted = true;
    }

    fn path(&self) -> PathBuf {
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&self.file);
        std::fs::read_link(format!("/proc/self/fd/{descriptor}")).unwrap()
    }
}

impl Drop for Blocker {
    fn drop(&mut self) {
        if self.is_mounted {
            bash(self.path().parent().unwrap(), "umount blocker");
        }
    }
}
