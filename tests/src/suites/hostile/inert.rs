//! S9: what an image brings along is data on the host: no program of it is
//! executed there, no library loaded, no setting of it obeyed.
//!
//! Elsewhere a decompressor was looked for among the container's files
//! (CVE-2026-41567), a label became a command (CVE-2026-53488), and a library for
//! names of users was loaded from the image (CVE-2019-14271).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::images::LIMIT;
use crate::suites::background;

pub(super) fn cases() -> Vec<Case> {
    cases![
        s9_no_program_and_no_library_of_an_image_is_used_on_the_host,
        s9_no_label_and_no_variable_of_an_image_is_a_setting_of_ours,
    ]
}

/// What an engine, or a library in it, might execute.
const PROGRAMS: [&str; 27] = [
    "mocker",
    "mocker-init",
    "mkfs.btrfs",
    "btrfs",
    "mount",
    "umount",
    "losetup",
    "fuse-overlayfs",
    "newuidmap",
    "newgidmap",
    "gzip",
    "unpigz",
    "pigz",
    "zstd",
    "xz",
    "bzip2",
    "tar",
    "cp",
    "rm",
    "iptables",
    "nft",
    "ldconfig",
    "modprobe",
    "setfacl",
    "getent",
    "systemd-run",
    "runc",
];

/// What a library might load or read.
const LIBRARIES: [&str; 9] = [
    "lib/x86_64-linux-gnu/libnss_files.so.2",
    "lib/x86_64-linux-gnu/libnss_compat.so.2",
    "lib/aarch64-linux-gnu/libnss_files.so.2",
    "lib64/libnss_files.so.2",
    "usr/lib/libnss_files.so.2",
    "etc/nsswitch.conf",
    "etc/ld.so.preload",
    "etc/ld.so.cache",
    "etc/localtime",
];

/// Programs that make a file where they are executed on the host, and libraries
/// that keep whoever opens them waiting for ever.
fn plant(fixture: &Fixture) -> PathBuf {
    let top = fixture.rootfs();
    let witness = fixture.scratch().join("executed");
    let program = format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\nexit 0\n", witness.display());
    for directory in ["bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin"] {
        std::fs::create_dir_all(top.join(directory)).unwrap();
        for name in PROGRAMS {
            let path = top.join(directory).join(name);
            // What stands there is a link to busybox.
            let _gone = std::fs::remove_file(&path);
            std::fs::write(&path, &program).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    for path in LIBRARIES.map(|path| top.join(path)) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    }
    witness
}

/// Runs a command that must not wait for anything; answers what it printed.
#[track_caller]
fn at_once(fixture: &Fixture, words: &[&str]) -> String {
    background::start(&mut background::mocker(fixture, words)).end_within(LIMIT).ok()
}

#[track_caller]
fn nothing_was_executed(witness: &Path) {
    let executed = std::fs::read_to_string(witness).unwrap_or_default();
    assert_eq!(executed, "", "the host has executed programs of the image");
}

fn s9_no_program_and_no_library_of_an_image_is_used_on_the_host(fixture: &Fixture) {
    let witness = plant(fixture);
    let source = fixture.rootfs();
    let before = oracle::look(&source);
    let other = fixture.another_backend();
    let verbs: &[&[&str]] = &[
        &["init", "--name", "base", source.to_str().unwrap()],
        &["run", "--name", "work", "-u", "mallory", "base", "sh", "-c", "id -un > /dev/null; : > /tmp/made"],
        &["start", "work"],
        &["logs", "work"],
        &["commit", "-c", "USER mallory", "work", "made"],
        &["run", "--rm", "made", "true"],
        &["commit", "--squash=all", "work", "alone"],
        &["tag", "made", "tagged"],
        &["ps"],
        &["images"],
        &["rm", "--wait", "work", "alone", "tagged"],
    ];
    for words in verbs {
        at_once(fixture, words);
        nothing_was_executed(&witness);
    }
    // By every name that is in its path inside, a program is one of the image's; what it writes to is not there.
    let inside = background::run(fixture, &["run", "--rm", "base", "mount", "x"]);
    assert_eq!(inside.code, Some(0), "{inside:?}");
    background::start(&mut background::mocker(fixture, &["convert", "base", "--to", other, "there"]))
        .end_within(LIMIT)
        .ok();
    nothing_was_executed(&witness);
    oracle::assert_equal(&before, &oracle::look(&source));
    oracle::assert_equal(&before, &oracle::look(&fixture.tree("base")));
}

/// Settings that mean something to this program, to others, to the dynamic
/// linker and to a shell.
const VARIABLES: [(&str, &str); 9] = [
    ("MOCKER_ROOT", "/var/tmp/root-of-the-image"),
    ("MOCKER_BACKEND", "nonsense"),
    ("MOCKER_CRASH_AT", "commit.after-intent"),
    ("LD_PRELOAD", "/evil.so"),
    ("LD_LIBRARY_PATH", "/evil"),
    ("PATH", "/evil:/bin"),
    ("ENV", "/evil.sh"),
    ("TMPDIR", "/evil"),
    ("DOCKER_HOST", "tcp://evil"),
];

fn s9_no_label_and_no_variable_of_an_image_is_a_setting_of_ours(fixture: &Fixture) {
    let witness = fixture.scratch().join("executed");
    let evil = format!("#!/bin/sh\n: > '{}'\n", witness.display());
    for name in ["evil.sh", "evil.so"] {
        std::fs::write(fixture.rootfs().join(name), &evil).unwrap();
    }
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    let shown = witness.display();
    let labels = [
        format!("LABEL run=\"touch {shown}\" install=\"$(touch {shown})\" io.mocker.hook=\"/evil.sh\""),
        format!("LABEL io.containers.autoupdate=registry io.podman.annotations.init=\"touch {shown}\""),
        format!("ONBUILD RUN touch {shown}"),
        "STOPSIGNAL SIGKILL".to_owned(),
        "VOLUME /etc /".to_owned(),
        "CMD sh -c 'echo $MOCKER_ROOT $LD_PRELOAD $PATH'".to_owned(),
    ];
    let variables = VARIABLES.map(|(name, value)| format!("ENV {name}={value}"));
    let changes: Vec<_> =
        labels.iter().chain(&variables).flat_map(|change| ["-c", change.as_str()]).collect();
    fixture.ok(&[&["commit"], &changes[..], &["work", "made"]].concat());
    // The container gets them, and nobody else.
    let seen = "/var/tmp/root-of-the-image /evil.so /evil:/bin";
    for _ in 0..2 {
        assert_eq!(at_once(fixture, &["run", "--name", "next", "made"]), seen);
        at_once(fixture, &["start", "next"]);
        at_once(fixture, &["commit", "next", "made"]);
        at_once(fixture, &["rm", "--wait", "next"]);
    }
    assert_eq!(fixture.record("made").unwrap()["backend"], fixture.lane().backend());
    assert!(!witness.exists(), "a setting of the image was executed on the host");
    assert!(!Path::new(VARIABLES[0].1).exists(), "the image has named the root");
    fixture.assert_consistent();
}
