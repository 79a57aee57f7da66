//! D10, D11, D20: containers that run, and what is mounted in them.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::living;

use super::{prepare, record};

pub(super) fn cases() -> Vec<Case> {
    cases![
        d10_mount_points_of_the_engine_are_not_told,
        d11_a_running_container_is_looked_at_and_not_disturbed,
        d11_a_container_is_looked_at_again_and_again_while_it_writes,
        d20_what_is_mounted_is_not_told_and_volumes_are_named,
    ]
}

fn d10_mount_points_of_the_engine_are_not_told(fixture: &Fixture) {
    prepare(fixture, "true");
    // The image has none of them, so that the engine makes them all.
    for name in ["proc", "sys", "dev", "etc/hosts"] {
        assert!(!fixture.rootfs().join(name).exists(), "the source has {name} itself");
    }
    assert_eq!(fixture.ok(&["diff", "work"]), "");
    fixture.ok(&["rm", "work"]);
    let job = living::start(fixture, &[], living::UNTIL_ENDED);
    assert_eq!(fixture.ok(&["diff", "work"]), "A /ready");
    assert_eq!(fixture.ok(&["diff", "work", "base"]), "D /ready");
    living::end(fixture, job).ok();
    // Unless the container changed them itself.
    fixture.edit("work", "mkdir -p dev; echo x > dev/own");
    let told = fixture.ok(&["diff", "work"]);
    assert!(told.contains("A /dev\nA /dev/own"), "{told}");
}

/// A second mount with the same upper took the right to write from a container.
fn d11_a_running_container_is_looked_at_and_not_disturbed(fixture: &Fixture) {
    prepare(fixture, "echo old > file; touch -d @7 .");
    fixture.ok(&["rm", "work"]);
    let script = format!("echo new >> /file; {}; echo after >> /file; cat /file", living::UNTIL_ENDED);
    let job = living::start(fixture, &[], &script);
    // That no mount is left is seen to at the end of every case.
    let before = fixture.state();
    for _ in 0..3 {
        assert_eq!(fixture.ok(&["diff", "work"]), "C /file\nA /ready");
    }
    assert_eq!(fixture.state(), before, "something is left");
    assert_eq!(living::end(fixture, job).out, b"old\nnew\nafter\n");
    fixture.assert_consistent();
}

fn d11_a_container_is_looked_at_again_and_again_while_it_writes(fixture: &Fixture) {
    prepare(fixture, "mkdir d; touch -d @7 d .");
    fixture.ok(&["rm", "work"]);
    let script = ": > /ready; i=0; while ! [ -e /end ]; do i=$((i + 1)); echo $i > /d/$((i % 50)); \
        [ $((i % 7)) = 0 ] && rm -f /d/$((i % 40)); mkdir -p /d/x/$((i % 9)); rm -rf /d/x/$((i % 5)); done";
    let job = living::start(fixture, &[], script);
    for _ in 0..20 {
        let told = record(fixture, &["work"]);
        let changes = told["changes"].as_array().unwrap();
        assert!(
            changes.iter().all(|change| change["path"].as_str().is_some_and(|path| !path.contains("proc")))
        );
        // Of a frozen view, what is listed was there.
        assert!(changes.len() < 100, "{told}");
    }
    living::end(fixture, job).ok();
    fixture.assert_consistent();
}

fn d20_what_is_mounted_is_not_told_and_volumes_are_named(fixture: &Fixture) {
    prepare(fixture, "mkdir data; touch -d @7 . data");
    fixture.ok(&["rm", "work"]);
    fixture.ok(&[
        "run",
        "--name",
        "work",
        "base",
        "sh",
        "-c",
        "echo 1.2.3.4 x >> /etc/hosts; echo x > /dev/shm/x; echo y > /data/y",
    ]);
    let told = fixture.mocker(&["diff", "work"]).run();
    assert_eq!((told.out(), told.err()), ("C /data\t(mtime)\nA /data/y".to_owned(), String::new()));
    fixture.ok(&["commit", "-c", "VOLUME /data", "work", "with"]);
    fixture.ok(&["run", "--name", "next", "with", "sh", "-c", "echo z > /data/z"]);
    let told = fixture.mocker(&["diff", "next"]).run();
    assert_eq!(told.out(), "C /data\t(mtime)\nA /data/z");
    assert!(told.err().contains("/data") && told.err().contains("volume"), "{}", told.err());
}
