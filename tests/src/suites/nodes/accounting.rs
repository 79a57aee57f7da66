//! A2, A3, A4: what a node occupies, and what it costs to ask.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mocker_core::ErrorKind;
use mocker_core::backend::{
    Access, Chain, CommitCost, LayerId, Layers, Look, Node, NodeId, Usage, WorkId, WorkState, complete,
};
use rustix::time::{ClockId, clock_gettime};

use super::watch::{Watch, directories};
use super::{base_after, layer, refused, write};
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes::Nodes;
use crate::script::How;

pub(super) fn cases() -> Vec<Case> {
    cases![
        a2_a_fresh_work_area_costs_nothing_and_the_layer_beneath_no_more_than_before,
        a2_being_compared_changes_nothing_of_what_a_work_area_occupies,
        a3_asking_reads_no_contents_and_opens_nothing_beneath,
        a3_asking_often_costs_little,
        a4_what_does_not_exist_is_not_found,
        a4_what_vanishes_meanwhile_is_not_found,
    ]
}

const MUCH: u64 = 16 << 20;
const MUCH_OF_IT: &str = "mkdir dir; dd if=/dev/urandom of=dir/much bs=1M count=16 2>/dev/null; sync -f .";

#[track_caller]
fn usage(nodes: &Nodes, node: Node, base: &Chain) -> Usage {
    complete(nodes.backend.usage(node, base)).unwrap()
}

fn a2_a_fresh_work_area_costs_nothing_and_the_layer_beneath_no_more_than_before(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, MUCH_OF_IT);
    let tip = Node::Layer(base.tip().unwrap());
    let before = usage(&nodes, tip, &base);
    let total = |usage: Usage| usage.exclusive + usage.shared;
    assert!((MUCH..2 * MUCH).contains(&total(before)), "{before:?} for {MUCH} bytes");
    let work = nodes.create(&base).unwrap();
    let fresh = usage(&nodes, Node::Work(work), &base);
    match nodes.capabilities().commit_cost {
        CommitCost::Constant => assert!(fresh.exclusive < 1 << 20, "{fresh:?}"),
        // Each is a whole copy, and says so.
        CommitCost::Tree => assert!(total(fresh) >= MUCH, "{fresh:?}"),
    }
    let after = usage(&nodes, tip, &base);
    assert_eq!(total(after), total(before), "the layer grew: {before:?}, then {after:?}");
    assert!(after.exclusive <= before.exclusive, "{before:?}, then {after:?}");
    // What is written then is told, and is nobody else's.
    write(&nodes, work, &base, "dd if=/dev/urandom of=more bs=1M count=4 2>/dev/null; sync -f .");
    let grown = usage(&nodes, Node::Work(work), &base);
    let more = grown.exclusive - fresh.exclusive;
    assert!((4 << 20..6 << 20).contains(&more), "4 MiB more are {more} bytes: {fresh:?}, then {grown:?}");
    assert_eq!(total(usage(&nodes, tip, &base)), total(before));
}

fn a2_being_compared_changes_nothing_of_what_a_work_area_occupies(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "mkdir kept");
    let work = nodes.create(&base).unwrap();
    write(&nodes, work, &base, MUCH_OF_IT);
    let before = usage(&nodes, Node::Work(work), &base);
    assert!(before.exclusive >= MUCH, "{before:?}");
    for state in [WorkState::Idle, WorkState::Running] {
        let scratch = nodes.fresh();
        let look =
            Look { node: Node::Work(work), base: &base, since: base.tip(), state, scratch: Some(scratch) };
        complete(nodes.backend.observe(look)).unwrap();
        nodes.delete(scratch).unwrap();
        assert_eq!(usage(&nodes, Node::Work(work), &base), before, "{state:?}");
    }
    // A layer that was made of it shares all that until it is gone.
    let sealed = nodes.snapshot(work, &base, How::Idle).unwrap();
    let (Some(lives), chain) = (sealed.work, base_after(work, &base, sealed)) else { return };
    let shared = usage(&nodes, Node::Work(lives), &chain);
    assert!(shared.exclusive < before.exclusive || nodes.capabilities().commit_cost == CommitCost::Tree);
}

fn a3_asking_reads_no_contents_and_opens_nothing_beneath(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let script = "for i in $(seq 40); do mkdir -p d$i/in; echo x > d$i/in/file; done";
    let base = layer(&nodes, &Chain::EMPTY, script);
    let work = nodes.create(&base).unwrap();
    write(&nodes, work, &base, "for i in $(seq 20); do mkdir own$i; echo more > own$i/file; done");
    let of = |node, access| complete(nodes.backend.rootfs(node, &base, access)).unwrap();
    let tip = Node::Layer(base.tip().unwrap());
    let (own, mut beneath) = directories(&of(Node::Work(work), Access::Write));
    let (_, layers) = directories(&of(tip, Access::Read));
    if layers.is_empty() {
        beneath.extend(directories(&of(tip, Access::Read)).0);
    }
    let beneath = Watch::over(&beneath);
    let files: Vec<_> = own
        .iter()
        .flat_map(|tree| walkdir::WalkDir::new(tree).into_iter().map(Result::unwrap))
        .filter(|found| found.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect();
    let contents = Watch::over_files(&files);
    // That they see something at all.
    std::fs::read(&files[0]).unwrap();
    assert!(contents.events() > 0, "the watch sees nothing");
    beneath.events();
    let told = usage(&nodes, Node::Work(work), &base);
    assert!(told.exclusive + told.shared > 0, "{told:?}");
    assert_eq!(contents.events(), 0, "contents are read");
    assert_eq!(beneath.events(), 0, "what is beneath is walked");
}

/// What this thread has computed so far.
fn computed() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

fn a3_asking_often_costs_little(fixture: &Fixture) {
    const CONTAINERS: usize = 50;
    let nodes = fixture.nodes();
    let cost = |files: usize| {
        let script = format!("mkdir d; for i in $(seq {files}); do echo x > d/$i; done");
        let base = layer(&nodes, &Chain::EMPTY, &script);
        let works: Vec<_> = (0..CONTAINERS).map(|_| nodes.create(&base).unwrap()).collect();
        let before = computed();
        for work in &works {
            usage(&nodes, Node::Work(*work), &base);
        }
        computed() - before
    };
    // Once a second for 50 containers: that is the share of one processor.
    let (small, large) = (cost(10), cost(1000));
    assert!(large < Duration::from_millis(500), "it takes {large:?} of each second");
    // Where a layer is a difference, what is beneath does not matter.
    if nodes.capabilities().layers == Layers::Delta {
        assert!(
            large < small * 3 + Duration::from_millis(20),
            "it grows with the layer: {small:?}, {large:?}"
        );
    }
}

fn a4_what_does_not_exist_is_not_found(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "echo x > file");
    let missing = NodeId(4_000_000_000);
    for node in [Node::Work(WorkId(missing)), Node::Layer(LayerId(missing))] {
        refused("usage", complete(nodes.backend.usage(node, &base)), &[ErrorKind::NotFound]);
    }
    let work = nodes.create(&base).unwrap();
    usage(&nodes, Node::Work(work), &base);
    nodes.delete(work.0).unwrap();
    refused("usage", complete(nodes.backend.usage(Node::Work(work), &base)), &[ErrorKind::NotFound]);
}

fn a4_what_vanishes_meanwhile_is_not_found(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "mkdir dir; echo x > dir/file");
    let script = "for i in $(seq 60); do mkdir -p $i/in; echo x > $i/in/file; done";
    for _ in 0..4 {
        let work = nodes.create(&base).unwrap();
        write(&nodes, work, &base, script);
        let (asked, over) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut answers = Vec::new();
                // Once more after it is gone for sure.
                loop {
                    let last = over.load(Ordering::SeqCst);
                    answers.push(complete(nodes.backend.usage(Node::Work(work), &base)));
                    asked.store(true, Ordering::SeqCst);
                    if last {
                        return answers;
                    }
                }
            });
            while !asked.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            complete(nodes.backend.delete(work.0)).unwrap();
            complete(nodes.backend.reclaim()).unwrap();
            over.store(true, Ordering::SeqCst);
            let mut answers = asking.join().unwrap();
            refused("usage of what is gone", answers.pop().unwrap(), &[ErrorKind::NotFound]);
            for answer in answers {
                match answer {
                    Ok(_) => {}
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
                }
            }
        });
    }
}
