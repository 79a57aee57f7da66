//! A pool comes and goes with its mount: attached on demand, once, and as
//! large as it was let grow.

use std::process::Command;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::status;
use crate::suites::background::{self, wait_until};
use crate::suites::ground::{self, Ground, loop_devices, mounts_below};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("u6_status_tells_what_there_is", told),
        case("u6_growing_makes_room_at_once", grown),
        case("u6_growing_what_is_not_mounted", grown_unmounted),
        case("k4_unmounted_the_next_command_mounts_it_again", again),
        case("u6_unmounting_what_is_in_use_is_refused", in_use),
        case("u6_mounted_elsewhere_it_is_never_attached_twice", elsewhere),
        case("u6_many_commands_mount_it_at_once", many),
    ]
}

/// A root with a pool and an image `base` in it.
fn with_pool(fixture: &Fixture) -> Ground<'_> {
    let ground = Ground::ext4(fixture, 1024);
    ground.run(&["pool", "create", "--size", "256M"]).ok();
    ground.run(&["init", "--name", "base", fixture.rootfs().to_str().unwrap()]).ok();
    ground
}

fn told(fixture: &Fixture) {
    let ground = Ground::ext4(fixture, 1024);
    let (root, file) = (ground.root(), ground.pool_file());
    let said = ground.run(&["pool", "status"]);
    assert!(said.refused_with_a_hint().contains("no root"), "{said:?}");
    ground.run(&["images"]).ok();
    let none = status(&ground);
    assert_eq!(
        (&none["exists"], &none["size"], &none["device"]),
        (&false.into(), &0.into(), &serde_json::Value::Null)
    );
    assert!(none["host_free"].as_u64() > Some(500 << 20), "{none}");

    ground.run(&["pool", "create", "--size", "256M"]).ok();
    ground.run(&["init", fixture.rootfs().to_str().unwrap()]).ok();
    let there = status(&ground);
    assert_eq!(there["exists"], true);
    assert_eq!(there["size"], 256 << 20);
    assert_eq!(there["file"], file.to_str().unwrap());
    assert_eq!(there["mounted_at"], root.join("btrfs").to_str().unwrap());
    let device = &loop_devices(&file)[0];
    assert_eq!(there["device"], format!("/dev/{}", device.file_name().unwrap().to_str().unwrap()));
    let (free, allocated) = (there["free"].as_u64().unwrap(), there["allocated"].as_u64().unwrap());
    assert!(free > 100 << 20 && free < 256 << 20 && allocated > 1 << 20 && allocated < 256 << 20, "{there}");
    let text = ground.run(&["pool"]).ok();
    for part in [file.to_str().unwrap(), "256", device.file_name().unwrap().to_str().unwrap()] {
        assert!(text.contains(part), "{text}");
    }
}

fn grown(fixture: &Fixture) {
    let ground = with_pool(fixture);
    let root = ground.root();
    let before = ground::free(&root.join("btrfs"));
    ground.run(&["pool", "grow", "512M"]).ok();
    let after = ground::free(&root.join("btrfs"));
    assert!(after > before + (200 << 20), "{before} bytes were free, and now {after}");
    assert_eq!(status(&ground)["size"], 512 << 20);
    let script = "dd if=/dev/zero of=/large bs=1M count=300 && test $(stat -c %s /large) = 314572800";
    ground.run(&["run", "--rm", "base", "sh", "-c", script]).ok();
    for size in ["512M", "256M", "0", "x"] {
        ground.run(&["pool", "grow", size]).refused();
    }
    assert_eq!(status(&ground)["size"], 512 << 20);
    // It stays so large.
    ground.run(&["pool", "umount"]).ok();
    ground.run(&["run", "--rm", "base", "true"]).ok();
    assert!(ground::free(&root.join("btrfs")) > before + (200 << 20));
}

fn grown_unmounted(fixture: &Fixture) {
    let ground = with_pool(fixture);
    let root = ground.root();
    let before = ground::free(&root.join("btrfs"));
    ground.run(&["pool", "umount"]).ok();
    ground.run(&["pool", "grow", "512M"]).ok();
    ground.run(&["run", "--rm", "base", "true"]).ok();
    assert!(ground::free(&root.join("btrfs")) > before + (200 << 20));
    assert_eq!(loop_devices(&ground.pool_file()).len(), 1);
}

fn again(fixture: &Fixture) {
    let ground = with_pool(fixture);
    let (root, file) = (ground.root(), ground.pool_file());
    ground.run(&["run", "--name", "work", "base", "sh", "-c", "echo made > /made"]).ok();
    // The trees of the image and of the container, by their numbers.
    let trees = || {
        let nodes = std::fs::read_dir(root.join("btrfs/nodes")).unwrap().flatten();
        let looked = nodes.map(|node| (node.file_name(), oracle::look(&node.path().join("fs"))));
        looked.collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = trees();
    assert_eq!(before.len(), 2);
    for _ in 0..3 {
        ground.run(&["pool", "umount"]).ok();
        assert!(mounts_below(&root).is_empty());
        wait_until("the kernel has let go of the device", || loop_devices(&file).is_empty());
        // A second time it is no error: it is as it was asked to be.
        ground.run(&["pool", "umount"]).ok();
        assert_eq!(ground.run(&["images", "-q"]).ok().lines().count(), 1);
        assert_eq!(ground.run(&["logs", "work"]).ok(), "");
        assert_eq!(ground.run(&["run", "--rm", "base", "echo", "works"]).ok(), "works");
        assert_eq!(loop_devices(&file).len(), 1);
        assert!(before == trees(), "what is in the pool has changed");
    }
    for words in [&["commit", "work", "base"][..], &["start", "work"], &["rm", "work"], &["rm", "base"]] {
        ground.run(&["pool", "umount"]).ok();
        ground.run(words).ok();
        assert_eq!(loop_devices(&file).len(), 1, "after {words:?}");
    }
}

fn in_use(fixture: &Fixture) {
    let ground = with_pool(fixture);
    let root = ground.root();
    let words =
        ["run", "--name", "work", "base", "sh", "-c", "while ! test -e /end; do usleep 1000; done; exit 7"];
    let running = background::start(&mut ground.command(&words));
    wait_until("it runs", || ground.run(&["ps", "--running", "-q"]).ok().lines().count() == 1);
    let work = ground.run(&["ps", "--format", "json"]).ok();
    let work: serde_json::Value = serde_json::from_str(&work).unwrap();
    for words in [&["pool", "destroy"][..], &["pool", "destroy", "--force"]] {
        ground.run(words).refused_with_a_hint();
        assert!(ground.pool_file().exists());
        assert_eq!(ground.run(&["images", "-q"]).ok().lines().count(), 1, "the image is gone");
    }
    // Unmounting it may be refused, or leave the container its own view; its work goes on.
    ground.run(&["pool", "umount"]).clear();
    let tree = root.join("btrfs/nodes").join(work[0]["work"].to_string()).join("fs");
    ground.run(&["run", "--rm", "base", "true"]).ok();
    assert_eq!(loop_devices(&ground.pool_file()).len(), 1);
    std::fs::write(tree.join("end"), "").unwrap();
    assert_eq!(running.end().code, Some(7));
    assert_eq!(ground.run(&["ps", "-q"]).ok().lines().count(), 1);
}

const HOLD: &str =
    "\"$mocker\" run --rm base true; touch \"$1/held\"; while ! test -e \"$1/go\"; do sleep 0.02; done";

fn elsewhere(fixture: &Fixture) {
    let ground = with_pool(fixture);
    let (root, file) = (ground.root(), ground.pool_file());
    ground.run(&["pool", "umount"]).ok();
    let scratch = fixture.scratch();
    let other = background::start(&mut background::in_own_mounts(fixture, &root, HOLD, &[scratch]));
    wait_until("another namespace has it mounted", || scratch.join("held").exists());
    assert!(mounts_below(&root).is_empty(), "it is mounted here too");
    assert_eq!(loop_devices(&file).len(), 1);
    assert_eq!(ground.run(&["run", "--rm", "base", "echo", "works"]).ok(), "works");
    assert_eq!(loop_devices(&file).len(), 1);
    ground.run(&["pool", "umount"]).ok();
    // It must not be taken away beneath the other one.
    let refused = ground.run(&["pool", "destroy", "--force"]);
    refused.refused_with_a_hint();
    assert!(file.exists());
    let images = ground.run(&["images", "-q"]).ok();
    assert_eq!(images.lines().count(), 1, "the destruction was refused, and the image is gone");
    std::fs::write(scratch.join("go"), "").unwrap();
    other.end().ok();
}

fn many(fixture: &Fixture) {
    let ground = with_pool(fixture);
    let (root, file) = (ground.root(), ground.pool_file());
    for _ in 0..5 {
        ground.run(&["pool", "umount"]).ok();
        let start = |_| background::start(&mut ground.command(&["run", "--rm", "base", "echo", "works"]));
        let jobs: Vec<_> = (0..8).map(start).collect();
        for job in jobs {
            assert_eq!(job.end().ok(), "works");
        }
        assert_eq!(loop_devices(&file).len(), 1);
        assert_eq!(mounts_below(&root.join("btrfs")).len(), 1, "mounted more than once");
    }
    let check = Command::new("btrfs").args(["check", "--readonly", "--force"]).arg(&file).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}
