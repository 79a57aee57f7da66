//! S2: a container that replaces, while it runs, what the engine will come
//! back to: mount points that are to be removed again, and left out of commits.

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::images::{LIMIT, Outside};
use crate::suites::background::{self, wait_until};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("s2_mount_points_swapped_before_the_end_of_a_run", at_the_end),
        case("s2_mount_points_swapped_before_a_commit", before_a_commit),
        case("s2_mount_points_swapped_and_the_run_is_killed", killed),
        case("s2_mount_points_swapped_all_the_time", all_the_time),
        case("s2_what_was_written_over_a_mount_point_stays", written),
    ]
}

/// An image without `/etc`, so that the run makes it and will remove it.
fn base(fixture: &Fixture) {
    let _there = std::fs::remove_dir_all(fixture.rootfs().join("etc"));
    fixture.image("base");
}

/// Puts a link to the host's files where `/etc` was.
fn swap(outside: &Outside) -> String {
    let shown = outside.top.display();
    format!(
        "mv /etc /hidden && ln -s ../../../../../../../../../..{shown}/etc /etc && ln -s {shown} /link && test -L /etc"
    )
}

fn at_the_end(fixture: &Fixture) {
    let outside = Outside::new(fixture);
    base(fixture);
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", &swap(&outside)]);
    outside.assert_untouched("the end of a run");
    assert!(fixture.tree("work").join("etc").is_symlink());
    fixture.ok(&["commit", "work", "committed"]);
    outside.assert_untouched("a commit");
    // It cannot run like that, and says so.
    let said = fixture.fails(&["run", "--rm", "committed", "true"], 125);
    assert!(said.contains("/etc"), "{said}");
    outside.assert_untouched("another run");
    fixture.ok(&["rm", "work", "committed"]);
    fixture.assert_consistent();
}

fn before_a_commit(fixture: &Fixture) {
    let outside = Outside::new(fixture);
    base(fixture);
    let script = format!("{}; echo here > /made; while ! test -e /end; do usleep 1000; done", swap(&outside));
    let running = background::start(&mut background::mocker(
        fixture,
        &["run", "--name", "work", "base", "sh", "-c", &script],
    ));
    wait_until("it has swapped", || {
        fixture.ok(&["ps", "-q"]).lines().count() == 1 && fixture.tree("work").join("made").exists()
    });
    fixture.ok(&["commit", "work", "committed"]);
    outside.assert_untouched("the commit of a running container");
    assert!(fixture.tree("committed").join("etc").is_symlink());
    std::fs::write(fixture.tree("work").join("end"), "").unwrap();
    running.end_within(LIMIT).ok();
    outside.assert_untouched("the end of a run");
    fixture.assert_consistent();
}

fn killed(fixture: &Fixture) {
    let outside = Outside::new(fixture);
    base(fixture);
    let script = format!("{}; echo here > /made; exec sleep 98766", swap(&outside));
    let running = background::start(&mut background::mocker(
        fixture,
        &["run", "--name", "work", "base", "sh", "-c", &script],
    ));
    wait_until("it has swapped", || {
        fixture.ok(&["ps", "-q"]).lines().count() == 1 && fixture.tree("work").join("made").exists()
    });
    running.kill();
    fixture.ok(&["ps"]);
    outside.assert_untouched("cleaning up after a killed run");
    fixture.assert_consistent();
}

/// A commit after the other, while `/etc` is now a directory and now a link.
fn all_the_time(fixture: &Fixture) {
    let outside = Outside::new(fixture);
    base(fixture);
    let shown = outside.top.display();
    let script = format!(
        "ln -s {shown}/etc /link; echo here > /made; \
         while ! test -e /end; do mv /etc /hidden; mv -T /link /etc; mv -T /etc /link; mv /hidden /etc; done"
    );
    let running = background::start(&mut background::mocker(
        fixture,
        &["run", "--name", "work", "base", "sh", "-c", &script],
    ));
    wait_until("it swaps", || {
        fixture.ok(&["ps", "-q"]).lines().count() == 1 && fixture.tree("work").join("made").exists()
    });
    for _ in 0..30 {
        background::start(&mut background::mocker(fixture, &["commit", "work", "committed"]))
            .end_within(LIMIT)
            .ok();
    }
    outside.assert_untouched("30 commits");
    std::fs::write(fixture.tree("work").join("end"), "").unwrap();
    running.end_within(LIMIT).ok();
    outside.assert_untouched("the end of a run");
    fixture.assert_consistent();
}

/// Only what is still empty is the engine's to remove.
fn written(fixture: &Fixture) {
    let outside = Outside::new(fixture);
    base(fixture);
    let script = format!(
        "mv /etc /mine; mkdir /etc; echo mine > /etc/hosts; ln -s /mine /etc/resolv.conf; mkdir /etc/hostname; \
         ln -s {} /etc/more",
        outside.top.display()
    );
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", &script]);
    let etc = fixture.tree("work").join("etc");
    assert_eq!(std::fs::read_to_string(etc.join("hosts")).unwrap(), "mine\n");
    assert!(etc.join("resolv.conf").is_symlink() && etc.join("hostname").is_dir());
    fixture.ok(&["commit", "work", "committed"]);
    let [work, committed] = ["work", "committed"].map(|name| oracle::look(&fixture.tree(name)));
    assert_eq!(oracle::differences(&work, &committed), Vec::<String>::new());
    outside.assert_untouched("a run and a commit");
    // What it put there is in the way of another run, which must not go round it.
    fixture.mocker(&["start", "work"]).run();
    outside.assert_untouched("a start");
}
