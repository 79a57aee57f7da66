//! A2, A3, A4: what a node occupies, and what it costs to ask.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mocker_core::backend::{
    Access, Chain, CommitCost, Look, Measure, Member, Node, NodeId, NodeSet, WorkId, WorkState, complete,
};
use rustix::time::{ClockId, clock_gettime};

use super::watch::{Watch, directories};
use super::{base_after, layer, write};
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes::{self, Nodes, Usage};
use crate::script::How;

pub(super) fn cases() -> Vec<Case> {
    cases![
        a1_what_some_have_alone_and_what_the_others_hold_are_all_there_is,
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
fn usage(nodes: &Nodes, node: NodeId, base: &Chain) -> Usage {
    nodes.usage(&[node], base).unwrap()[0].unwrap_or_else(|| panic!("node {node} is said not to be there"))
}

/// Whichever nodes are taken out of all: what they have alone is what the others
/// lack.
fn a1_what_some_have_alone_and_what_the_others_hold_are_all_there_is(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let fill =
        "head -c 3M /dev/urandom > a; head -c 2M /dev/urandom > b; for i in $(seq 50); do echo $i > $i; done";
    let base = layer(&nodes, &Chain::EMPTY, fill);
    let mut members = vec![Member { node: base.tip().unwrap().0, over: None }];
    // Something of its own each, something of the layer gone or changed, and layers that share with both.
    for (how, edit) in [
        (None, "true"),
        (None, "head -c 1M /dev/urandom > own; rm a; echo changed > 7"),
        (Some(How::Idle), "head -c 1M /dev/urandom > b; cp --reflink=auto a twin; echo more > more"),
        (Some(How::Consume), "head -c 64k /dev/urandom | dd of=a bs=64k seek=9 conv=notrunc 2>/dev/null"),
    ] {
        let work = nodes.create(&base).unwrap();
        write(&nodes, work, &base, edit);
        let mut lives = vec![work.0];
        if let Some(how) = how {
            let sealed = nodes.snapshot(work, &base, how).unwrap();
            lives = [Some(sealed.layer.0), sealed.work.map(|work| work.0)].into_iter().flatten().collect();
            if let (Some(work), chain) = (sealed.work, base_after(work, &base, sealed)) {
                write(&nodes, work, &chain, "head -c 1M /dev/urandom > later; rm more");
            }
        }
        members.extend(lives.into_iter().map(|node| Member { node, over: base.tip() }));
    }
    let everything = NodeSet { members: members.clone(), measure: Measure::All };
    // Each one, and each two.
    let mut taken: Vec<Vec<Member>> = members.iter().map(|member| vec![*member]).collect();
    for (place, one) in members.iter().enumerate() {
        taken.extend(members[place + 1..].iter().map(|other| vec![*one, *other]));
    }
    let mut sets = vec![everything];
    for some in &taken {
        let others = members.iter().filter(|member| !some.contains(member)).copied().collect();
        sets.push(NodeSet { members: some.clone(), measure: Measure::Alone });
        sets.push(NodeSet { members: others, measure: Measure::All });
    }
    let figures: Vec<u64> =
        complete(nodes.backend.usage(&sets)).unwrap().into_iter().map(Option::unwrap).collect();
    assert!(figures[0] > 6 << 20, "{figures:?}");
    for (some, pair) in taken.iter().zip(figures[1..].chunks(2)) {
        assert_eq!(pair[0] + pair[1], figures[0], "{some:?} and the others do not make up the whole");
    }
    // Asked for one by one it is the same, however little is looked at for that.
    for (set, figure) in sets.iter().zip(&figures) {
        let one = complete(nodes.backend.usage(std::slice::from_ref(set))).unwrap();
        assert_eq!(one, [Some(*figure)], "{set:?}");
    }
}

fn a2_a_fresh_work_area_costs_nothing_and_the_layer_beneath_no_more_than_before(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, MUCH_OF_IT);
    let tip = base.tip().unwrap().0;
    let before = usage(&nodes, tip, &base);
    assert!((MUCH..2 * MUCH).contains(&before.all), "{before:?} for {MUCH} bytes");
    let work = nodes.create(&base).unwrap().0;
    let fresh = usage(&nodes, work, &base);
    match nodes.capabilities().commit_cost {
        CommitCost::Constant => assert!(fresh.alone < 1 << 16, "{fresh:?}"),
        // Each is a whole copy, and says so.
        CommitCost::Tree => assert!(fresh.all >= MUCH, "{fresh:?}"),
    }
    let after = usage(&nodes, tip, &base);
    assert_eq!(after.all, before.all, "the layer grew: {before:?}, then {after:?}");
    assert!(after.alone <= before.alone, "{before:?}, then {after:?}");
    // What is written then is told, and is nobody else's, without having to wait for the disk.
    write(&nodes, WorkId(work), &base, "dd if=/dev/urandom of=more bs=1M count=4 2>/dev/null");
    let grown = usage(&nodes, work, &base);
    let more = grown.alone - fresh.alone;
    assert!((4 << 20..5 << 20).contains(&more), "4 MiB more are {more} bytes: {fresh:?}, then {grown:?}");
    assert_eq!(usage(&nodes, tip, &base).all, before.all);
}

fn a2_being_compared_changes_nothing_of_what_a_work_area_occupies(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "mkdir kept");
    let work = nodes.create(&base).unwrap();
    write(&nodes, work, &base, MUCH_OF_IT);
    let before = usage(&nodes, work.0, &base);
    assert!(before.alone >= MUCH, "{before:?}");
    for state in [WorkState::Idle, WorkState::Running] {
        let scratch = nodes.fresh();
        let look =
            Look { node: Node::Work(work), base: &base, since: base.tip(), state, scratch: Some(scratch) };
        complete(nodes.backend.observe(look)).unwrap();
        nodes.delete(scratch).unwrap();
        assert_eq!(usage(&nodes, work.0, &base), before, "{state:?}");
    }
    // A layer that was made of it shares all that until it is gone.
    let sealed = nodes.snapshot(work, &base, How::Idle).unwrap();
    let (Some(lives), chain) = (sealed.work, base_after(work, &base, sealed)) else { return };
    let shared = usage(&nodes, lives.0, &chain);
    assert!(shared.alone < before.alone || nodes.capabilities().commit_cost == CommitCost::Tree);
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
    let set = NodeSet { members: vec![Member { node: work.0, over: base.tip() }], measure: Measure::Alone };
    let told = complete(nodes.backend.usage(&[set])).unwrap()[0];
    assert!(told.is_some_and(|bytes| bytes > 0), "{told:?}");
    assert_eq!(contents.events(), 0, "contents are read");
    assert_eq!(beneath.events(), 0, "what is beneath is walked");
}

/// What this thread has computed so far.
fn computed() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// What one look at 50 containers costs, of which each has written a little.
fn cost_of_a_look(nodes: &Nodes, files: usize) -> Duration {
    let script = format!(
        "for d in $(seq 20); do mkdir $d; done; for i in $(seq {files}); do echo x > $((i % 20 + 1))/$i; done"
    );
    let base = layer(nodes, &Chain::EMPTY, &script);
    let one = |_| {
        let work = nodes.create(&base).unwrap();
        write(nodes, work, &base, "echo more > own; head -c 20000 /dev/zero > 7/own; rm -f 9/8");
        NodeSet { members: vec![Member { node: work.0, over: base.tip() }], measure: Measure::Alone }
    };
    let sets: Vec<_> = (0..50).map(one).collect();
    // What was written is on the disk then.
    complete(nodes.backend.usage(&sets)).unwrap();
    let before = computed();
    let figures = complete(nodes.backend.usage(&sets)).unwrap();
    let cost = computed() - before;
    assert!(figures.iter().all(|figure| figure.is_some_and(|bytes| bytes >= 20_000)), "{figures:?}");
    cost
}

fn a3_asking_often_costs_little(fixture: &Fixture) {
    let nodes = fixture.nodes();
    // Where each work area is a whole copy, as many are made, and each has to be looked through.
    let files = match nodes.capabilities().commit_cost {
        CommitCost::Constant => 7000,
        CommitCost::Tree => 200,
    };
    let (small, large) = (cost_of_a_look(&nodes, 20), cost_of_a_look(&nodes, files));
    // Once a second: that is the share of one processor.
    assert!(large < Duration::from_millis(100), "it takes {large:?} of each second");
    if nodes.capabilities().commit_cost == CommitCost::Constant {
        assert!(
            large < small * 3 + Duration::from_millis(20),
            "it grows with the layer beneath: {small:?}, {large:?}"
        );
    }
}

fn a4_what_does_not_exist_is_not_found(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "echo x > file");
    let missing = NodeId(4_000_000_000);
    let work = nodes.create(&base).unwrap().0;
    let asked = [missing, work, base.tip().unwrap().0];
    let told = nodes.usage(&asked, &base).unwrap();
    assert!(told[0].is_none(), "what never was is said to be there: {told:?}");
    assert!(told[1].is_some() && told[2].is_some(), "{told:?}");
    nodes.delete(work).unwrap();
    let told = nodes.usage(&asked, &base).unwrap();
    assert!(told[0].is_none() && told[1].is_none(), "what is gone is said to be there: {told:?}");
    assert!(told[2].is_some(), "{told:?}");
}

fn a4_what_vanishes_meanwhile_is_not_found(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "mkdir dir; echo x > dir/file");
    let script = "for i in $(seq 60); do mkdir -p $i/in; echo x > $i/in/file; done";
    for _ in 0..4 {
        let work = nodes.create(&base).unwrap();
        write(&nodes, work, &base, script);
        let (asked, over) = (AtomicBool::new(false), AtomicBool::new(false));
        let backend = &*nodes.backend;
        std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let mut answers = Vec::new();
                // Once more after it is gone for sure.
                loop {
                    let last = over.load(Ordering::SeqCst);
                    answers.push(nodes::usage(backend, &[work.0], &base).unwrap()[0]);
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
            let answers = asking.join().unwrap();
            assert_eq!(answers.last(), Some(&None), "what is gone is still told of: {answers:?}");
        });
    }
}
