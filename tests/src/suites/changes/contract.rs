//! D1, D11, D16, A4: what the trait says of `observe`, statement by statement.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mocker_core::ErrorKind;
use mocker_core::backend::{
    Access, Chain, DiffCost, LayerId, Layers, Look, Node, NodeId, Rootfs, WorkId, WorkState, complete,
};
use mocker_core::change::{self, Comparison};
use mocker_core::mount::View;

use crate::cases;
use crate::comparison::{Pair, Subject};
use crate::fixture::{Fixture, names_in};
use crate::harness::Case;
use crate::nodes::Nodes;
use crate::script::How;
use crate::suites::ground::mounts_below;
use crate::suites::nodes::watch::Watch;
use crate::suites::nodes::{layer, refused, top, write};

pub(super) fn cases() -> Vec<Case> {
    cases![
        d1_an_unchanged_tree_differs_in_nothing,
        d1_what_was_not_changed_is_looked_at_only_as_declared,
        d11_who_writes_meanwhile_writes_on_and_what_is_frozen_is,
        d16_where_nothing_is_shared_every_place_is_named,
        d16_a_layer_that_is_gone_is_no_help_and_no_hindrance,
        a4_a_tree_that_does_not_exist_is_not_found,
    ]
}

fn idle(work: WorkId, base: &Chain) -> Subject {
    Subject { node: Node::Work(work), base: base.clone(), state: WorkState::Idle }
}

fn d1_an_unchanged_tree_differs_in_nothing(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "mkdir -p d/in; echo x > d/in/f; ln d/in/f g; mkfifo p");
    let (tip, work) = (Subject::tip(&base), nodes.create(&base).unwrap());
    assert_eq!(nodes.lines(&tip, &idle(work, &base)), [""; 0]);
    assert_eq!(nodes.lines(&idle(work, &base), &tip), [""; 0]);
    assert_eq!(nodes.lines(&tip, &tip), [""; 0]);
    // What was read is not changed.
    write(&nodes, work, &base, "cat d/in/f; ls -lR .");
    assert_eq!(nodes.lines(&tip, &idle(work, &base)), [""; 0]);
    // Nor is what is written again with the same, and its time set back.
    write(
        &nodes,
        work,
        &base,
        "cp -p d/in/f /dev/shm/same-$$; touch -r d/in/f /dev/shm/time-$$; cat /dev/shm/same-$$ > d/in/f
        touch -r /dev/shm/time-$$ d/in/f; rm /dev/shm/same-$$ /dev/shm/time-$$",
    );
    let told = nodes.lines(&tip, &idle(work, &base));
    // A name may have become a file of its own by it.
    assert!(told.iter().all(|line| line.contains(" links")), "{told:?}");
    // The layer of a work area that lives on, and what that has grown on it since.
    let sealed = nodes.snapshot(work, &base, How::Idle).unwrap();
    let (chain, lives) = (base.clone().with(sealed.layer), sealed.work.unwrap());
    let over = if sealed.layer.0 == work.0 { &chain } else { &base };
    assert_eq!(nodes.lines(&Subject::tip(&chain), &idle(lives, over)), [""; 0]);
    write(&nodes, lives, over, "touch -r . time; mkdir new; rm p; touch -r time .; rm time; touch -r d .");
    let told = nodes.lines(&Subject::tip(&chain), &idle(lives, over));
    assert!(told.iter().any(|line| line == "A new") && told.iter().any(|line| line == "D p"), "{told:?}");
}

/// Where the directories `d3`, `d4` and so on of a tree lie, with what is in
/// them.
fn untouched(rootfs: &Rootfs) -> Vec<PathBuf> {
    let tops = match rootfs {
        Rootfs::Directory(path) => vec![path.clone()],
        Rootfs::Overlay(plan) => plan.lower.clone(),
        other => panic!("a kind of tree that the tests do not know: {other:?}"),
    };
    let inside = |top: &PathBuf| (3..=40).map(|number| top.join(format!("d{number}"))).collect::<Vec<_>>();
    let all = tops.iter().flat_map(inside).filter(|path| path.exists());
    all.flat_map(|path| [path.clone(), path.join("in"), path.join("in/file")]).collect()
}

fn d1_what_was_not_changed_is_looked_at_only_as_declared(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let script = "for i in $(seq 40); do mkdir -p d$i/in; echo x > d$i/in/file; done";
    let base = layer(&nodes, &Chain::EMPTY, script);
    let middle = layer(&nodes, &base, "echo y >> d1/in/file");
    let work = nodes.create(&middle).unwrap();
    write(&nodes, work, &middle, "echo z >> d1/in/file; mkdir -p d2/new; chmod 700 d1/in");
    let tree = |node, chain: &Chain| complete(nodes.backend.rootfs(node, chain, Access::Read)).unwrap();
    let base_tip = Subject::tip(&base);
    let mut paths = untouched(&tree(base_tip.node, &base));
    paths.extend(untouched(&tree(Node::Work(work), &middle)));
    paths.sort_unstable();
    paths.dedup();
    assert!(paths.len() >= 38 * 3, "{paths:?}");
    let watch = Watch::over_files(&paths);
    std::fs::read(&paths[2]).unwrap();
    assert!(watch.events() > 0, "the watch sees nothing");
    let pair = Pair::of(&nodes, &base_tip, &idle(work, &middle)).unwrap();
    let changes = pair.changes().unwrap();
    let seen = watch.events();
    assert!(changes.len() >= 4, "{changes:?}");
    pair.end(&nodes).unwrap();
    match nodes.capabilities().diff_cost {
        DiffCost::Changes => assert_eq!(seen, 0, "what was not changed is looked at"),
        DiffCost::Tree => assert!(seen > 0, "nothing is looked at: that can be declared"),
    }
}

/// Writes into a tree until it is told to stop: makes, moves and removes, and
/// changes what the chain holds.
fn write_on(tree: &Path, stop: &AtomicBool, rounds: &AtomicU64) -> std::io::Result<()> {
    while !stop.load(Ordering::SeqCst) {
        let round = rounds.load(Ordering::SeqCst);
        let own = tree.join(format!("own-{}", round % 7));
        std::fs::write(&own, round.to_string())?;
        std::fs::rename(&own, tree.join(format!("dir/moved-{}", round % 5)))?;
        let passing = tree.join(format!("dir/passing-{}", round % 3));
        std::fs::create_dir_all(passing.join("in"))?;
        std::fs::write(passing.join("in/file"), "x")?;
        std::fs::write(tree.join("lower"), round.to_string())?;
        if round % 2 == 1 {
            std::fs::remove_dir_all(passing)?;
        }
        rounds.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

/// Waits until so much more is written.
fn wait_for_more(rounds: &AtomicU64, writes: bool) {
    let before = rounds.load(Ordering::SeqCst);
    while writes && rounds.load(Ordering::SeqCst) < before + 3 {
        std::thread::yield_now();
    }
}

fn d11_who_writes_meanwhile_writes_on_and_what_is_frozen_is(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "mkdir dir; echo x > lower; echo x > dir/gone");
    let work = nodes.create(&base).unwrap();
    let written = nodes.view(Node::Work(work), &base, Access::Write).unwrap();
    let tree = top(&written);
    let before = mounts_below(fixture.root());
    let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_on(&tree, &stop, &rounds));
        wait_for_more(&rounds, true);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..10 {
                look_meanwhile(&nodes, work, &base, &|| wait_for_more(&rounds, !writer.is_finished()));
                assert_eq!(mounts_below(fixture.root()), before, "something is mounted");
            }
        }));
        stop.store(true, Ordering::SeqCst);
        writer.join().unwrap().unwrap_or_else(|error| panic!("who writes was disturbed: {error}"));
        if let Err(found) = outcome {
            std::panic::resume_unwind(found);
        }
    });
    std::fs::remove_file(tree.join("dir/gone")).unwrap();
    let paused = Subject { node: Node::Work(work), base: base.clone(), state: WorkState::Paused };
    let told = nodes.lines(&Subject::tip(&base), &paused);
    assert!(told.iter().any(|line| line == "D dir/gone"), "{told:?}");
    assert!(told.iter().any(|line| line.starts_with("C lower content")), "{told:?}");
}

/// The names in a tree, and what changes all the time; as much of it as is there.
fn glimpse(view: &View) -> (Vec<String>, Vec<String>, Option<String>) {
    let top = top(view);
    let lower = std::fs::read_to_string(top.join("lower")).ok();
    (names_in(&top), names_in(&top.join("dir")), lower)
}

/// Looks at a work area in which somebody writes.
fn look_meanwhile(nodes: &Nodes, work: WorkId, base: &Chain, wait: &dyn Fn()) {
    let subject = Subject { node: Node::Work(work), base: base.clone(), state: WorkState::Running };
    let mut scratch = Vec::new();
    let seen = nodes.observe(&subject, base.tip(), &mut scratch).unwrap();
    if let Rootfs::Overlay(plan) = &seen.view {
        assert!(plan.upper.is_none(), "what is written to would be mounted a second time: {plan:?}");
    }
    let view = View::open(&seen.view).unwrap();
    if seen.frozen {
        let first = glimpse(&view);
        wait();
        assert_eq!(glimpse(&view), first, "a tree that is said to be frozen was changed");
    }
    let here = nodes.view(Node::Layer(base.tip().unwrap()), base, Access::Read).unwrap();
    let trees = Comparison { from: Some(here.top()), to: view.top(), holes: false, one_file_system: true };
    let changes = change::compare(trees, seen.candidates).unwrap();
    assert!(changes.iter().any(|change| change.path == Path::new("lower")), "{changes:?}");
    drop((view, here));
    for node in scratch {
        nodes.delete(node).unwrap();
    }
}

fn d16_where_nothing_is_shared_every_place_is_named(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let one = layer(&nodes, &Chain::EMPTY, "mkdir d; echo x > d/f; echo x > same; touch -d @5 same");
    let other = layer(&nodes, &Chain::EMPTY, "mkdir d; echo x > d/g; echo x > same; touch -d @5 same");
    let work = nodes.create(&other).unwrap();
    write(&nodes, work, &other, "echo y > d/h");
    let here = nodes.view(Node::Layer(one.tip().unwrap()), &one, Access::Read).unwrap();
    for subject in [Subject::tip(&other), idle(work, &other)] {
        let seen = nodes.observe(&subject, None, &mut Vec::new()).unwrap();
        let there = View::open(&seen.view).unwrap();
        let trees =
            Comparison { from: Some(here.top()), to: there.top(), holes: false, one_file_system: false };
        let changes = change::compare(trees, seen.candidates).unwrap();
        let has = |path: &str| changes.iter().any(|change| change.path == Path::new(path));
        assert!(has("d/f") && has("d/g") && !has("same"), "{changes:?}");
        assert_eq!(has("d/h"), subject.node == Node::Work(work), "{changes:?}");
        let told = nodes.lines(&Subject::tip(&one), &subject);
        assert!(
            told.iter().any(|line| line == "D d/f") && told.iter().any(|line| line == "A d/g"),
            "{told:?}"
        );
    }
}

fn d16_a_layer_that_is_gone_is_no_help_and_no_hindrance(fixture: &Fixture) {
    let nodes = fixture.nodes();
    if nodes.capabilities().layers == Layers::Delta {
        // It cannot go before what stands on it.
        return;
    }
    let base = layer(&nodes, &Chain::EMPTY, "mkdir d; echo x > d/f; echo x > g");
    let one = layer(&nodes, &base, "echo y > d/f");
    let other = layer(&nodes, &base, "rm g");
    let work = nodes.create(&other).unwrap();
    write(&nodes, work, &other, "mkdir new");
    nodes.delete(base.tip().unwrap().0).unwrap();
    for subject in [Subject::tip(&other), idle(work, &other)] {
        let told = nodes.lines(&Subject::tip(&one), &subject);
        let has = |line: &str| told.iter().any(|found| found.starts_with(line));
        assert!(has("D g") && has("C d/f content"), "{told:?}");
    }
    // A number that no layer ever had is none either.
    let seen =
        nodes.observe(&idle(work, &other), Some(LayerId(NodeId(4_000_000_000))), &mut Vec::new()).unwrap();
    let here = nodes.view(Node::Layer(one.tip().unwrap()), &one, Access::Read).unwrap();
    let there = View::open(&seen.view).unwrap();
    let trees = Comparison { from: Some(here.top()), to: there.top(), holes: false, one_file_system: false };
    let changes = change::compare(trees, seen.candidates).unwrap();
    let has = |path: &str| changes.iter().any(|change| change.path == Path::new(path));
    assert!(has("g") && has("d/f"), "{changes:?}");
}

fn a4_a_tree_that_does_not_exist_is_not_found(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "echo x > file");
    let missing = NodeId(4_000_000_000);
    let work = nodes.create(&base).unwrap();
    nodes.delete(work.0).unwrap();
    let layer = Node::Layer(LayerId(missing));
    for (node, base) in [
        (Node::Work(WorkId(missing)), base.clone()),
        (Node::Work(work), base.clone()),
        (layer, base.clone().with(LayerId(missing))),
    ] {
        for (state, scratch) in [(WorkState::Idle, None), (WorkState::Running, Some(nodes.fresh()))] {
            let look = Look { node, base: &base, since: base.layers().first().copied(), state, scratch };
            refused("observe", complete(nodes.backend.observe(look)), &[ErrorKind::NotFound]);
        }
    }
}
