//! L12, L13, L14: what is frozen stays as it is, whoever holds what, and what
//! stands on one layer does not see what stands beside it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mocker_core::ErrorKind;
use mocker_core::backend::{Access, Chain, CommitConsistency, Node, Views, complete};
use rustix::io::Errno;

use super::{EVERYTHING, base_after, layer, play, same, tip_of, top};
use crate::cases;
use crate::edit::Edit;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes::{look, order};
use crate::script::{Action, How};
use crate::suites::ground::mounts_below;
use crate::sys::Mapping;

pub(super) fn cases() -> Vec<Case> {
    cases![
        l12_a_write_through_the_tree_of_a_layer_does_what_is_declared,
        l12_asking_for_a_tree_mounts_nothing,
        l13_an_old_descriptor_never_reaches_the_layer,
        l13_an_old_mapping_never_reaches_the_layer,
        l13_who_still_holds_an_idle_work_area_is_refused_or_harmless,
        l14_two_work_areas_over_one_layer_do_not_see_each_other,
    ]
}

/// Something that changes a tree.
type Deed = fn(&Path) -> std::io::Result<()>;

fn l12_a_write_through_the_tree_of_a_layer_does_what_is_declared(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, EVERYTHING);
    let before = tip_of(&nodes, &base);
    let view = nodes.view(Node::Layer(base.tip().unwrap()), &base, Access::Read).unwrap();
    let tree = top(&view);
    let deeds: [(&str, Deed); 6] = [
        ("make a file", |tree| File::create(tree.join("new")).map(drop)),
        ("write to a file", |tree| {
            OpenOptions::new().append(true).open(tree.join("dir/file"))?.write_all(b"more")
        }),
        ("remove a file", |tree| std::fs::remove_file(tree.join("program"))),
        ("make a directory", |tree| std::fs::create_dir(tree.join("dir/new"))),
        ("rename", |tree| std::fs::rename(tree.join("hole"), tree.join("elsewhere"))),
        ("change an owner", |tree| std::os::unix::fs::chown(tree.join("dir"), Some(1), Some(1))),
    ];
    for (what, deed) in deeds {
        let outcome = deed(&tree);
        match nodes.capabilities().views {
            Views::ReadOnly => {
                let refused = outcome.map_err(|error| error.raw_os_error());
                assert_eq!(refused, Err(Some(Errno::ROFS.raw_os_error())), "{what}");
            }
            Views::Plain => {
                assert!(outcome.is_ok(), "{what}: it is declared to be possible: {outcome:?}");
            }
        }
    }
    drop(view);
    if nodes.capabilities().views == Views::ReadOnly {
        same("the layer", &before, &tip_of(&nodes, &base));
    }
}

fn l12_asking_for_a_tree_mounts_nothing(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "echo x > file");
    let work = nodes.create(&base).unwrap();
    // A pool is mounted by now. Another case may mount something elsewhere.
    let before = mounts_below(fixture.root());
    let (work, tip) = (Node::Work(work), Node::Layer(base.tip().unwrap()));
    for (node, access) in [(work, Access::Read), (work, Access::Write), (tip, Access::Read)] {
        let plan = complete(nodes.backend.rootfs(node, &base, access)).unwrap();
        assert_eq!(mounts_below(fixture.root()), before, "{node:?}, {access:?}");
        // It is the same whenever it is asked for.
        assert_eq!(complete(nodes.backend.rootfs(node, &base, access)).unwrap(), plan);
    }
}

/// What freezes under whoever holds it, or why it must be paused at least.
fn is_paused(fixture: &Fixture) -> bool {
    fixture.capabilities().commit_running != CommitConsistency::Stopped
}

/// Holds a file; calling what it answers fills it with a byte.
type Hold = fn(&Path) -> Box<dyn Fn(u8)>;

/// Freezes a work area in use: files of its chain and of its own are held.
fn in_use(fixture: &Fixture, hold: Hold) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "head -c 8192 /dev/zero > lower; mkdir dir");
    let work = nodes.create(&base).unwrap();
    let view = nodes.view(Node::Work(work), &base, Access::Write).unwrap();
    std::fs::write(top(&view).join("own"), [0; 8192]).unwrap();
    let held: Vec<_> = ["lower", "own"].map(|name| hold(&top(&view).join(name))).into();
    held.iter().for_each(|write| write(b'a'));
    let how = if is_paused(fixture) { How::Paused } else { How::Idle };
    let outcome = complete(nodes.backend.snapshot(order(work, &base, how, nodes.fresh())));
    let sealed = match outcome {
        Ok(sealed) => sealed,
        // It must be stopped for that, and says so.
        Err(error) if how == How::Idle && error.kind() == ErrorKind::Busy => return,
        Err(error) => panic!("cannot snapshot: {error}"),
    };
    let chain = base.clone().with(sealed.layer);
    let layer = nodes.view(Node::Layer(sealed.layer), &chain, Access::Read).unwrap();
    let before = look(&layer);
    for name in ["lower", "own"] {
        assert_eq!(std::fs::read(top(&layer).join(name)).unwrap(), [b'a'; 8192], "{name} when it was frozen");
    }
    held.iter().for_each(|write| write(b'b'));
    std::fs::write(top(&view).join("dir/new"), "new").unwrap();
    same("the layer, seen before and after,", &before, &look(&layer));
    drop(layer);
    same("the layer, seen anew,", &before, &tip_of(&nodes, &chain));
    for name in ["lower", "own"] {
        assert_eq!(std::fs::read(top(&view).join(name)).unwrap(), [b'b'; 8192], "{name} in the work area");
    }
    drop((held, view));
    let (lives, over) = (sealed.work.unwrap(), base_after(work, &base, sealed));
    let view = nodes.view(Node::Work(lives), &over, Access::Read).unwrap();
    assert_eq!(std::fs::read(top(&view).join("own")).unwrap(), [b'b'; 8192], "own, in the end");
    same("the layer, in the end,", &before, &tip_of(&nodes, &chain));
}

fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

fn l13_an_old_descriptor_never_reaches_the_layer(fixture: &Fixture) {
    in_use(fixture, |path| {
        let file = open(path);
        Box::new(move |byte| {
            file.write_all_at(&[byte; 8192], 0).unwrap();
            file.sync_all().unwrap();
        })
    });
}

fn l13_an_old_mapping_never_reaches_the_layer(fixture: &Fixture) {
    in_use(fixture, |path| {
        let mapping = Mapping::of(&open(path), 8192);
        Box::new(move |byte| {
            mapping.fill(byte);
            // Half of the time it is not on the disk when it is frozen.
            if byte == b'b' {
                mapping.sync();
            }
        })
    });
}

fn l13_who_still_holds_an_idle_work_area_is_refused_or_harmless(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "echo lower > lower");
    let work = nodes.create(&base).unwrap();
    let view = nodes.view(Node::Work(work), &base, Access::Write).unwrap();
    let file = open(&top(&view).join("lower"));
    drop(view);
    let spare = nodes.fresh();
    match complete(nodes.backend.snapshot(order(work, &base, How::Idle, spare))) {
        Ok(sealed) => {
            let chain = base.clone().with(sealed.layer);
            let before = tip_of(&nodes, &chain);
            file.write_all_at(b"other", 0).unwrap();
            same("the layer", &before, &tip_of(&nodes, &chain));
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
            assert!(error.hint().is_some(), "no way out is named: {error}");
            file.write_all_at(b"other", 0).unwrap();
            drop(file);
            nodes.delete(spare).unwrap();
            let sealed = nodes.snapshot(work, &base, How::Idle).unwrap();
            let view = nodes.view(Node::Layer(sealed.layer), &base.with(sealed.layer), Access::Read).unwrap();
            assert_eq!(std::fs::read_to_string(top(&view).join("lower")).unwrap(), "other\n");
        }
    }
}

fn l14_two_work_areas_over_one_layer_do_not_see_each_other(fixture: &Fixture) {
    let path = |name: &str| PathBuf::from(name);
    let create = |name: &str| Action::Edit(Edit::Create { path: path(name), mode: 0o644 });
    let write =
        |name: &str, byte| Action::Edit(Edit::Write { path: path(name), at: 100, length: 5000, byte });
    let rename = |from: &str, to: &str| Action::Edit(Edit::Rename { from: path(from), to: path(to) });
    let unlink = |name: &str| Action::Edit(Edit::Unlink { path: path(name) });
    let directory = |name: &str| Action::Edit(Edit::MakeDirectory { path: path(name), mode: 0o755 });
    // Step 8 makes the layer; 9 and 10 are the work areas over it, beside that which went on.
    let steps = vec![
        directory("dir"),
        create("dir/one"),
        create("dir/two"),
        create("three"),
        write("dir/one", b'1'),
        write("dir/two", b'2'),
        write("three", b'3'),
        Action::Commit(How::Idle),
        Action::Branch(Some(8)),
        Action::Branch(Some(8)),
        write("dir/one", b'x'),
        unlink("dir/two"),
        rename("three", "dir/three"),
        create("only-in-10"),
        Action::Switch(9),
        write("dir/one", b'y'),
        rename("dir/two", "two"),
        unlink("three"),
        directory("only-in-9"),
        Action::Edit(Edit::Chmod { path: path("dir"), mode: 0o700 }),
        Action::Switch(10),
        Action::Commit(How::Paused),
        create("two"),
        Action::Switch(0),
        unlink("dir/one"),
        create("dir/one"),
        Action::Commit(How::Consume),
        Action::Branch(Some(8)),
    ];
    play(fixture, steps);
}
