//! R8: whatever is there and should not be is found, and a repair takes just that
//! away; whatever is missing and can be made again is made.

use std::os::unix::fs::DirBuilderExt;
use std::time::{Duration, SystemTime};

use mocker_core::backend::{Chain, NodeId, WorkId, complete};
use rusqlite::params;

use super::{World, assert_found_and_repaired, checked, id, manifest, seen, world};
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::{background, crash};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = cases![
        r8_a_root_that_is_as_it_should_be_is_clean,
        r8_a_node_that_no_record_knows,
        r8_a_node_that_is_recorded_and_that_nothing_needs,
        r8_a_record_of_a_node_that_nothing_needs_and_that_is_not_there,
        r8_a_directory_of_no_container,
        r8_a_container_without_its_directory,
        r8_what_a_dead_command_left,
        r8_a_container_whose_supervisor_is_dead,
        r8_a_lock_file_of_nobody,
        r8_a_mount_among_the_trees,
        r8_a_manifest_that_is_missing,
        r8_a_manifest_that_says_something_else,
        r8_a_manifest_that_is_damaged,
        r8_a_manifest_of_nothing,
        r8_no_root_is_made_by_looking_for_one,
    ];
    // Nobody else's groups may come and go meanwhile.
    cases.push(Case {
        name: "r8_a_control_group_of_what_does_not_run",
        run: r8_a_control_group_of_what_does_not_run,
        alone: true,
    });
    cases
}

/// A number that no node has had.
const UNUSED: u64 = 7_000_000;

fn make_node(fixture: &Fixture, number: u64) {
    complete(fixture.open_backend().create(WorkId(NodeId(number)), &Chain::EMPTY)).unwrap();
}

/// A node that no record knows, one for each number.
pub(super) fn unneeded_storage(fixture: &Fixture, number: u64) {
    make_node(fixture, UNUSED + number);
}

fn record_node(fixture: &Fixture, number: u64, role: &str) {
    let backend = fixture.lane().backend();
    let insert = "INSERT INTO node (id, backend, role) VALUES (?1, ?2, ?3)";
    fixture.store().execute(insert, params![number, backend, role]).unwrap();
}

fn of_node(fixture: &Fixture, number: u64) -> String {
    format!("node {number} of {}", fixture.lane().backend())
}

fn r8_a_root_that_is_as_it_should_be_is_clean(fixture: &Fixture) {
    let world = world(fixture);
    assert_eq!(checked(fixture, &[]), (vec![], vec![]));
    let told = fixture.mocker(&["check"]).run();
    assert_eq!((told.code, told.out().as_str()), (0, ""));
    assert!(told.err().contains("nothing is wrong"), "{}", told.err());
    assert_eq!(checked(fixture, &["--repair"]), (vec![], vec![]));
    world.assert_as_before();
}

fn r8_a_node_that_no_record_knows(fixture: &Fixture) {
    let world = world(fixture);
    make_node(fixture, UNUSED);
    assert_found_and_repaired(&world, &[seen("orphan-node", of_node(fixture, UNUSED))]);
}

fn r8_a_node_that_is_recorded_and_that_nothing_needs(fixture: &Fixture) {
    let world = world(fixture);
    let expected = unneeded(fixture);
    assert_found_and_repaired(&world, &expected);
}

/// Plants one of each role; answers what is to be found.
pub(crate) fn unneeded(fixture: &Fixture) -> Vec<super::Seen> {
    let planted = ["layer", "work", "pending", "condemned"];
    let numbers = (UNUSED..).zip(planted).map(|(number, role)| {
        make_node(fixture, number);
        record_node(fixture, number, role);
        seen("unreferenced-node", of_node(fixture, number))
    });
    numbers.collect()
}

fn r8_a_record_of_a_node_that_nothing_needs_and_that_is_not_there(fixture: &Fixture) {
    let world = world(fixture);
    record_node(fixture, UNUSED, "layer");
    assert_found_and_repaired(&world, &[seen("unreferenced-node", of_node(fixture, UNUSED))]);
}

fn r8_a_directory_of_no_container(fixture: &Fixture) {
    let world = world(fixture);
    let directory = fixture.root().join("containers/ps_planted00000");
    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("log"), "something").unwrap();
    assert_found_and_repaired(&world, &[seen("orphan-directory", "containers/ps_planted00000")]);
}

fn r8_a_container_without_its_directory(fixture: &Fixture) {
    let world = world(fixture);
    let work = id(fixture, "work");
    std::fs::remove_dir_all(fixture.root().join("containers").join(&work)).unwrap();
    assert_found_and_repaired(&world, &[seen("missing-directory", format!("container {work}"))]);
}

fn r8_what_a_dead_command_left(fixture: &Fixture) {
    let world = world(fixture);
    let pid = crash::die_at_commit(fixture, &["commit", "other", "kept:v2"]);
    assert_found_and_repaired(&world, &[seen("dead-command", format!("'mocker commit' (process {pid})"))]);
}

fn r8_a_container_whose_supervisor_is_dead(fixture: &Fixture) {
    let world = world(fixture);
    let script = "touch /started; while :; do usleep 10000; done";
    let words = ["run", "--rm", "--name", "running", "base", "sh", "-c", script];
    let job = background::start(&mut background::mocker(fixture, &words));
    background::wait_until("it runs", || {
        fixture.record("running").is_some_and(|record| record["status"] == "running")
    });
    // What runs is no finding.
    assert_eq!(checked(fixture, &[]), (vec![], vec![]));
    let running = id(fixture, "running");
    job.kill();
    assert_found_and_repaired(&world, &[seen("dead-container", format!("container {running}"))]);
}

fn r8_a_lock_file_of_nobody(fixture: &Fixture) {
    let world = world(fixture);
    let lease = fixture.root().join("leases/0123456789abcdef");
    let file = std::fs::File::create(&lease).unwrap();
    // A young one may be about to be locked by whoever has made it.
    assert_eq!(checked(fixture, &[]), (vec![], vec![]));
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
    file.lock().unwrap();
    assert_eq!(checked(fixture, &[]), (vec![], vec![]), "somebody holds it");
    drop(file);
    assert_found_and_repaired(&world, &[seen("dead-lease", "leases/0123456789abcdef")]);
}

/// In a mount namespace of its own: what is found, what is repaired, what is left
/// mounted, and that nothing is found then.
const MOUNTED: &str = "mount -t tmpfs x \"$1\"; ! \"$mocker\" check -q; \"$mocker\" check -q --repair; \
                       ! mountpoint -q \"$1\"; \"$mocker\" check -q";

fn r8_a_mount_among_the_trees(fixture: &Fixture) {
    let world = world(fixture);
    // A name with white space, as it can be in the path of a root.
    let place = fixture.root().join("containers").join(id(fixture, "work")).join("a b");
    std::fs::DirBuilder::new().mode(0o700).create(&place).unwrap();
    let script = background::in_own_mounts(fixture, fixture.root(), MOUNTED, &[&place]);
    let said = background::finish(&mut { script }).ok();
    let root = std::fs::canonicalize(fixture.root()).unwrap();
    let shown = root.join(place.strip_prefix(fixture.root()).unwrap());
    assert_eq!(said, format!("stray-mount {}", shown.display()));
    std::fs::remove_dir(place).unwrap();
    world.assert_as_before();
}

fn r8_a_control_group_of_what_does_not_run(fixture: &Fixture) {
    let world = world(fixture);
    let work = id(fixture, "work");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let unified = mounts.lines().find(|line| line.contains(" - cgroup2 "));
    let freezer = || mounts.lines().find(|line| line.contains(" - cgroup ") && line.contains("freezer"));
    let top = unified.or_else(freezer).and_then(|line| line.split(' ').nth(4)).expect("control groups");
    std::fs::create_dir_all(format!("{top}/mocker/{work}")).unwrap();
    assert_found_and_repaired(&world, &[seen("stray-control-group", format!("container {work}"))]);
}

/// Every manifest that there is: of an image, of its versions, and of a container.
fn places(fixture: &Fixture) -> Vec<String> {
    let base = id(fixture, "base");
    let versions = crate::fixture::names_in(&manifest(fixture, &base));
    assert_eq!(versions.len(), 3, "{versions:?}");
    let mut places: Vec<_> = versions.iter().map(|name| format!("{base}/{name}")).collect();
    places.push(id(fixture, "work"));
    places.sort_unstable();
    places
}

/// Asserts that a manifest is found to be wrong, and what it is found to be.
#[track_caller]
fn each(fixture: &Fixture, code: &str, plant: impl Fn(&std::path::Path)) {
    let world = world(fixture);
    let places = places(fixture);
    let before: Vec<_> =
        places.iter().map(|place| std::fs::read(manifest(fixture, place)).unwrap()).collect();
    for place in &places {
        plant(&manifest(fixture, place));
    }
    let expected: Vec<_> = places.iter().map(|place| seen(code, format!("manifests/{place}"))).collect();
    let (mut found, none) = checked(fixture, &[]);
    found.sort_unstable();
    assert_eq!((found, none), (expected.clone(), vec![]));
    let (left, mut repaired) = checked(fixture, &["--repair"]);
    repaired.sort_unstable();
    assert_eq!((left, repaired), (vec![], expected));
    // But for the moment at which they were written they are what they were.
    let rows = |bytes: &[u8]| {
        let text = String::from_utf8(bytes.to_owned()).unwrap();
        text.split_once("\"row\"").unwrap().1.to_owned()
    };
    for (place, before) in places.iter().zip(&before) {
        let after = std::fs::read(manifest(fixture, place)).unwrap();
        assert_eq!(rows(&after), rows(before), "{place}");
    }
    world.assert_as_before();
}

fn r8_a_manifest_that_is_missing(fixture: &Fixture) {
    each(fixture, "missing-manifest", |path| std::fs::remove_file(path).unwrap());
}

fn r8_a_manifest_that_says_something_else(fixture: &Fixture) {
    each(fixture, "stale-manifest", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let (_, content) = text.split_once('\n').unwrap();
        let changed = ["\"head\":1", "\"created_by\":\"", "\"hostname\":\""].into_iter().fold(
            content.to_owned(),
            |content, found| {
                let by = if found.ends_with('1') { "\"head\":2".to_owned() } else { format!("{found}x") };
                content.replace(found, &by)
            },
        );
        assert_ne!(changed, content);
        std::fs::write(path, super::hostile::sealed(changed.as_bytes())).unwrap();
    });
}

fn r8_a_manifest_that_is_damaged(fixture: &Fixture) {
    each(fixture, "damaged-manifest", |path| {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x20;
        std::fs::write(path, bytes).unwrap();
    });
}

fn r8_a_manifest_of_nothing(fixture: &Fixture) {
    let world: World<'_> = world(fixture);
    // Those of a container and an image that are removed, put back.
    fixture.ok(&["run", "--name", "gone", "base", "true"]);
    fixture.ok(&["commit", "gone", "gone-too"]);
    let (container, image) = (id(fixture, "gone"), id(fixture, "gone-too"));
    let saved = fixture.scratch().join("saved");
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let done = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
        assert!(done.success());
    };
    copy(&fixture.root().join("manifests"), &saved);
    fixture.ok(&["rm", "gone", "gone-too"]);
    for place in [&container, &image] {
        assert!(!manifest(fixture, place).exists(), "the manifest of {place} is still there");
        copy(&saved.join(place), &fixture.root().join("manifests"));
    }
    let mut expected: Vec<_> = crate::fixture::names_in(&saved.join(&image))
        .iter()
        .map(|name| seen("orphan-manifest", format!("manifests/{image}/{name}")))
        .collect();
    expected.push(seen("orphan-manifest", format!("manifests/{container}")));
    assert_found_and_repaired(&world, &expected);
}

fn r8_no_root_is_made_by_looking_for_one(fixture: &Fixture) {
    for words in [&["check"][..], &["check", "--repair"]] {
        let said = fixture.fails(words, 125);
        assert!(said.contains("there is no root at"), "{said}");
        assert!(!fixture.root().exists());
    }
    std::fs::create_dir(fixture.root()).unwrap();
    fixture.fails(&["check", "--repair"], 125);
    assert_eq!(crate::fixture::names_in(fixture.root()), [""; 0]);
}
