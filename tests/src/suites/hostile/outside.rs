//! S4: a working directory that lies outside of the container's root.
//!
//! runc kept a descriptor of the host open, and an image could name it as its
//! working directory (CVE-2024-21626).

use std::os::unix::fs::symlink;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

use crate::suites::living;

pub(super) fn cases() -> Vec<Case> {
    cases![
        s4_no_descriptor_is_a_working_directory_outside,
        s4_a_link_in_the_image_is_no_way_out_for_the_working_directory,
    ]
}

/// Where the program has descriptors, and where the caller may have some.
const DESCRIPTORS: std::ops::Range<u32> = 3..20;

/// What a command prints that stands inside: its directory has a path, and
/// however far it goes up it comes to the image's own root.
const STANDS: &str =
    "pwd -P && cd ../../../../../../../.. && test -e /of-the-image && test -e of-the-image && echo inside";

/// A run may be refused, or stand inside; a caller who stands in the host's
/// root, and has it open as `/proc/self/fd/7` and under more numbers, makes no
/// difference.
#[track_caller]
fn inside_or_refused(fixture: &Fixture, options: &str, image: &str) {
    let script =
        format!("cd /; exec 7</ 8</proc 9</etc; exec $mocker run --rm {options} {image} sh -c '{STANDS}'");
    let ended = living::script(fixture, &script);
    let printed = String::from_utf8_lossy(&ended.out).into_owned();
    match ended.code {
        Some(0) => {
            let lines: Vec<_> = printed.lines().collect();
            assert!(
                lines.len() == 2 && lines[0].starts_with('/') && lines[1] == "inside",
                "{options}: {printed}"
            );
        }
        Some(125) => {
            assert_eq!(printed, "", "{options}");
            assert!(ended.err.contains("working directory") || ended.err.contains("cannot"), "{}", ended.err);
        }
        _ => panic!("{options} ended neither inside nor refused: {ended:?}"),
    }
}

fn image(fixture: &Fixture) {
    std::fs::write(fixture.rootfs().join("of-the-image"), "").unwrap();
    fixture.image("base");
}

fn s4_no_descriptor_is_a_working_directory_outside(fixture: &Fixture) {
    image(fixture);
    let state = fixture.state();
    for number in DESCRIPTORS {
        inside_or_refused(fixture, &format!("-w /proc/self/fd/{number}"), "base");
    }
    for path in [
        "/proc/self/cwd",
        "/proc/1/root",
        "/proc/1/cwd",
        "/proc/self/root/..",
        "/proc/thread-self/cwd",
        "/../../..",
        "/dev/fd/7",
        "/proc/self/fd/7/../..",
        "/proc/self/fd/7/etc",
        "/proc/self/task/1/cwd",
    ] {
        inside_or_refused(fixture, &format!("-w {path}"), "base");
    }
    assert_eq!(fixture.state(), state);
}

fn s4_a_link_in_the_image_is_no_way_out_for_the_working_directory(fixture: &Fixture) {
    let top = fixture.rootfs();
    let targets =
        ["/proc/self/fd/7", "/proc/self/fd/9", "/proc/1/cwd", "../../../../..", "/proc/self/root/etc"];
    for (number, target) in targets.iter().enumerate() {
        symlink(target, top.join(format!("way{number}"))).unwrap();
    }
    image(fixture);
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    let descriptors = DESCRIPTORS.step_by(4).map(|number| format!("/proc/self/fd/{number}"));
    let links = (0..targets.len()).map(|number| format!("/way{number}"));
    for directory in descriptors.chain(links) {
        // As the image's own setting.
        fixture.ok(&["commit", "-c", &format!("WORKDIR {directory}"), "work", "made"]);
        inside_or_refused(fixture, "", "made");
        fixture.ok(&["rm", "made"]);
    }
}
