//! D10: the engine mounts things in a container's tree, and nobody can tell
//! afterwards, nor from a version that was committed meanwhile.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle::{self, Tree};

use super::bash;
use crate::suites::living;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("d10_mount_points_that_an_image_lacks_leave_no_trace", lacking),
        case("d10_what_an_image_has_at_the_mount_points_stays_as_it_is", having),
        case("d10_a_commit_of_a_running_container_has_no_mount_points", committed_meanwhile),
        case("d10_what_is_written_into_mounted_files_stays_out_of_the_tree", written),
        case("d10_what_a_container_does_beside_the_mount_points_stays", beside),
    ]
}

/// What is mounted, and what is looked for.
const MOUNTS: [&str; 6] = ["/proc", "/sys", "/dev", "/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];

/// Shows that the mounts are there while a container runs.
const LOOK: &str = "test -s /etc/hosts && test -s /etc/hostname && test -e /etc/resolv.conf && test -c /dev/null \
                    && test -d /proc/1 && test -d /sys/kernel";

#[track_caller]
fn assert_is(fixture: &Fixture, object: &str, expected: &Tree) {
    let differences = oracle::differences(expected, &oracle::look(&fixture.tree(object)));
    assert!(differences.is_empty(), "{object} shows what was mounted:\n{}", differences.join("\n"));
}

/// Runs, runs again and commits; each time the tree is what it was.
fn through_runs(fixture: &Fixture, expected: &Tree) {
    assert_is(fixture, "base", expected);
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", LOOK]);
    assert_is(fixture, "work", expected);
    fixture.ok(&["start", "work"]);
    assert_is(fixture, "work", expected);
    fixture.ok(&["commit", "work", "committed"]);
    assert_is(fixture, "committed", expected);
    // A command that never starts has its mounts too.
    assert_eq!(fixture.mocker(&["run", "--name", "missing", "base", "no-such-program"]).run().code, 127);
    assert_is(fixture, "missing", expected);
    assert_is(fixture, "base", expected);
}

fn lacking(fixture: &Fixture) {
    // Without anything, and without /etc as well.
    for prepare in ["touch -d @1000000000.123456789 . etc", "rm -r etc; touch -d @1000000000.123456789 ."] {
        let source = fixture.rootfs();
        bash(&source, prepare);
        let expected = oracle::look(&source);
        assert!(MOUNTS.iter().all(|mount| !expected.has(mount)));
        fixture.image("base");
        through_runs(fixture, &expected);
        fixture.ok(&["rm", "work", "missing", "committed", "base"]);
    }
    fixture.assert_consistent();
}

fn having(fixture: &Fixture) {
    let source = fixture.rootfs();
    bash(
        &source,
        "mkdir -m 700 proc; mkdir -m 1777 sys; mkdir dev; echo of-the-image > proc/file; mknod dev/null c 1 3
         mkdir dev/shm; echo of-the-image > dev/shm/file; chown 3:4 dev; setfattr -n user.d -v 1 dev
         printf 'mine\\n' > etc/hosts; chmod 600 etc/hosts; : > etc/hostname; chown 5:6 etc/hostname
         setfacl -m u:7:r etc/hosts; ln etc/hosts etc/hosts-too
         touch -d @5.5 proc/file dev/* etc/hosts etc/hostname; touch -d @6.000000006 proc sys dev etc .",
    );
    symlink("../run/resolver/stub.conf", source.join("etc/resolv.conf")).unwrap();
    bash(&source, "touch -h -d @7.7 etc/resolv.conf; touch -d @6.000000006 etc .");
    let expected = oracle::look(&source);
    fixture.image("base");
    through_runs(fixture, &expected);
}

fn committed_meanwhile(fixture: &Fixture) {
    let source = fixture.rootfs();
    bash(&source, "touch -d @1000000000.000000001 . etc");
    fixture.image("base");
    let script = format!("{LOOK}; touch -d @1000000000 / /etc; {}", living::UNTIL_ENDED);
    let job = living::start(fixture, &[], &script);
    fixture.ok(&["commit", "work", "meanwhile"]);
    let expected = oracle::look(&source).without_time("/");
    let found = oracle::look(&fixture.tree("meanwhile"));
    assert!(found.has("/ready"));
    let found = found.without("/ready").without_time("/").without_time("/etc");
    oracle::assert_equal(&expected.clone().without_time("/etc"), &found);
    living::end(fixture, job).ok();
    let found = oracle::look(&fixture.tree("work"));
    let found = found.without("/ready").without("/end").without_time("/").without_time("/etc");
    oracle::assert_equal(&expected.without_time("/etc"), &found);
    // What was committed meanwhile can be run, and gets mounts of its own.
    fixture.ok(&["run", "--rm", "meanwhile", "sh", "-c", LOOK]);
}

fn written(fixture: &Fixture) {
    let source = fixture.rootfs();
    let expected = oracle::look(&source);
    fixture.image("base");
    let script = "echo 10.1.2.3 mine >> /etc/hosts && echo other > /etc/hostname && echo nameserver 10.1.2.3 > \
                  /etc/resolv.conf && echo x > /dev/shm/file && mknod /dev/own c 1 3 && cat /etc/hostname";
    assert_eq!(fixture.ok(&["run", "--name", "work", "base", "sh", "-c", script]), "other");
    assert_is(fixture, "work", &expected);
    fixture.ok(&["commit", "work", "committed"]);
    assert_is(fixture, "committed", &expected);
    let hosts = fixture.ok(&["run", "--rm", "committed", "cat", "/etc/hosts"]);
    assert!(!hosts.contains("10.1.2.3"), "{hosts}");
}

/// Only what is the engine's goes; what the container made there is its own,
/// and so is the time at which it did.
fn beside(fixture: &Fixture) {
    let source = fixture.rootfs();
    bash(&source, "rm -r etc; touch -d @1000000000 .");
    fixture.image("base");
    let script = "mkdir -p /etc/own && echo mine > /etc/mine && chmod 700 /etc && chown 3:4 /etc && touch -d @2000000000 /etc /";
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", script]);
    fixture.ok(&["commit", "work", "committed"]);
    for object in ["work", "committed"] {
        let tree = fixture.tree(object);
        let names = |path: &Path| {
            let mut names: Vec<_> = std::fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort_unstable();
            names
        };
        assert_eq!(names(&tree.join("etc")), ["mine", "own"], "{object}");
        assert_eq!(names(&tree), ["bin", "etc", "home", "root", "tmp", "var"], "{object}");
        bash(
            &tree,
            "test $(stat -c %a:%u:%g:%Y etc) = 700:3:4:2000000000 && test $(stat -c %Y .) = 2000000000",
        );
    }
    fixture.ok(&["start", "work"]);
}
