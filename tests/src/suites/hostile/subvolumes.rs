//! S11: what a container can do to a btrfs that its tree lies on: make volumes
//! in its own tree, where that is so declared; nothing to anything outside.
//!
//! Making a volume, and a snapshot of what one owns, needs no right but that of
//! writing to the directory; listing, destroying and mounting need
//! `CAP_SYS_ADMIN` of the host (fs/btrfs/ioctl.c of Linux 6.12). The tool for it
//! is the host's own `btrfs`, put into the image with its libraries.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;
use mocker_core::backend::Nested;

pub(super) fn cases() -> Vec<Case> {
    cases![
        s11_a_container_makes_volumes_in_its_own_tree_only_where_that_is_declared,
        s11_a_read_only_volume_of_a_container_goes_with_it,
        s11_a_container_lists_destroys_and_mounts_no_subvolume,
        s11_a_container_that_makes_its_own_tree_read_only_harms_only_itself,
    ]
}

/// Copies a program of the host into a tree, with all that it is linked to.
fn copy_program(top: &Path, name: &str) {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", name]).output().unwrap();
    let program = String::from_utf8(found.stdout).unwrap();
    assert!(!program.is_empty(), "'{name}' is needed: install btrfs-progs");
    std::fs::copy(program.trim(), top.join("bin").join(name)).unwrap();
    // One that is linked to nothing has no list.
    let linked = Command::new("ldd").arg(program.trim()).output().unwrap();
    let text = String::from_utf8(linked.stdout).unwrap();
    for library in text.split_whitespace().filter(|word| word.starts_with('/')) {
        let inside = top.join(library.trim_start_matches('/'));
        std::fs::create_dir_all(inside.parent().unwrap()).unwrap();
        std::fs::copy(library, inside).unwrap();
    }
}

fn image(fixture: &Fixture) {
    copy_program(&fixture.rootfs(), "btrfs");
    fixture.image("base");
    let usable = fixture.ok(&["run", "--rm", "base", "btrfs", "--version"]);
    assert!(usable.contains("btrfs-progs"), "{usable}");
}

/// Whether volumes can be made inside.
fn has_volumes(fixture: &Fixture) -> bool {
    fixture.capabilities().nested != Nested::Impossible
}

fn s11_a_container_makes_volumes_in_its_own_tree_only_where_that_is_declared(fixture: &Fixture) {
    image(fixture);
    let base = oracle::look(&fixture.tree("base"));
    let script = "
        btrfs subvolume create /own > /dev/null 2>&1 && echo created
        btrfs subvolume snapshot /own /copy > /dev/null 2>&1 && echo snapshot
        btrfs subvolume snapshot / /whole > /dev/null 2>&1 && echo whole
        btrfs subvolume create /../../../../beside > /dev/null 2>&1 && echo beside; :";
    let made = fixture.ok(&["run", "--name", "work", "base", "sh", "-c", script]);
    let expected = match fixture.capabilities().nested {
        Nested::Flattened => "created\nsnapshot\nwhole\nbeside",
        // Its own tree is no volume, and no snapshot can be made of a part of somebody else's.
        Nested::Copied => "created\nsnapshot\nbeside",
        Nested::Impossible => "",
    };
    assert_eq!(made, expected, "volumes are declared {:?}", fixture.capabilities().nested);
    let tree = fixture.tree("work");
    for name in ["own", "copy", "beside"] {
        // All of them lie in its tree, wherever it wanted them to be.
        assert_eq!(tree.join(name).is_dir(), has_volumes(fixture), "{name}");
    }
    if has_volumes(fixture) {
        // What is in the snapshot is what the container has anyway, and it has a snapshot only where its own
        // tree is a volume.
        assert!(!tree.join("whole/nodes").exists());
    }
    match fixture.capabilities().nested {
        Nested::Flattened => assert!(fixture.fails(&["commit", "work", "made"], 1).contains("/own")),
        Nested::Copied => {
            fixture.ok(&["commit", "work", "made"]);
            oracle::assert_same(&tree, &fixture.tree("made"));
        }
        Nested::Impossible => drop(fixture.ok(&["commit", "work", "made"])),
    }
    oracle::assert_equal(&base, &oracle::look(&fixture.tree("base")));
    fixture.ok(&["rm", "work"]);
    fixture.assert_consistent();
}

/// The disk that the trees lie on, as its numbers.
fn disk(fixture: &Fixture) -> [String; 2] {
    let trees = if has_volumes(fixture) { fixture.tree("other") } else { fixture.root().to_owned() };
    let found = Command::new("findmnt").args(["-no", "SOURCE", "-T"]).arg(trees).output().unwrap();
    let source = String::from_utf8(found.stdout).unwrap();
    // A mount of a part of it says so in brackets.
    let device = source.trim().split('[').next().unwrap();
    let number = std::fs::metadata(device).unwrap().rdev();
    [rustix::fs::major(number).to_string(), rustix::fs::minor(number).to_string()]
}

fn s11_a_read_only_volume_of_a_container_goes_with_it(fixture: &Fixture) {
    image(fixture);
    let script = "btrfs subvolume create /own || exit 0
        mkdir -p /own/a/b; echo x > /own/a/b/c; echo x > /own/d
        btrfs subvolume snapshot -r /own /still && ! touch /still/new";
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", script]);
    assert_eq!(fixture.tree("work").join("still/a/b/c").exists(), has_volumes(fixture));
    fixture.ok(&["rm", "--wait", "work"]);
    let own = fixture.root().join(fixture.lane().backend());
    assert_eq!(crate::fixture::names_in(&own.join("trash")), [""; 0], "it is still there");
}

fn s11_a_container_lists_destroys_and_mounts_no_subvolume(fixture: &Fixture) {
    image(fixture);
    fixture.ok(&["run", "--name", "other", "base", "sh", "-c", "echo secret > /secret"]);
    let (state, other) = (fixture.state(), oracle::look(&fixture.tree("other")));
    let [major, minor] = disk(fixture);
    // Each prints its name where it has worked, and nothing may.
    let script = "
        try() { name=$1; shift; \"$@\" > /dev/null 2>&1 && echo \"$name worked\"; }
        mknod /disk b $1 $2; mkdir /mnt
        try list btrfs subvolume list /
        try default btrfs subvolume get-default /
        try set-default btrfs subvolume set-default 5 /
        try deleted btrfs subvolume list -d /
        for id in $(seq 256 300); do
            try \"delete $id\" btrfs subvolume delete --subvolid $id /
            try \"name of $id\" btrfs inspect-internal subvolid-resolve $id /
        done
        try inode btrfs inspect-internal inode-resolve 257 /
        try delete-root btrfs subvolume delete /../
        try send btrfs send -f /sent /
        try quota btrfs quota enable /
        try qgroup btrfs qgroup create 1/1 /
        try resize btrfs filesystem resize max /
        try balance btrfs balance start --full-balance /
        try scrub btrfs scrub start -B /
        try add btrfs device add -f /disk /
        try read head -c 1 /disk
        for id in 5 256 257 258; do
            try \"mount $id\" mount -t btrfs -o subvolid=$id /disk /mnt
            try \"mount $id unnamed\" mount -t btrfs -o subvolid=$id none /mnt
        done
        try remount mount -o remount,subvolid=5 /
        try bind mount --bind / /mnt
        ls /mnt; :";
    let seen = fixture.ok(&["run", "--rm", "base", "sh", "-c", script, "sh", &major, &minor]);
    assert_eq!(seen, "");
    assert_eq!(fixture.state(), state);
    oracle::assert_equal(&other, &oracle::look(&fixture.tree("other")));
    if has_volumes(fixture) {
        let quota =
            Command::new("btrfs").args(["qgroup", "show"]).arg(fixture.tree("other")).output().unwrap();
        assert!(!quota.status.success(), "the container has switched quotas on");
    }
    fixture.assert_consistent();
}

/// Who owns a subvolume may set its flag, and the container's root owns its
/// tree.
fn s11_a_container_that_makes_its_own_tree_read_only_harms_only_itself(fixture: &Fixture) {
    image(fixture);
    fixture.ok(&["run", "--name", "other", "base", "sh", "-c", "echo mine > /mine"]);
    let script = "echo made > /made; btrfs property set -t subvol / ro true; (: > /more) 2> /dev/null && echo written; :";
    let printed = fixture.mocker(&["run", "--name", "work", "base", "sh", "-c", script]).run();
    // Only where its own tree is a volume.
    let is_volume = fixture.capabilities().nested == Nested::Flattened;
    assert_eq!(printed.out() == "written", !is_volume, "{printed:?}");
    assert_eq!(fixture.ok(&["start", "other"]), "");
    let again = fixture.mocker(&["start", "work"]).run();
    assert!(again.code == 0 || (again.code == 125 && again.err().contains("ead-only")), "{again:?}");
    fixture.ok(&["commit", "work", "made"]);
    assert_eq!(fixture.ok(&["run", "--rm", "made", "cat", "/made"]), "made");
    // What is made of it can be written to.
    assert_eq!(fixture.ok(&["run", "--rm", "made", "sh", "-c", ": > /written && echo written"]), "written");
    fixture.ok(&["rm", "--wait", "work", "made"]);
    fixture.assert_consistent();
}
