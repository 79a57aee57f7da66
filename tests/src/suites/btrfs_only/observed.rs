//! D1, D4, D8, D11, D15, D16: which places btrfs names where its search could
//! easily be wrong: what is not on the disk yet, what lies deep, what was
//! flattened or nested, and layers that are no help.

use mocker_core::backend::{
    Access, Candidate, Candidates, Chain, Look, Node, Seal, WorkId, WorkState, complete,
};
use mocker_core::change::{Comparison, Kind, compare};
use mocker_core::mount::View;

use super::subvolume;
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes::{Nodes, order};
use crate::script::How;
use crate::suites::nodes::{bash, layer, write};

pub(super) fn cases() -> Vec<Case> {
    cases![
        d1_what_was_not_touched_is_not_named,
        d4_what_is_not_on_the_disk_yet_is_found,
        d8_every_name_of_a_file_is_named,
        d15_what_lies_deeper_than_a_path_is_long_is_found,
        d15_what_was_flattened_and_then_changed_is_found,
        d15_volumes_in_a_work_area_are_looked_into,
        d16_a_layer_that_is_no_help_has_everything_named,
    ]
}

/// What was observed of a node, and what it led to.
struct Seen {
    /// `None` where everything is named.
    places: Option<Vec<Candidate>>,
    frozen: bool,
    /// As `diff` prints it.
    changes: Vec<String>,
}

/// Looks at a work area, frozen first where it may be, or at a layer; and makes
/// sure that nothing is missed.
#[track_caller]
fn see(nodes: &Nodes, node: Node, base: &Chain, since: &Chain, state: WorkState, freeze: bool) -> Seen {
    let scratch = freeze.then(|| nodes.fresh());
    let look = Look { node, base, since: since.tip(), state, scratch };
    let observed = complete(nodes.backend.observe(look)).unwrap();
    let older = nodes.view(Node::Layer(since.tip().unwrap()), since, Access::Read).unwrap();
    let newer = View::open(&observed.view).unwrap();
    let trees = Comparison { from: Some(older.top()), to: newer.top(), holes: true, one_file_system: true };
    let quick = compare(trees, observed.candidates.clone()).unwrap();
    assert_eq!(quick, compare(trees, Candidates::ALL).unwrap(), "{look:?}");
    if let Some(scratch) = scratch {
        nodes.delete(scratch).unwrap();
    }
    let letter = |kind| match kind {
        Kind::Added => 'A',
        Kind::Deleted => 'D',
        Kind::Modified(_) => 'C',
    };
    let changes =
        quick.iter().map(|change| format!("{} /{}", letter(change.kind), change.path.display())).collect();
    let places = match observed.candidates {
        Candidates::Paths(paths) => Some(paths),
        Candidates::Everything { .. } => None,
    };
    Seen { places, frozen: observed.frozen, changes }
}

#[track_caller]
fn idle(nodes: &Nodes, work: WorkId, base: &Chain) -> Seen {
    see(nodes, Node::Work(work), base, base, WorkState::Idle, true)
}

const TREE: &str = "
    for d in $(seq 40); do mkdir $d; for f in $(seq 20); do echo $f > $d/$f; done; done
    mkdir old new; echo x > old/one; ln old/one new/two; ln old/one three";

fn d1_what_was_not_touched_is_not_named(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, TREE);
    let work = nodes.create(&base).unwrap();
    assert_eq!(idle(&nodes, work, &base).places, Some(Vec::new()));
    write(&nodes, work, &base, "echo more >> 7/7");
    assert_eq!(idle(&nodes, work, &base).places, Some(vec![Candidate::at("7/7")]));
    // The inode is touched, and what is beneath it is not.
    write(
        &nodes,
        work,
        &base,
        "mv 12 beside; touch -d @9 .; mv beside 12; chmod 700 8; rm 9/9; mv 10/10 11/new",
    );
    let mut places = idle(&nodes, work, &base).places.unwrap();
    places.sort_unstable();
    places.dedup_by(|later, earlier| later.path == earlier.path);
    assert!(!places.contains(&Candidate::beneath("12")), "{places:?}");
    let paths: Vec<_> = places.iter().map(|place| place.path.to_str().unwrap()).collect();
    assert_eq!(paths, ["", "10", "10/10", "11", "11/new", "12", "7/7", "8", "9", "9/9"]);
}

/// Neither was seen by a search after `START_SYNC`, which leaves the data of
/// files where it is.
fn d4_what_is_not_on_the_disk_yet_is_found(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "echo old > a; truncate -s 4096 b; sync -f .; touch -d @9 a");
    for (state, freeze) in [(WorkState::Idle, true), (WorkState::Idle, false), (WorkState::Running, true)] {
        let work = nodes.create(&base).unwrap();
        let tree = subvolume(&nodes, work, &base);
        bash(&tree, "printf new | dd of=a conv=notrunc status=none");
        let file = std::fs::File::options().read(true).write(true).open(tree.join("b")).unwrap();
        let mapped = crate::sys::Mapping::of(&file, 4096);
        mapped.fill(b'x');
        let seen = see(&nodes, Node::Work(work), &base, &base, state, freeze);
        assert_eq!(seen.changes, ["C /a", "C /b"], "{state:?} {freeze}");
        assert!(seen.frozen);
        // Written once more, and looked at again.
        mapped.fill(b'y');
        bash(&tree, "touch -r a b; sync -f .");
        mapped.fill(b'z');
        assert_eq!(see(&nodes, Node::Work(work), &base, &base, state, freeze).changes, ["C /a", "C /b"]);
    }
}

fn d8_every_name_of_a_file_is_named(fixture: &Fixture) {
    let nodes = fixture.nodes();
    // Together they are longer than an item of the tree can be.
    let names = "n=$(printf %0240d 0); for i in $(seq 100); do ln three new/$n$i; done";
    let base = layer(&nodes, &Chain::EMPTY, &format!("{TREE}\n{names}"));
    let work = nodes.create(&base).unwrap();
    write(&nodes, work, &base, "setfattr -n user.x -v y old/one");
    let seen = idle(&nodes, work, &base);
    assert_eq!(seen.places.unwrap().len(), 103);
    assert_eq!(seen.changes.len(), 103);
    write(&nodes, work, &base, "rm three; ln old/one three");
    assert_eq!(idle(&nodes, work, &base).changes.len(), 104, "and the top");
}

fn d15_what_lies_deeper_than_a_path_is_long_is_found(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let down = format!("n={}; for i in $(seq 30); do mkdir -p $n; cd -P $n; done", "d".repeat(250));
    let base = layer(&nodes, &Chain::EMPTY, &format!("{down}; echo x > file; echo y > gone; mkdir dir"));
    let work = nodes.create(&base).unwrap();
    write(&nodes, work, &base, &format!("{down}; echo more >> file; rm gone; mv dir moved; ln file name"));
    let seen = idle(&nodes, work, &base);
    assert!(seen.places.is_some_and(|places| places.iter().any(|place| place.path.ends_with("moved"))));
    let ends: Vec<_> = seen.changes.iter().map(|change| change.rsplit('/').next().unwrap()).collect();
    assert_eq!(ends[1..], ["dir", "file", "gone", "moved", "name"]);
}

/// What was made in the layer itself is older than what stands on it, and newer
/// than the layer.
fn d15_what_was_flattened_and_then_changed_is_found(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "mkdir kept");
    let work = nodes.create(&base).unwrap();
    let tree = subvolume(&nodes, work, &base);
    bash(
        &tree,
        "btrfs -q subvolume create kept/v; mkdir kept/v/dir; echo x | tee kept/v/one > kept/v/dir/two",
    );
    let flatten = Seal { flatten: true, ..order(work, &base, How::Idle, nodes.fresh()) };
    let chain = base.clone().with(complete(nodes.backend.snapshot(flatten)).unwrap().layer);
    let above = nodes.create(&chain).unwrap();
    write(&nodes, above, &chain, "echo y > kept/v/one; rm kept/v/dir/two; echo z > kept/v/dir/new");
    let expected = ["D /kept/v/dir/two", "C /kept/v/one"];
    let told = |seen: &Seen| expected.iter().all(|line| seen.changes.iter().any(|change| change == line));
    assert!(told(&idle(&nodes, above, &chain)));
    // Neither the layer made of it nor that one is a snapshot of the other.
    let next = chain.clone().with(nodes.snapshot(above, &chain, How::Idle).unwrap().layer);
    let seen = see(&nodes, Node::Layer(next.tip().unwrap()), &next, &chain, WorkState::Idle, false);
    assert!(seen.places.is_some() && told(&seen), "{:?}", seen.changes);
    // The work area that was flattened still has the subvolume.
    bash(&tree, "echo more >> kept/v/dir/two");
    let seen = see(&nodes, Node::Work(work), &base, &chain, WorkState::Idle, true);
    assert!(seen.changes.contains(&"C /kept/v/dir/two".to_owned()), "{:?}", seen.changes);
}

fn d15_volumes_in_a_work_area_are_looked_into(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "mkdir -p a/b; echo x > a/b/file; touch -d @9 a/b a .");
    let work = nodes.create(&base).unwrap();
    bash(
        &subvolume(&nodes, work, &base),
        "btrfs -q subvolume create a/b/v; mkdir a/b/v/d; btrfs -q subvolume create a/b/v/d/w
         echo y > a/b/v/d/w/inner; touch -d @9 a/b; echo z >> a/b/file",
    );
    let told = ["C /a/b/file", "A /a/b/v", "A /a/b/v/d", "A /a/b/v/d/w", "A /a/b/v/d/w/inner"];
    for (state, freeze) in [(WorkState::Idle, true), (WorkState::Idle, false), (WorkState::Running, true)] {
        let seen = see(&nodes, Node::Work(work), &base, &base, state, freeze);
        assert_eq!(seen.changes, told, "{state:?} {freeze}");
        // A snapshot would have an empty directory there.
        assert_eq!(seen.frozen, state == WorkState::Idle, "{state:?}");
        assert_eq!(seen.places.is_some(), state == WorkState::Idle, "{state:?}");
    }
}

fn d16_a_layer_that_is_no_help_has_everything_named(fixture: &Fixture) {
    let nodes = fixture.nodes();
    let base = layer(&nodes, &Chain::EMPTY, "echo a > a; echo b > b; touch -d @9 a .");
    let other = layer(&nodes, &Chain::EMPTY, "echo a > a; echo c > c; touch -d @9 a .");
    let work = nodes.create(&base).unwrap();
    let unrelated = see(&nodes, Node::Work(work), &base, &other, WorkState::Idle, true);
    assert_eq!((unrelated.places, unrelated.changes.join(" ")), (None, "A /b D /c".to_owned()));
    write(&nodes, work, &base, "echo more >> b");
    let newer = base.clone().with(nodes.snapshot(work, &base, How::Idle).unwrap().layer);
    let back = see(&nodes, Node::Layer(base.tip().unwrap()), &base, &newer, WorkState::Idle, false);
    assert_eq!((back.places, back.changes), (None, vec!["C /b".to_owned()]));
    nodes.delete(base.tip().unwrap().0).unwrap();
    for state in [WorkState::Idle, WorkState::Running] {
        let scratch = nodes.fresh();
        let look =
            Look { node: Node::Work(work), base: &base, since: base.tip(), state, scratch: Some(scratch) };
        let observed = complete(nodes.backend.observe(look)).unwrap();
        assert_eq!((observed.candidates, observed.frozen), (Candidates::ALL, true));
        nodes.delete(scratch).unwrap();
    }
}
