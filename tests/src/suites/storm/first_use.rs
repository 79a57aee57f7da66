//! N1, U6: a root that is used for the first time, by many at once.

use std::fs;
use std::path::Path;

use crate::fixture::Fixture;
use crate::harness::Case;

use crate::suites::background::{self, End, wait_until};
use crate::suites::ground::{Ground, loop_devices};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("u6_eight_processes_use_a_new_root_at_once", eight),
        case("u6_looking_and_making_at_once_on_a_new_root", looking_and_making),
        case("u6_two_mount_namespaces_use_a_new_root_at_once", two_namespaces),
    ]
}

/// How often a pool was made, by what was said.
fn pools_made(ended: &[End]) -> usize {
    ended.iter().map(|ended| ended.err.matches("made a storage pool").count()).sum()
}

fn images(fixture: &Fixture, root: &Path) -> usize {
    background::finish(&mut background::at(fixture, root, &["images", "-q"])).ok().lines().count()
}

fn eight(fixture: &Fixture) {
    let ground = Ground::of_lane(fixture, 1024);
    let source = fixture.rootfs();
    // A few times, because what goes wrong here goes wrong rarely.
    for round in 0..4 {
        let root = ground.path().join(format!("root{round}"));
        let start = |number: usize| {
            let name = format!("image{number}");
            let words = ["init", "--name", &name, source.to_str().unwrap()];
            background::start(&mut background::at(fixture, &root, &words))
        };
        let jobs: Vec<_> = (0..8).map(start).collect();
        let ended: Vec<_> = jobs.into_iter().map(background::Job::end).collect();
        ended.iter().for_each(|ended| drop(ended.ok()));
        assert_eq!(images(fixture, &root), 8);
        let file = root.join("pool/btrfs.img");
        if file.exists() {
            assert_eq!(pools_made(&ended), 1);
            assert_eq!(loop_devices(&file).len(), 1);
            background::finish(&mut background::at(fixture, &root, &["pool", "destroy", "--force"])).ok();
        }
    }
}

fn looking_and_making(fixture: &Fixture) {
    let ground = Ground::of_lane(fixture, 1024);
    let source = fixture.rootfs();
    for round in 0..10 {
        let root = ground.path().join(format!("root{round}"));
        let words: [&[&str]; 8] = [
            &["init", "--name", "base", source.to_str().unwrap()],
            &["ps"],
            &["images"],
            &["ps"],
            &["images"],
            &["ps"],
            &["images"],
            &["ps"],
        ];
        let jobs = words.map(|words| background::start(&mut background::at(fixture, &root, words)));
        for job in jobs {
            job.end().ok();
        }
        assert_eq!(images(fixture, &root), 1);
        if root.join("pool/btrfs.img").exists() {
            background::finish(&mut background::at(fixture, &root, &["pool", "destroy", "--force"])).ok();
        }
    }
}

/// Makes an image and a container, and stays until it may go.
const MAKE: &str = "\"$mocker\" init --name \"$1\" \"$2\"; touch \"$3/$1.made\"; \
                    while ! test -e \"$3/both\"; do sleep 0.02; done; \
                    \"$mocker\" run --name \"$1\" \"$1\" sh -c \"echo $1 > /made\"; \"$mocker\" images -q | wc -l";

fn two_namespaces(fixture: &Fixture) {
    let ground = Ground::of_lane(fixture, 1024);
    let (root, scratch) = (ground.root(), fixture.scratch());
    let made = |name: &str| scratch.join(format!("{name}.made"));
    let jobs = ["left", "right"].map(|name| {
        let words = [name.as_ref(), fixture.rootfs().as_os_str(), scratch.as_os_str()].map(ToOwned::to_owned);
        background::start(&mut background::in_own_mounts(fixture, &root, MAKE, &words))
    });
    wait_until("both have made their image", || made("left").exists() && made("right").exists());
    let has_pool = ground.pool_file().exists();
    if has_pool {
        assert_eq!(loop_devices(&ground.pool_file()).len(), 1, "while two namespaces have the pool mounted");
    }
    fs::write(scratch.join("both"), "").unwrap();
    let ended = jobs.map(background::Job::end);
    for ended in &ended {
        assert!(ended.ok().ends_with('2'), "it does not see both images: {ended:?}");
    }
    assert_eq!(pools_made(&ended), usize::from(has_pool));

    // Seen from a third namespace, ours.
    assert_eq!(images(fixture, &root), 2);
    for name in ["left", "right"] {
        let cat = ["run", "--rm", name, "sh", "-c", "echo whole"];
        assert_eq!(background::finish(&mut background::at(fixture, &root, &cat)).ok(), "whole");
        background::finish(&mut background::at(fixture, &root, &["start", name])).ok();
    }
    if has_pool {
        assert_eq!(loop_devices(&ground.pool_file()).len(), 1);
    }
}
