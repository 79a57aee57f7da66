//! A pool is made: once, as large as the host can bear, and never over
//! something else.

use std::fs::{self, File};
use std::process::Command;

use crate::fixture::Fixture;
use crate::harness::Case;

use super::{fingerprint, status};
use crate::suites::background;
use crate::suites::ground::{Ground, loop_devices, mounts_below};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("u6_the_first_use_makes_a_pool_and_says_so_once", first_use),
        case("u6_making_it_again_changes_nothing", again),
        case("u6_a_file_that_holds_something_else_is_not_touched", something_else),
        case("u6_an_empty_file_counts_as_none", empty_file),
        case("u6_without_mkfs_the_error_names_the_package", without_mkfs),
        case("u6_the_size_never_exceeds_what_the_host_has", sizes),
        case("u6_sizes_that_make_no_sense", bad_sizes),
        case("u4_a_root_that_lies_on_btrfs_gets_no_pool", on_btrfs),
    ]
}

const MADE: &str = "made a storage pool";

fn first_use(fixture: &Fixture) {
    let ground = Ground::ext4(fixture, 1024);
    let source = fixture.rootfs();
    // Looking makes nothing.
    for verb in ["images", "ps", "pool"] {
        let looked = ground.run(&[verb]);
        assert!(looked.code.is_some_and(|code| code < 2), "{looked:?}");
        assert!(!looked.err.contains(MADE), "{verb}: {}", looked.err);
    }
    assert!(!ground.pool_file().exists());

    let init = ["init", "--name", "base", source.to_str().unwrap()];
    let first = ground.run(&init);
    first.ok();
    assert_eq!(first.err.matches(MADE).count(), 1, "{}", first.err);
    let shown = ground.pool_file();
    assert!(first.err.contains(shown.to_str().unwrap()), "it does not say where: {}", first.err);
    for words in [&init[..], &["run", "--rm", "base", "true"], &["pool", "create"]] {
        let later = ground.run(words);
        later.ok();
        assert!(!later.err.contains(MADE), "{words:?}: {}", later.err);
    }
    assert_eq!(loop_devices(&ground.pool_file()).len(), 1);
    // It is sparse: it takes what is in it, and not what it could hold.
    let status = status(&ground);
    assert!(
        status["allocated"].as_u64() < Some(100 << 20) && status["size"].as_u64() > Some(500 << 20),
        "{status}"
    );
}

fn again(fixture: &Fixture) {
    let ground = Ground::ext4(fixture, 1024);
    let first = ground.run(&["pool", "create", "--size", "256M"]);
    assert!(first.ok().starts_with("Created"), "{first:?}");
    // Made, and not mounted yet: nobody has needed it.
    let before = (fingerprint(&ground.pool_file()), status(&ground));
    assert_eq!(before.1["size"], 256 << 20);
    assert!(before.1["exists"] == true && before.1["mounted_at"].is_null(), "{}", before.1);
    for words in [&["pool", "create"][..], &["pool", "create", "--size", "512M"]] {
        assert!(ground.run(words).ok().starts_with("Exists"));
        assert_eq!((fingerprint(&ground.pool_file()), status(&ground)), before);
    }
    let source = fixture.rootfs();
    ground.run(&["init", "--name", "base", source.to_str().unwrap()]).ok();
    ground.run(&["pool", "create"]).ok();
    assert_eq!(ground.run(&["run", "--rm", "base", "echo", "works"]).ok(), "works");
}

fn something_else(fixture: &Fixture) {
    let ground = Ground::ext4(fixture, 1024);
    let (root, source) = (ground.root(), fixture.rootfs());
    ground.run(&["images"]).ok();
    fs::create_dir(root.join("pool")).unwrap();
    let file = ground.pool_file();
    let other = fixture.scratch().join("other");
    // A letter, a file system of another kind, and one with holes where a btrfs has its mark.
    fs::write(&other, "x").unwrap();
    fs::copy(&other, &file).unwrap();
    let ext4 = |file: &std::path::Path| {
        File::create(file).unwrap().set_len(64 << 20).unwrap();
        assert!(Command::new("mkfs.ext4").arg("-q").arg(file).status().unwrap().success());
    };
    let sparse = |file: &std::path::Path| File::create(file).unwrap().set_len(256 << 20).unwrap();
    for make in [
        &(|file: &std::path::Path| fs::write(file, "x").unwrap()) as &dyn Fn(&std::path::Path),
        &ext4,
        &sparse,
    ] {
        make(&file);
        let before = (fingerprint(&file), fs::metadata(&file).unwrap().modified().unwrap());
        for words in [
            &["pool", "create"][..],
            &["pool", "create", "--size", "256M"],
            &["init", "--name", "base", source.to_str().unwrap()],
        ] {
            let ended = ground.run(words);
            let said = ended.refused_with_a_hint();
            assert!(said.contains("holds no btrfs") && said.contains(file.to_str().unwrap()), "{said}");
            assert_eq!((fingerprint(&file), fs::metadata(&file).unwrap().modified().unwrap()), before);
        }
        assert!(loop_devices(&file).is_empty());
        fs::remove_file(&file).unwrap();
    }
    // Out of the way, it goes on.
    ground.run(&["init", source.to_str().unwrap()]).ok();
}

fn empty_file(fixture: &Fixture) {
    let ground = Ground::ext4(fixture, 1024);
    let (root, source) = (ground.root(), fixture.rootfs());
    ground.run(&["images"]).ok();
    fs::create_dir(root.join("pool")).unwrap();
    fs::write(ground.pool_file(), "").unwrap();
    let made = ground.run(&["init", source.to_str().unwrap()]);
    made.ok();
    assert!(made.err.contains(MADE), "{}", made.err);
}

/// Hides every directory that has the program, for one command.
const WITHOUT_MKFS: &str = "for place in /usr/local/sbin /usr/sbin /usr/bin /sbin /bin; do \
       if test -e $place/mkfs.btrfs; then hide=\"$hide $(readlink -f $place)\"; fi; done; \
     for place in $(echo $hide | tr ' ' '\\n' | sort -u); do mount -t tmpfs none $place; done; \
     exec \"$mocker\" \"$@\"";

fn without_mkfs(fixture: &Fixture) {
    let ground = Ground::ext4(fixture, 1024);
    let (root, source) = (ground.root(), fixture.rootfs());
    for words in [&["init", source.to_str().unwrap()][..], &["pool", "create"]] {
        let ended = background::finish(&mut background::in_own_mounts(fixture, &root, WITHOUT_MKFS, words));
        let said = ended.refused();
        assert!(said.contains("mkfs.btrfs") && said.contains("btrfs-progs"), "{words:?}: {said}");
        assert!(!ground.pool_file().exists());
    }
    // A pool that is there needs it no more.
    ground.run(&["init", "--name", "base", source.to_str().unwrap()]).ok();
    let words = ["run", "--rm", "base", "echo", "works"];
    assert_eq!(
        background::finish(&mut background::in_own_mounts(fixture, &root, WITHOUT_MKFS, &words)).ok(),
        "works"
    );
}

fn sizes(fixture: &Fixture) {
    for mebibytes in [1024, 400] {
        let ground = Ground::ext4(fixture, mebibytes);
        let free = ground.free();
        ground.run(&["pool", "create"]).ok();
        let size = status(&ground)["size"].as_u64().unwrap();
        assert!(size < free && size > free / 2, "{size} of {free}");
    }
    // More than there is: as asked, with a word about it.
    let ground = Ground::ext4(fixture, 400);
    let made = ground.run(&["pool", "create", "--size", "2G"]);
    made.ok();
    assert!(made.err.contains("the host has only"), "{}", made.err);
    assert_eq!(status(&ground)["size"], 2_u64 << 30);
    let source = fixture.rootfs();
    ground.run(&["init", source.to_str().unwrap()]).ok();
}

fn bad_sizes(fixture: &Fixture) {
    let ground = Ground::ext4(fixture, 100);
    let root = ground.root();
    for size in ["1M", "0", "127M", "", "-1", "1.5G", "G", "10X", "99999999999T", "1 G", "../x"] {
        ground.run(&["pool", "create", "--size", size]).refused();
    }
    // Here not even the least one has a place.
    let source = fixture.rootfs();
    for words in [&["pool", "create"][..], &["init", source.to_str().unwrap()]] {
        let ended = ground.run(words);
        let said = ended.refused_with_a_hint();
        assert!(said.contains("too little"), "{said}");
    }
    assert!(!ground.pool_file().exists() && mounts_below(&root).is_empty());
}

fn on_btrfs(fixture: &Fixture) {
    if fixture.lane().has_pool() {
        // The lane's own root is one that needs a pool, and gets it.
        fixture.image("base");
        assert_eq!(loop_devices(&fixture.root().join("pool/btrfs.img")).len(), 1);
        return;
    }
    let said = fixture.fails(&["pool", "create"], 1);
    assert!(said.contains("lies on btrfs"), "{said}");
    fixture.image("base");
    assert!(!fixture.root().join("pool/btrfs.img").exists());
    for words in [
        &["pool", "umount"][..],
        &["pool", "grow", "2G"],
        &["pool", "destroy"],
        &["pool", "destroy", "--force"],
    ] {
        let said = fixture.fails(words, 1);
        assert!(said.contains("there is no pool"), "{words:?}: {said}");
    }
    fixture.ok(&["run", "--rm", "base", "true"]);
    fixture.assert_consistent();
}
