//! What a run leaves: what the command did, and nothing of ours.

use std::path::Path;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use crate::suites::background::{self, wait_until};
use crate::suites::living;
use crate::suites::processes::left_of;

pub(super) fn cases() -> Vec<Case> {
    cases![
        d10_nothing_of_ours_is_written_into_the_tree,
        d10_what_the_command_puts_at_a_mount_point_is_not_ours_to_remove,
        d10_the_images_own_files_are_covered_and_stay_as_they_are,
        run_rm_leaves_nothing_however_the_command_ends,
        a_run_without_rm_stays_with_what_it_changed,
        start_runs_the_command_again_in_its_own_work_area,
        start_of_a_container_that_runs_is_refused,
        processes_that_stay_behind_die_with_process_1,
        no_zombie_of_ours_is_left,
        l14_two_containers_of_one_image_do_not_see_each_other,
    ]
}

/// An image `base` that has none of the places where something is mounted.
fn bare(fixture: &Fixture) {
    for name in ["proc", "sys", "dev", "etc/resolv.conf", "etc/hosts", "etc/hostname"] {
        assert!(!fixture.rootfs().join(name).exists(), "{name}");
    }
    fixture.image("base");
}

fn d10_nothing_of_ours_is_written_into_the_tree(fixture: &Fixture) {
    bare(fixture);
    let seen = "test -s /etc/hosts && test -s /etc/hostname && test -e /etc/resolv.conf && test -d /proc/1 && test -d /sys/kernel";
    // Not even what the command itself writes into the files that we mount.
    let script =
        format!("{seen} && echo mine >> /etc/hosts && echo mine > /etc/resolv.conf && : > /dev/shm/x");
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", &script]);
    oracle::assert_same(&fixture.rootfs(), &fixture.tree("work"));
    oracle::assert_same(&fixture.rootfs(), &fixture.tree("base"));
    fixture.ok(&["start", "work"]);
    oracle::assert_same(&fixture.rootfs(), &fixture.tree("work"));
}

fn d10_what_the_command_puts_at_a_mount_point_is_not_ours_to_remove(fixture: &Fixture) {
    bare(fixture);
    // A directory that we made, and that the command took for its own: beside the mounted files.
    let script = "echo kept > /etc/kept; touch -d @1000000000 /etc";
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", script]);
    let work = fixture.tree("work");
    assert_eq!(std::fs::read_to_string(work.join("etc/kept")).unwrap(), "kept\n");
    let names = |path: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(&work.join("etc")), ["group", "kept", "passwd"]);
    let expected = oracle::look(&fixture.rootfs()).without_time("/etc");
    let found = oracle::look(&work).without("/etc/kept").without_time("/etc");
    oracle::assert_equal(&expected, &found);
}

fn d10_the_images_own_files_are_covered_and_stay_as_they_are(fixture: &Fixture) {
    let top = fixture.rootfs();
    for directory in ["proc", "sys", "dev"] {
        std::fs::create_dir(top.join(directory)).unwrap();
        std::fs::write(top.join(directory).join("own"), directory).unwrap();
    }
    for file in ["resolv.conf", "hosts", "hostname"] {
        std::fs::write(top.join("etc").join(file), "of the image\n").unwrap();
    }
    fixture.image("base");
    let script = "cat /etc/hosts /etc/hostname /etc/resolv.conf | grep -c 'of the image'; \
        ls /proc/own /sys/own /dev/own 2>/dev/null | wc -l; echo changed > /etc/hosts";
    assert_eq!(fixture.ok(&["run", "--name", "work", "base", "sh", "-c", script]), "0\n0");
    oracle::assert_same(&top, &fixture.tree("work"));
}

fn run_rm_leaves_nothing_however_the_command_ends(fixture: &Fixture) {
    fixture.image("base");
    let state = fixture.state();
    let endings: &[(&[&str], i32)] = &[
        (&["true"], 0),
        (&["sh", "-c", "dd if=/dev/zero of=/much bs=1M count=8 2>/dev/null; exit 3"], 3),
        (&["no-such-program"], 127),
        (&["/etc/passwd"], 126),
    ];
    for (words, code) in endings {
        let ended = fixture.mocker(&[&["run", "--rm", "--name", "work", "base"], *words].concat()).run();
        assert_eq!(ended.code, *code, "{}", ended.err());
        assert_eq!(fixture.state(), state, "{words:?}");
    }
    assert_eq!(fixture.mocker(&["run", "--rm", "-u", "nobody-here", "base", "true"]).run().code, 125);
    assert_eq!(fixture.state(), state);
    oracle::assert_same(&fixture.rootfs(), &fixture.tree("base"));
    fixture.assert_consistent();
}

fn a_run_without_rm_stays_with_what_it_changed(fixture: &Fixture) {
    fixture.image("base");
    let script = "echo new > /new; rm /etc/group; chmod 700 /tmp; mv /etc/passwd /etc/moved";
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", script]);
    let copy = fixture.scratch().join("copy");
    let copied =
        std::process::Command::new("cp").arg("-a").arg(fixture.rootfs()).arg(&copy).status().unwrap();
    assert!(copied.success());
    let by_hand = "cd \"$1\"; echo new > new; rm etc/group; chmod 700 tmp; mv etc/passwd etc/moved";
    let done = std::process::Command::new("sh").args(["-ec", by_hand, "sh"]).arg(&copy).status().unwrap();
    assert!(done.success());
    let timeless =
        |path: &Path| oracle::look(path).without_time("/").without_time("/etc").without_time("/new");
    oracle::assert_equal(&timeless(&copy), &timeless(&fixture.tree("work")));
}

fn start_runs_the_command_again_in_its_own_work_area(fixture: &Fixture) {
    fixture.image("base");
    let script = "echo x >> /count; echo \"$A $(pwd) $(id -u) $(wc -l < /count)\"; exit $(wc -l < /count)";
    let words =
        ["run", "--name", "work", "-e", "A=kept", "-w", "/tmp", "-u", "0:0", "base", "sh", "-c", script];
    let first = fixture.mocker(&words).run();
    assert_eq!((first.code, first.out().as_str()), (1, "kept /tmp 0 1"));
    let before = fixture.record("work").unwrap();
    let second = fixture.mocker(&["start", "work"]).run();
    assert_eq!((second.code, second.out().as_str()), (2, "kept /tmp 0 2"));
    let after = fixture.record("work").unwrap();
    for field in ["id", "name", "image", "command", "work", "created"] {
        assert_eq!(before[field], after[field], "{field}");
    }
    assert_eq!(after["exit_code"], 2);
    assert!(after["started"].as_i64() > before["started"].as_i64());
    assert!(fixture.ok(&["logs", "work"]).ends_with("kept /tmp 0 2"));
}

fn start_of_a_container_that_runs_is_refused(fixture: &Fixture) {
    fixture.image("base");
    let job = living::start(fixture, &[], living::UNTIL_ENDED);
    let state = fixture.state();
    let pid = fixture.record("work").unwrap()["pid"].to_string();
    for (words, code) in [(&["start", "work"][..], 125), (&["rm", "work"], 1)] {
        let said = fixture.fails(words, code);
        assert!(said.contains("is running") && said.contains(&pid) && said.contains("\n  try: "), "{said}");
        assert_eq!(fixture.state(), state);
    }
    living::end(fixture, job).ok();
    fixture.ok(&["rm", "work"]);
}

fn processes_that_stay_behind_die_with_process_1(fixture: &Fixture) {
    fixture.image("base");
    // One holds our output, one has a session of its own, one has nothing in common with us.
    let script =
        "sleep 1000 & setsid sleep 1000 & (setsid sleep 1000 < /dev/null > /dev/null 2>&1 &) ; echo done";
    let words = ["run", "--name", "work", "base", "sh", "-c", script];
    let job = background::start(&mut background::mocker(fixture, &words));
    let pid = job.pid();
    assert_eq!(job.end().ok(), "done");
    let left = left_of(pid, &[fixture.tree("work")]);
    assert!(left.is_empty(), "{left:?}");
}

fn no_zombie_of_ours_is_left(fixture: &Fixture) {
    fixture.image("base");
    // In a process namespace of its own everybody whom nobody waits for shows up beneath the shell.
    // Without --rm: what frees space in the background is meant to outlive its command.
    let script = "exec unshare --pid --fork --kill-child --mount-proc sh -ec '\
        for i in 1 2 3; do $mocker run base sh -c \"true & (sleep 0.01 &) ; true\"; done; \
        for process in /proc/[0-9]*/stat; do read -r line < $process && echo \"$line\"; done'";
    let ended = living::script(fixture, script).ok();
    assert_eq!(ended.lines().count(), 1, "others than the shell are left:\n{ended}");
    let job = living::start(fixture, &[], living::UNTIL_ENDED);
    wait_until("nothing but the container is a child", || {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", job.pid())).unwrap();
        children.split_whitespace().count() == 1
    });
    living::end(fixture, job).ok();
}

fn l14_two_containers_of_one_image_do_not_see_each_other(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&[
        "run",
        "--name",
        "one",
        "base",
        "sh",
        "-c",
        "echo one > /who; echo one >> /etc/passwd; rm /etc/group",
    ]);
    let one = oracle::look(&fixture.tree("one"));
    fixture.ok(&[
        "run",
        "--name",
        "two",
        "base",
        "sh",
        "-c",
        "! test -e /who && test -e /etc/group && echo two > /who && mv /tmp /pmt",
    ]);
    oracle::assert_equal(&one, &oracle::look(&fixture.tree("one")));
    oracle::assert_same(&fixture.rootfs(), &fixture.tree("base"));
    fixture.ok(&["rm", "one"]);
    assert_eq!(
        fixture.ok(&["run", "--rm", "base", "cat", "/etc/group"]),
        std::fs::read_to_string(fixture.rootfs().join("etc/group")).unwrap().trim()
    );
    assert_eq!(std::fs::read_to_string(fixture.tree("two").join("who")).unwrap(), "two\n");
}
