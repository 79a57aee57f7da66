//! A pool is removed: only when it may, and then without a trace.

use crate::fixture::Fixture;
use crate::harness::Case;

use super::status;
use crate::suites::ground::{Ground, loop_devices, mounts_below};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("u6_destroying_a_pool_that_holds_something_is_refused", holds_something),
        case("u6_destroyed_nothing_is_left_and_all_begins_anew", anew),
        case("u6_destroyed_when_empty_without_force", empty),
        case("u6_destroying_what_is_not_there", not_there),
    ]
}

fn with_image(fixture: &Fixture) -> Ground<'_> {
    let ground = Ground::ext4(fixture, 1024);
    let source = fixture.rootfs();
    ground.run(&["init", "--name", "base", source.to_str().unwrap()]).ok();
    ground
}

fn holds_something(fixture: &Fixture) {
    let ground = with_image(fixture);
    ground.run(&["run", "--name", "work", "base", "true"]).ok();
    ground.run(&["rm", "base"]).ok();
    for unmounted in [false, true] {
        if unmounted {
            ground.run(&["pool", "umount"]).ok();
        }
        let ended = ground.run(&["pool", "destroy"]);
        let said = ended.refused_with_a_hint();
        assert!(said.contains("--force") && said.contains("holds"), "{said}");
    }
    assert!(ground.pool_file().exists());
    ground.run(&["start", "work"]).ok();
}

fn anew(fixture: &Fixture) {
    let ground = with_image(fixture);
    let (root, file, source) = (ground.root(), ground.pool_file(), fixture.rootfs());
    for round in 0..3 {
        ground.run(&["run", "--name", "work", "base", "sh", "-c", "echo made > /made"]).ok();
        ground.run(&["commit", "work", "second"]).ok();
        if round == 1 {
            ground.run(&["pool", "umount"]).ok();
        }
        ground.run(&["pool", "destroy", "--force"]).ok();
        assert!(mounts_below(&root).is_empty());
        assert!(loop_devices(&file).is_empty());
        assert!(!file.exists() && !root.join("btrfs").exists());
        assert_eq!(status(&ground)["exists"], false);
        assert_eq!(ground.run(&["images", "-q"]).ok(), "", "images are listed whose trees are gone");
        assert_eq!(ground.run(&["ps", "-q"]).ok(), "", "containers are listed whose trees are gone");
        assert_eq!(
            std::fs::read_dir(root.join("containers")).unwrap().count(),
            0,
            "their directories are left"
        );
        assert_eq!(std::fs::read_dir(root.join("leases")).unwrap().count(), 0);

        let made = ground.run(&["init", "--name", "base", source.to_str().unwrap()]);
        made.ok();
        assert!(made.err.contains("made a storage pool"), "{}", made.err);
        assert_eq!(ground.run(&["run", "--rm", "base", "echo", "works"]).ok(), "works");
    }
}

fn empty(fixture: &Fixture) {
    let ground = with_image(fixture);
    let (root, file) = (ground.root(), ground.pool_file());
    ground.run(&["run", "--name", "work", "base", "true"]).ok();
    ground.run(&["rm", "work", "base"]).ok();
    ground.run(&["pool", "destroy"]).ok();
    assert!(!file.exists() && loop_devices(&file).is_empty() && mounts_below(&root).is_empty());
}

fn not_there(fixture: &Fixture) {
    let ground = Ground::ext4(fixture, 1024);
    let root = ground.root();
    for words in [
        &["pool", "destroy"][..],
        &["pool", "destroy", "--force"],
        &["pool", "umount"],
        &["pool", "grow", "1G"],
    ] {
        ground.run(words).refused_with_a_hint();
    }
    assert!(!root.exists(), "asking for it has made a root");
    ground.run(&["images"]).ok();
    for words in [
        &["pool", "destroy"][..],
        &["pool", "destroy", "--force"],
        &["pool", "umount"],
        &["pool", "grow", "1G"],
    ] {
        ground.run(words).refused_with_a_hint();
    }
    assert!(!ground.pool_file().exists());
}
