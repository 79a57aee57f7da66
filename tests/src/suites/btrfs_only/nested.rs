//! R2, R3: subvolumes that were made inside a work area.

use std::path::Path;

use mocker_core::ErrorKind;
use mocker_core::backend::{Chain, Nested, Seal, complete};

use super::{btrfs, subvolume};
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes::order;
use crate::oracle;
use crate::script::How;
use crate::suites::nodes::{bash, layer, numbers, refused, same, seal, tip_of, tree_of};

pub(super) fn cases() -> Vec<Case> {
    cases![
        r2_nested_subvolumes_go_with_their_node,
        r3_nested_subvolumes_refuse_a_snapshot_by_their_paths,
        r3_flattened_subvolumes_keep_all_that_is_in_them,
    ]
}

/// Two levels, read-only ones, a snapshot, and one at the end of a path that no
/// system call takes.
fn make(tree: &Path) {
    let script = "
        q() { btrfs -q \"$@\"; }
        mkdir -p a/b; q subvolume create a/b/outer; echo outer > a/b/outer/file
        mkdir a/b/outer/dir; q subvolume create a/b/outer/dir/inner; echo inner > a/b/outer/dir/inner/file
        q subvolume snapshot -r a/b/outer/dir/inner frozen
        q property set a/b/outer/dir/inner ro true; q property set a/b/outer ro true";
    bash(tree, script);
}

const PATHS: [&str; 3] = ["/a/b/outer", "/a/b/outer/dir/inner", "/frozen"];

fn r2_nested_subvolumes_go_with_their_node(fixture: &Fixture) {
    let nodes = fixture.nodes();
    assert_eq!(nodes.capabilities().nested, Nested::Flattened);
    // Other cases have theirs on the same file system, unless it is a pool.
    let mine = fixture.root().parent().unwrap().file_name().unwrap().to_str().unwrap();
    let mine = if fixture.lane().has_pool() { " path ".to_owned() } else { format!(" path {mine}/") };
    let place = fixture.nodes_directory("btrfs");
    let listed = || {
        let all = btrfs(&["subvolume", "list"], &place);
        all.lines().filter(|line| line.contains(&mine)).count()
    };
    let base = layer(&nodes, &Chain::EMPTY, "mkdir kept");
    let before = listed();
    for deep in [false, true] {
        let work = nodes.create(&base).unwrap();
        let tree = subvolume(&nodes, work, &base);
        make(&tree);
        if deep {
            let name = "d".repeat(250);
            let script = format!(
                "for i in $(seq 30); do mkdir {name}; cd -P {name}; done; btrfs -q subvolume create end; \
                 echo x > end/file"
            );
            bash(&tree, &script);
        }
        complete(nodes.backend.delete(work.0)).unwrap();
        assert!(!tree.exists());
        assert_eq!(numbers(&nodes), [base.tip().unwrap().0]);
        complete(nodes.backend.reclaim()).unwrap();
        assert_eq!(listed(), before, "a subvolume is left");
    }
}

fn r3_nested_subvolumes_refuse_a_snapshot_by_their_paths(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "mkdir kept");
    let work = nodes.create(&base).unwrap();
    let tree = subvolume(&nodes, work, &base);
    make(&tree);
    let (before, known) = (oracle::look(&tree), numbers(&nodes));
    for how in [How::Idle, How::Paused, How::Consume] {
        let said = refused("snapshot", seal(&nodes, work, &base, nodes.fresh(), how), &[ErrorKind::Conflict]);
        for path in PATHS {
            assert!(said.contains(path), "nothing is said of {path}: {said}");
        }
        assert_eq!(numbers(&nodes), known, "{how:?}: something is left of it");
        same("the work area", &before, &oracle::look(&tree));
    }
    // A container may not be stopped, and then it is not flattened.
    let flatten = Seal { flatten: true, ..order(work, &base, How::Paused, nodes.fresh()) };
    let frozen = complete(nodes.backend.snapshot(flatten));
    refused("to flatten what is in use", frozen, &[ErrorKind::Unsupported]);
    assert_eq!(numbers(&nodes), known);
}

fn r3_flattened_subvolumes_keep_all_that_is_in_them(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "mkdir kept");
    for how in [How::Idle, How::Consume] {
        let work = nodes.create(&base).unwrap();
        let tree = subvolume(&nodes, work, &base);
        make(&tree);
        let before = oracle::look(&tree);
        assert!(before.has("/a/b/outer/dir/inner/file") && before.has("/frozen/file"));
        let spare = nodes.fresh();
        let flatten = Seal { flatten: true, ..order(work, &base, how, spare) };
        let sealed = complete(nodes.backend.snapshot(flatten)).unwrap();
        let chain = base.clone().with(sealed.layer);
        same("the layer", &before, &tip_of(&nodes, &chain));
        // The work area is as it was; what stands on the layer can be frozen without a word.
        same("the work area", &before, &tree_of(&nodes, work, &base));
        let above = nodes.create(&chain).unwrap();
        nodes.snapshot(above, &chain, How::Idle).unwrap();
        nodes.delete(work.0).unwrap();
    }
}
