//! C2: whether a container that runs stands still while it is committed, and
//! that it never does so for longer.

use std::path::PathBuf;
use std::time::Duration;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

use crate::suites::background::{self, wait_until};
use crate::suites::ground::Ground;
use crate::suites::living;

pub(super) fn cases() -> Vec<Case> {
    cases![
        c2_the_container_runs_on_after_its_commit_and_the_pause_is_told,
        c2_without_a_pause_it_is_one_instant_or_refused,
        c2_a_container_that_somebody_else_has_paused_stays_paused,
        c2_a_container_runs_on_where_its_commit_has_no_space,
    ]
}

/// Counts, in a file that is never half written, until the case ends it.
const COUNTS: &str =
    "i=0; : > /ready; while ! [ -e /end ]; do i=$((i + 1)); echo $i > /new; mv /new /count; done";

/// How far the container `work` has counted.
fn count(fixture: &Fixture) -> u64 {
    let text = std::fs::read_to_string(fixture.tree("work").join("count")).unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

#[track_caller]
fn assert_counts_on(fixture: &Fixture) {
    let before = count(fixture);
    wait_until("the container counts on", || count(fixture) > before);
}

/// Whether a commit says for how long the container was paused.
fn pauses(said: &str) -> bool {
    said.contains("was paused for ") && said.contains(" ms")
}

fn c2_the_container_runs_on_after_its_commit_and_the_pause_is_told(fixture: &Fixture) {
    fixture.image("base");
    let job = living::start(fixture, &[], COUNTS);
    let first = fixture.mocker(&["commit", "work", "made"]).run();
    assert_eq!(first.code, 0, "{}", first.err());
    assert_counts_on(fixture);
    for words in [&["commit", "-p", "work", "made"][..], &["commit", "--pause=true", "work", "made"]] {
        let ended = fixture.mocker(words).run();
        assert_eq!(ended.code, 0, "{}", ended.err());
        assert_eq!(pauses(&ended.err()), pauses(&first.err()), "what is said differs: {}", ended.err());
        assert_counts_on(fixture);
    }
    assert_eq!(fixture.record("work").unwrap()["status"], "running");
    living::end(fixture, job).ok();
    // Nobody has to be paused where nobody runs.
    let said = fixture.mocker(&["commit", "work", "made"]).run().err();
    assert!(!pauses(&said), "{said}");
    fixture.assert_consistent();
}

fn c2_without_a_pause_it_is_one_instant_or_refused(fixture: &Fixture) {
    fixture.image("base");
    let job = living::start(fixture, &[], COUNTS);
    fixture.ok(&["commit", "work", "made"]);
    let state = fixture.state();
    let ended = fixture.mocker(&["commit", "--pause=false", "work", "made"]).run();
    if ended.code == 0 {
        // The file system can freeze a tree while it is written to.
        assert!(!pauses(&ended.err()), "{}", ended.err());
        assert_eq!(fixture.record("made").unwrap()["versions"], 2);
    } else {
        let said = ended.err();
        assert!(said.contains("pause") && said.contains("\n  try: "), "{said}");
        assert_eq!(fixture.state(), state);
    }
    assert_counts_on(fixture);
    living::end(fixture, job).ok();
    fixture.ok(&["commit", "--pause=false", "work", "made"]);
    fixture.fails(&["commit", "--pause=perhaps", "work"], 2);
    fixture.assert_consistent();
}

/// A control group that has a container in it: its own, or one of ours where it
/// has none because nothing ever needs to pause it.
#[derive(Debug)]
struct Group {
    path: PathBuf,
    ours: bool,
}

impl Group {
    fn of_work(fixture: &Fixture) -> Self {
        let pid = fixture.record("work").unwrap()["pid"].to_string();
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let group = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let unified =
            mounts.lines().find(|line| line.contains(" - cgroup2 ")).expect("a cgroup2 file system");
        let top = PathBuf::from(unified.split(' ').nth(4).unwrap());
        if group.contains("mocker/") {
            return Self { path: top.join(group), ours: false };
        }
        let path = top.join(format!("mocker-test-{pid}"));
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("cgroup.procs"), pid).unwrap();
        Self { path, ours: true }
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path.join(file)).unwrap()
    }

    fn freeze(&self, word: &str) {
        std::fs::write(self.path.join("cgroup.freeze"), word).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.ours {
            // Also where the case has failed: nothing may stay frozen.
            let _thawed = std::fs::write(self.path.join("cgroup.freeze"), "0");
            let _killed = std::fs::write(self.path.join("cgroup.kill"), "1");
            for _ in 0..100 {
                if std::fs::remove_dir(&self.path).is_ok() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn c2_a_container_that_somebody_else_has_paused_stays_paused(fixture: &Fixture) {
    fixture.image("base");
    let job = living::start(fixture, &[], COUNTS);
    let group = Group::of_work(fixture);
    group.freeze("1");
    wait_until("it stands still", || group.read("cgroup.events").contains("frozen 1"));
    let before = count(fixture);
    assert!(fixture.ok(&["inspect", "work"]).contains("\"Status\": \"paused\""), "nobody is told of it");
    fixture.ok(&["commit", "work", "made"]);
    assert_eq!(group.read("cgroup.freeze").trim(), "1", "the commit has let it run on");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(count(fixture), before);
    let seen = fixture.ok(&["run", "--rm", "made", "cat", "/count"]);
    assert_eq!(seen, before.to_string());
    group.freeze("0");
    assert_counts_on(fixture);
    living::end(fixture, job).ok();
    fixture.assert_consistent();
}

fn c2_a_container_runs_on_where_its_commit_has_no_space(fixture: &Fixture) {
    // Room for the file once, and not for a copy of it.
    let ground = Ground::of_lane(fixture, 240);
    ground.run(&["init", "--name", "base", fixture.rootfs().to_str().unwrap()]).ok();
    let script = "head -c 130000000 /dev/urandom > /large; echo ready; read -r word; echo $word; exit 6";
    let fifo = fixture.scratch().join("input");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let mut command = background::in_own_mounts(
        fixture,
        &ground.root(),
        "exec \"$mocker\" run --name work base sh -c \"$1\" < \"$2\"",
        &[script, fifo.to_str().unwrap()],
    );
    let job = background::start(&mut command);
    let mut input = std::fs::File::options().write(true).open(&fifo).unwrap();
    wait_until("the container has written", || ground.run(&["logs", "work"]).out == b"ready\n");
    let ended = ground.run(&["commit", "work", "made"]);
    // Where the data is shared instead of copied, there is room.
    if ended.code != Some(0) {
        assert!(ended.refused_with_a_hint().contains("space"), "{ended:?}");
        assert_eq!(ground.run(&["images", "-q"]).ok().lines().count(), 1);
    }
    std::io::Write::write_all(&mut input, b"goes-on\n").unwrap();
    let ended = job.end();
    assert_eq!((ended.code, ended.out.as_slice()), (Some(6), &b"ready\ngoes-on\n"[..]), "{}", ended.err);
}
