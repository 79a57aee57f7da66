//! M1, M2, M4: many layers, and roots at odd places.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use mocker_core::ErrorKind;
use mocker_core::backend::{Access, Chain, Node, Rootfs, complete};
use mocker_core::mount::View;

use super::{refused, top};
use crate::cases;
use crate::edit::Edit;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::script::{Action, How, Stage, Step};
use crate::suites::ground::mounts_below;

pub(super) fn cases() -> Vec<Case> {
    cases![
        m1_many_layers_that_touch_the_same_paths_equal_a_plain_directory,
        m2_the_deepest_chain_works_and_one_more_is_refused_before_mounting,
        m4_the_place_of_a_store_can_have_any_name,
    ]
}

/// Plays steps, numbered from 1, on the backend and on plain directories.
#[track_caller]
pub(crate) fn play(fixture: &Fixture, actions: Vec<Action>) {
    play_on(&fixture.stage(), actions);
}

/// Plays steps on the lane's backend at another root.
#[track_caller]
pub(crate) fn play_at(fixture: &Fixture, root: &Path, actions: Vec<Action>) {
    let driver = fixture.lane().driver();
    drop((driver.open)(root).unwrap_or_else(|error| panic!("{}: {error}", root.display())));
    // On the file system of the trees.
    let own = root.join(driver.name);
    let beside = if own.is_dir() { own.join("beside") } else { root.join("beside") };
    let root = root.to_owned();
    play_on(&Stage::new(move || (driver.open)(&root), beside), actions);
}

#[track_caller]
fn play_on(stage: &Stage, actions: Vec<Action>) {
    let script: Vec<_> = (1..).zip(actions).map(|(number, action)| Step { number, action }).collect();
    if let Err(failure) = stage.play(&script) {
        let lines: Vec<_> = script.iter().map(ToString::to_string).collect();
        panic!("{}\nand there, in step {}: {failure}", lines.join("\n"), failure.steps);
    }
}

fn path(name: impl Into<PathBuf>) -> PathBuf {
    name.into()
}

/// A short life: edits of every kind, each way to commit, a branch, a deletion.
pub(crate) fn a_bit_of_everything() -> Vec<Action> {
    let edit = Action::Edit;
    vec![
        edit(Edit::MakeDirectory { path: path("dir"), mode: 0o2755 }),
        edit(Edit::Create { path: path("dir/file"), mode: 0o640 }),
        edit(Edit::Write { path: path("dir/file"), at: 8192, length: 9000, byte: b'1' }),
        edit(Edit::Link { from: path("dir/file"), to: path("link") }),
        edit(Edit::Symlink { path: path("symbolic"), target: path("dir/file") }),
        edit(Edit::SetAttribute {
            path: path("dir"),
            name: "user.mark".to_owned(),
            value: b"value".to_vec(),
        }),
        Action::Commit(How::Consume),
        edit(Edit::Append { path: path("dir/file"), length: 10, byte: b'2' }),
        edit(Edit::Unlink { path: path("symbolic") }),
        edit(Edit::Chown { path: path("dir"), uid: 7, gid: 8 }),
        Action::Commit(How::Idle),
        edit(Edit::MakeDirectory { path: path("dir/own"), mode: 0o700 }),
        edit(Edit::Rename { from: path("dir/own"), to: path("own") }),
        Action::Commit(How::Paused),
        Action::Branch(Some(7)),
        edit(Edit::Truncate { path: path("link"), size: 5000 }),
        edit(Edit::Rename { from: path("link"), to: path("dir/other") }),
        Action::Commit(How::Idle),
        Action::Reopen,
        Action::Switch(0),
        Action::DeleteWork(15),
        Action::DeleteLayer(18),
    ]
}

fn m1_many_layers_that_touch_the_same_paths_equal_a_plain_directory(fixture: &Fixture) {
    const LAYERS: u64 = 128;
    let edit = Action::Edit;
    let mut actions = vec![
        edit(Edit::MakeDirectory { path: path("dir"), mode: 0o755 }),
        edit(Edit::Create { path: path("dir/same"), mode: 0o644 }),
    ];
    for layer in 0..LAYERS {
        let byte = u8::try_from(layer).unwrap();
        actions.push(edit(Edit::Write { path: path("dir/same"), at: layer * 10, length: 20, byte }));
        // There for a layer, gone for one, and then something else.
        let odd = path(format!("dir/odd-{}", layer % 4));
        match layer / 4 % 4 {
            0 => actions.push(edit(Edit::Create { path: odd, mode: 0o600 })),
            1 => actions.push(edit(Edit::Unlink { path: odd })),
            2 => actions.push(edit(Edit::MakeDirectory { path: odd, mode: 0o711 })),
            _ => actions.push(edit(Edit::RemoveDirectory { path: odd })),
        }
        actions.push(edit(Edit::Chmod { path: path("dir"), mode: 0o700 + u32::from(byte) % 8 }));
        // Of what only one layer has, little, because every tree is compared at every step.
        if layer % 16 == 0 {
            actions.push(edit(Edit::Create { path: path(format!("dir/{layer}")), mode: 0o644 }));
        }
        actions.push(Action::Commit(if layer % 2 == 0 { How::Idle } else { How::Consume }));
    }
    play(fixture, actions);
}

/// How deep to go where nothing limits it.
fn depth(fixture: &Fixture) -> usize {
    let unlimited = if crate::soaks() { 500 } else { 300 };
    fixture.capabilities().max_depth.unwrap_or(unlimited)
}

fn m2_the_deepest_chain_works_and_one_more_is_refused_before_mounting(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let depth = depth(fixture);
    let (mut chain, mut work) = (Chain::EMPTY, nodes.create(&Chain::EMPTY).unwrap());
    for number in 1..=depth {
        // Few of them need to hold anything.
        if number == 1 || number == depth || number % 100 == 0 {
            let view = nodes.view(Node::Work(work), &chain, Access::Write).unwrap();
            std::fs::write(top(&view).join(format!("from-{number}")), number.to_string()).unwrap();
            std::fs::write(top(&view).join("everywhere"), number.to_string()).unwrap();
        }
        let sealed = nodes.snapshot(work, &chain, How::Idle).unwrap();
        chain = chain.with(sealed.layer);
        let lives = sealed.work.unwrap();
        if lives == work && nodes.capabilities().layers == mocker_core::backend::Layers::Delta {
            panic!("a difference became a layer, and the work area stands on the same as before");
        }
        work = lives;
    }
    let assert_whole = |node, access| {
        let view = nodes.view(node, &chain, access).unwrap();
        let read = |name: &str| std::fs::read_to_string(top(&view).join(name)).unwrap();
        let last = depth.to_string();
        assert_eq!([read("from-1"), read("everywhere"), read(&format!("from-{depth}"))], ["1", &last, &last]);
        view
    };
    assert_whole(Node::Layer(chain.tip().unwrap()), Access::Read);
    // The way out of too many layers reads the work area over all of them.
    assert_whole(Node::Work(work), Access::Read);
    let view = assert_whole(Node::Work(work), Access::Write);
    std::fs::write(top(&view).join("works"), "").unwrap();
    drop(view);
    if nodes.capabilities().max_depth.is_none() {
        return;
    }
    let sealed = nodes.snapshot(work, &chain, How::Idle).unwrap();
    let chain = chain.with(sealed.layer);
    let work = sealed.work.unwrap();
    // Other cases mount something elsewhere.
    let before = mounts_below(fixture.root());
    let plan = complete(nodes.backend.rootfs(Node::Work(work), &chain, Access::Read));
    let limit = too_deep(plan);
    assert!(limit.contains(&(depth + 1).to_string()) || limit.contains(&(depth + 2).to_string()), "{limit}");
    assert!(limit.contains("--squash"), "no way out is named: {limit}");
    assert_eq!(mounts_below(fixture.root()), before);
}

/// What is said of a tree with too many layers, when it is asked for or opened.
#[track_caller]
fn too_deep(plan: mocker_core::Result<Rootfs>) -> String {
    refused("one layer too many", plan.and_then(|plan| View::open(&plan)), &[ErrorKind::Unsupported])
}

fn m4_the_place_of_a_store_can_have_any_name(fixture: &Fixture) {
    let long = "l".repeat(230);
    let names = [
        "two words",
        "com,ma",
        "co:lon",
        "back\\slash",
        "per%41cent",
        "'quotes\"",
        "-o ro",
        "new\nline",
        "ünï",
        &long,
    ];
    let real = fixture.scratch().join("real");
    std::fs::create_dir(&real).unwrap();
    let link = fixture.scratch().join("link");
    symlink(&real, &link).unwrap();
    for name in names {
        // Through a symlink, and all at once in the end.
        lives_at(fixture, &link.join(name));
    }
    let all = names[..9].iter().fold(real, |path, name| path.join(name));
    std::fs::create_dir_all(&all).unwrap();
    lives_at(fixture, &all.join("root"));
}

#[track_caller]
fn lives_at(fixture: &Fixture, root: &Path) {
    // A pool for each name would take a while to make; the names are the mount's business.
    std::fs::create_dir(root).unwrap();
    play_at(fixture, root, a_bit_of_everything());
    if fixture.lane().has_pool() {
        let unmounted = std::process::Command::new("umount").arg(root.join("btrfs")).status().unwrap();
        assert!(unmounted.success(), "the pool at {} stays", root.display());
    }
}
