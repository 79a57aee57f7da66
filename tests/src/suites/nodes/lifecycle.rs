//! L1, L3, L10, C1, K1, D10: a work area is made, written to, frozen, and lives
//! on or ends.

use mocker_core::backend::{Access, Chain, Node, WorkId, complete};
use mocker_core::tree::leave_out::{self, LeaveOut, TargetKind};
use rustix::fs::Mode;

use super::{EVERYTHING, HOWS, alone, base_after, layer, numbers, same, seal, tip_of, top, tree_of, write};
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes::{look, order};
use crate::oracle;
use crate::script::How;
use crate::suites::ground;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = cases![
        l1_what_was_written_is_what_the_layer_and_all_above_it_show,
        l3_a_name_that_was_removed_can_be_used_for_anything,
        c1_the_work_area_lives_on_with_its_tree_unchanged,
        k1_until_the_commit_point_the_old_state_stands,
        l10_the_top_is_0755_of_root_whatever_the_umask,
        d10_paths_of_the_engine_are_not_in_the_layer_unless_something_is_in_them,
    ];
    // What is free on the lane's file system is everybody's.
    cases.push(alone("l1_a_consume_copies_no_file_data", consume));
    cases
}

fn l1_what_was_written_is_what_the_layer_and_all_above_it_show(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let work = nodes.create(&Chain::EMPTY).unwrap();
    assert_eq!(tree_of(&nodes, work, &Chain::EMPTY).len(), 1, "a work area over nothing is not empty");
    write(&nodes, work, &Chain::EMPTY, EVERYTHING);
    let written = tree_of(&nodes, work, &Chain::EMPTY);
    assert_eq!(written.len(), 11, "{written:?}");
    let sealed = nodes.snapshot(work, &Chain::EMPTY, How::Consume).unwrap();
    let chain = Chain::EMPTY.with(sealed.layer);
    assert_eq!(numbers(&nodes), [sealed.layer.0], "the work area ended");
    same("the layer", &written, &tip_of(&nodes, &chain));
    let above = nodes.create(&chain).unwrap();
    same("a work area over it, for reading,", &written, &tree_of(&nodes, above, &chain));
    let view = nodes.view(Node::Work(above), &chain, Access::Write).unwrap();
    same("a work area over it, for writing,", &written, &look(&view));
    drop(view);
    // Opened anew it is all still there.
    let again = crate::nodes::Nodes::of(fixture.open_backend());
    same("the layer, opened anew,", &written, &tip_of(&again, &chain));
}

/// Names are the engine's; a backend's numbers are never used again.
fn l3_a_name_that_was_removed_can_be_used_for_anything(fixture: &Fixture) {
    fixture.image("base");
    for round in ["first", "second"] {
        fixture.ok(&["run", "--name", "name", "base", "sh", "-c", &format!("echo {round} > /made")]);
        fixture.ok(&["commit", "name", "made"]);
        fixture.ok(&["rm", "name"]);
        assert_eq!(fixture.ok(&["run", "--rm", "made", "cat", "/made"]), round);
        fixture.ok(&["rm", "made"]);
        // What named a container names an image, and what named a commit is imported.
        for name in ["name", "made"] {
            fixture.image(name);
            fixture.ok(&["run", "--rm", "--name", "name", &format!("{name}:latest"), "true"]);
            fixture.ok(&["rm", name]);
        }
    }
    fixture.assert_consistent();
}

fn c1_the_work_area_lives_on_with_its_tree_unchanged(fixture: &Fixture) {
    let nodes = fixture.nodes();
    for how in [How::Idle, How::Paused] {
        let base = layer(&nodes, &Chain::EMPTY, EVERYTHING);
        let work = nodes.create(&base).unwrap();
        write(
            &nodes,
            work,
            &base,
            "rm link; echo more >> program; mv dir/file moved; mkdir new; rm -r empty",
        );
        let held = (how == How::Paused).then(|| nodes.view(Node::Work(work), &base, Access::Write).unwrap());
        let before = tree_of(&nodes, work, &base);
        let sealed = nodes.snapshot(work, &base, how).unwrap();
        let chain = base.clone().with(sealed.layer);
        same("the layer", &before, &tip_of(&nodes, &chain));
        let (lives, over) = (sealed.work.unwrap(), base_after(work, &base, sealed));
        same("the work area that lives on", &before, &tree_of(&nodes, lives, &over));
        match held {
            // What was open stays open.
            Some(view) => {
                same("the view that stayed open", &before, &look(&view));
                std::fs::write(top(&view).join("later"), "later").unwrap();
            }
            None => write(&nodes, lives, &over, "echo later > later"),
        }
        assert!(tree_of(&nodes, lives, &over).has("/later"));
        same("the layer, after a later change,", &before, &tip_of(&nodes, &chain));
    }
}

fn k1_until_the_commit_point_the_old_state_stands(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, EVERYTHING);
    let beneath = tip_of(&nodes, &base);
    for how in HOWS {
        let work = nodes.create(&base).unwrap();
        write(&nodes, work, &base, "echo changed > dir/file; rm -r empty; mkdir new");
        let before = tree_of(&nodes, work, &base);
        let known = numbers(&nodes);
        let spare = nodes.fresh();
        seal(&nodes, work, &base, spare, how).unwrap();
        // The engine died here: no record knows of it.
        nodes.delete(spare).unwrap();
        assert_eq!(numbers(&nodes), known, "{how:?}: something is left of it");
        let view = nodes.view(Node::Work(work), &base, Access::Write).unwrap();
        same(&format!("{how:?}: the work area"), &before, &look(&view));
        std::fs::write(top(&view).join("later"), "works").unwrap();
        drop(view);
        // And once more, to the end this time.
        nodes.snapshot(work, &base, how).unwrap();
        for node in numbers(&nodes).into_iter().filter(|node| *node != base.tip().unwrap().0) {
            nodes.delete(node).unwrap();
        }
        same(&format!("{how:?}: the layer beneath"), &beneath, &tip_of(&nodes, &base));
    }
}

/// What the engine makes in a tree: a directory, a file, and two in which
/// somebody puts something.
fn mount_points() -> Vec<LeaveOut> {
    let target = |path: &str, kind| LeaveOut { path: path.into(), kind };
    vec![
        target("dev", TargetKind::Directory),
        target("dir/hosts", TargetKind::File),
        target("full", TargetKind::Directory),
        target("dir/written", TargetKind::File),
    ]
}

fn d10_paths_of_the_engine_are_not_in_the_layer_unless_something_is_in_them(fixture: &Fixture) {
    let nodes = fixture.nodes();
    for how in HOWS {
        // Once the parents are from a layer, once from the work area itself.
        for base in [Chain::EMPTY, layer(&nodes, &Chain::EMPTY, EVERYTHING)] {
            let work = nodes.create(&base).unwrap();
            if base == Chain::EMPTY {
                write(&nodes, work, &base, EVERYTHING);
            }
            let before = tree_of(&nodes, work, &base);
            let targets = mount_points();
            let view = nodes.view(Node::Work(work), &base, Access::Write).unwrap();
            leave_out::make(view.top(), &targets).unwrap();
            drop(view);
            same(
                "the tree without them",
                &before,
                &targets.iter().fold(tree_of(&nodes, work, &base), without),
            );
            write(&nodes, work, &base, "touch full/inside; echo x > dir/written");
            let with_all = tree_of(&nodes, work, &base);
            let spare = nodes.fresh();
            let seal = mocker_core::backend::Seal { leave_out: &targets, ..order(work, &base, how, spare) };
            let sealed = nodes.seal(seal).unwrap();
            let found = tip_of(&nodes, &base.clone().with(sealed.layer));
            let expected = targets[..2].iter().fold(with_all, without);
            same(&format!("{how:?}: the layer"), &expected, &found);
            assert!(
                found.has("/full/inside") && found.has("/dir/written"),
                "{how:?}: what was put there is gone"
            );
        }
    }
}

fn without(tree: oracle::Tree, target: &LeaveOut) -> oracle::Tree {
    tree.without(&format!("/{}", target.path.display()))
}

fn l10_the_top_is_0755_of_root_whatever_the_umask(fixture: &Fixture) {
    // The mask is the whole process's, but for a thread that has its own.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS).unwrap();
    let nodes = fixture.nodes();
    for mask in [0o777, 0o077, 0] {
        let masked = |what: &dyn Fn() -> mocker_core::Result<()>| {
            let before = rustix::process::umask(Mode::from_raw_mode(mask));
            let outcome = what();
            rustix::process::umask(before);
            outcome.unwrap();
        };
        let (work, above) = (WorkId(nodes.fresh()), WorkId(nodes.fresh()));
        masked(&|| complete(nodes.backend.create(work, &Chain::EMPTY)));
        let view = nodes.view(Node::Work(work), &Chain::EMPTY, Access::Write).unwrap();
        let seen = rustix::fs::fstat(view.top()).unwrap();
        assert_eq!(
            (seen.st_mode & 0o7777, seen.st_uid, seen.st_gid),
            (0o755, 0, 0),
            "with the mask {mask:o}"
        );
        // A mode that was set stays.
        rustix::fs::fchmod(view.top(), Mode::from_raw_mode(0o1751)).unwrap();
        drop(view);
        let sealed = nodes.snapshot(work, &Chain::EMPTY, How::Consume).unwrap();
        let chain = Chain::EMPTY.with(sealed.layer);
        masked(&|| complete(nodes.backend.create(above, &chain)));
        for node in [Node::Layer(sealed.layer), Node::Work(above)] {
            let view = nodes.view(node, &chain, Access::Read).unwrap();
            let mode = rustix::fs::fstat(view.top()).unwrap().st_mode & 0o7777;
            assert_eq!(mode, 0o1751, "{node:?} with the mask {mask:o}");
        }
    }
}

fn consume(fixture: &Fixture) {
    const DATA: u64 = 64 << 20;
    let nodes = fixture.nodes();
    let work = nodes.create(&Chain::EMPTY).unwrap();
    write(&nodes, work, &Chain::EMPTY, "dd if=/dev/urandom of=much bs=1M count=64 2>/dev/null; sync -f .");
    let place = fixture.beside_the_trees();
    let place = place.parent().unwrap();
    let before = ground::free(place);
    let sealed = seal(&nodes, work, &Chain::EMPTY, nodes.fresh(), How::Consume).unwrap();
    assert_eq!(sealed.work, None);
    complete(nodes.backend.persist(Node::Layer(sealed.layer))).unwrap();
    let taken = before.saturating_sub(ground::free(place));
    assert!(taken < DATA / 4, "it took {taken} bytes for {DATA} that were there");
    // Whichever of the two is not the layer can go.
    for node in numbers(&nodes).into_iter().filter(|node| *node != sealed.layer.0) {
        nodes.delete(node).unwrap();
    }
    let layer =
        nodes.view(Node::Layer(sealed.layer), &Chain::EMPTY.with(sealed.layer), Access::Read).unwrap();
    assert_eq!(top(&layer).join("much").metadata().unwrap().len(), DATA);
}
