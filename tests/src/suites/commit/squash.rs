//! `commit --squash`: the same tree out of fewer layers.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::{layers, worked};
use crate::suites::living;

pub(super) fn cases() -> Vec<Case> {
    cases![
        c12_the_new_layers_become_one_with_the_same_tree,
        c12_all_layers_become_one_with_the_same_tree,
        c12_what_was_deleted_is_in_no_byte_of_the_squashed_image,
        c12_a_running_container_is_squashed_and_goes_on,
        c12_the_new_layers_are_known_though_the_image_is_gone,
    ]
}

/// What the container `work` does each time it is started.
const ROUND: &str = "\
    echo round >> /rounds; n=$(wc -l < /rounds); echo $n > /made-$n; rm -f /made-$((n - 2)); \
    rm -rf /dir; mkdir /dir; echo $n > /dir/$n; chmod 7$n$n /etc; ln -f /made-$n /dir/link; \
    test $n != 2 || rm /etc/group; test $n != 3 || mv /root /toor";

/// The image `base`, and a container `work` of it that has been committed
/// after each of several rounds, onto the image `plain`.
fn rounds(fixture: &Fixture) {
    worked(fixture, ROUND);
    for round in 2..5 {
        fixture.ok(&["commit", "work", "plain"]);
        fixture.ok(&["start", "work"]);
        assert!(fixture.tree("work").join(format!("made-{round}")).exists());
    }
}

/// Asserts that the image shows what the container does, also to a command.
#[track_caller]
fn assert_shows_work(fixture: &Fixture, image: &str) {
    oracle::assert_same(&fixture.tree("work"), &fixture.tree(image));
    let script =
        "cat /dir/link /made-*; ls -d /etc/group /root /made-1 2> /dev/null; ls /dir; stat -c %a /etc";
    let seen = fixture.ok(&["run", "--rm", image, "sh", "-c", script]);
    assert_eq!(seen.lines().collect::<Vec<_>>(), ["4", "3", "4", "4", "link", "744"]);
}

fn c12_the_new_layers_become_one_with_the_same_tree(fixture: &Fixture) {
    rounds(fixture);
    for option in ["--squash", "--squash=new"] {
        fixture.ok(&["commit", option, "work", "squashed"]);
        assert_shows_work(fixture, "squashed");
        assert_eq!(layers(fixture, "squashed"), layers(fixture, "base") + 1, "{option}");
    }
    // The container is as it was, and its next commits are too.
    fixture.ok(&["commit", "work", "plain"]);
    assert_shows_work(fixture, "plain");
    fixture.ok(&["start", "work"]);
    fixture.ok(&["commit", "--squash", "work", "squashed"]);
    oracle::assert_same(&fixture.tree("work"), &fixture.tree("squashed"));
    assert_eq!(fixture.ok(&["run", "--rm", "squashed", "sh", "-c", "wc -l < /rounds"]), "5");
    oracle::assert_same(&fixture.rootfs(), &fixture.tree("base"));
    fixture.assert_consistent();
}

fn c12_all_layers_become_one_with_the_same_tree(fixture: &Fixture) {
    rounds(fixture);
    fixture.ok(&["commit", "--squash=all", "work", "squashed"]);
    assert_shows_work(fixture, "squashed");
    assert_eq!(layers(fixture, "squashed"), 1);
    // One layer has nothing beneath it to hide.
    for entry in walkdir::WalkDir::new(
        fixture.root().join(fixture.lane().backend()).join("nodes").join(layer(fixture, "squashed")),
    ) {
        let meta = entry.unwrap().metadata().unwrap();
        assert!(!(meta.file_type().is_char_device() && meta.rdev() == 0), "a whiteout is in it");
    }
    // It needs nobody else.
    let expected = oracle::look(&fixture.tree("squashed"));
    fixture.ok(&["rm", "--wait", "work", "plain", "base"]);
    fixture.assert_consistent();
    oracle::assert_equal(&expected, &oracle::look(&fixture.tree("squashed")));
    assert_eq!(fixture.ok(&["run", "--rm", "squashed", "cat", "/made-4"]), "4");
    fixture.fails(&["commit", "--squash=nonsense", "work"], 2);
}

fn layer(fixture: &Fixture, image: &str) -> String {
    fixture.record(image).unwrap()["layer"].to_string()
}

/// Whether these bytes are in any file of the root.
fn somewhere(directory: &Path, bytes: &[u8]) -> bool {
    let files = walkdir::WalkDir::new(directory).into_iter().map(|entry| entry.unwrap());
    let mut files = files.filter(|entry| entry.file_type().is_file());
    files.any(|file| {
        let found = std::fs::read(file.path()).unwrap();
        found.windows(bytes.len()).any(|window| window == bytes)
    })
}

fn c12_what_was_deleted_is_in_no_byte_of_the_squashed_image(fixture: &Fixture) {
    const SECRET: &str = "the password is swordfish";
    let nodes = fixture.root().join(fixture.lane().backend()).join("nodes");
    std::fs::write(fixture.rootfs().join("etc/secret"), SECRET).unwrap();
    worked(fixture, "cp /etc/secret /root/copy");
    fixture.ok(&["commit", "work", "plain"]);
    fixture.ok(&["run", "--name", "clean", "plain", "rm", "/etc/secret", "/root/copy"]);
    assert!(somewhere(&nodes, SECRET.as_bytes()));
    fixture.ok(&["commit", "--squash=all", "clean", "clean"]);
    fixture.ok(&["rm", "--wait", "work", "plain", "base"]);
    let containers = fixture.ok(&["ps", "-q"]);
    fixture.ok(&["rm", "--wait", &containers]);
    fixture.assert_consistent();
    assert!(!somewhere(&nodes, SECRET.as_bytes()), "the secret is still there");
    assert_eq!(fixture.ok(&["run", "--rm", "clean", "ls", "/etc/passwd"]), "/etc/passwd");
}

fn c12_a_running_container_is_squashed_and_goes_on(fixture: &Fixture) {
    fixture.image("base");
    let script = format!("echo before > /file; rm /etc/group; {}; echo after >> /file", living::UNTIL_ENDED);
    let job = living::start(fixture, &[], &script);
    for (option, expected) in [("--squash", 2), ("--squash=all", 1)] {
        let image = fixture.ok(&["commit", "-q", option, "work"]);
        assert_eq!(layers(fixture, &image), expected, "{option}");
        let tree = fixture.tree(&image);
        assert_eq!(std::fs::read(tree.join("file")).unwrap(), b"before\n");
        // The places of our mounts are no part of it.
        let found =
            oracle::look(&tree).without("/file").without("/ready").without_time("/").without_time("/etc");
        let expected =
            oracle::look(&fixture.rootfs()).without("/etc/group").without_time("/").without_time("/etc");
        oracle::assert_equal(&expected, &found);
    }
    living::end(fixture, job).ok();
    assert_eq!(std::fs::read(fixture.tree("work").join("file")).unwrap(), b"before\nafter\n");
    fixture.assert_consistent();
}

fn c12_the_new_layers_are_known_though_the_image_is_gone(fixture: &Fixture) {
    rounds(fixture);
    fixture.ok(&["rm", "--wait", "base"]);
    for (how, target) in [("--squash", "squashed"), ("--squash=all", "flat")] {
        fixture.ok(&["commit", how, "work", target]);
        assert_shows_work(fixture, target);
    }
    fixture.assert_consistent();
}
