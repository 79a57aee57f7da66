//! L9, N3: what commands that live are at work on is no finding.

use super::{checked, world};
use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::background::{self, wait_until};

pub(super) fn cases() -> Vec<Case> {
    cases![n3_a_check_beside_commands_that_are_at_work_is_clean, l9_a_root_is_clean_whoever_has_let_go_of_it,]
}

/// Everything that a command can be in the middle of, over and over.
const BUSY: [&[&str]; 6] = [
    &["run", "--rm", "base", "true"],
    &["run", "--name", "mine", "base", "true"],
    &["commit", "mine", "made"],
    &["rm", "mine"],
    &["tag", "made", "also"],
    &["rm", "made", "also"],
];

fn n3_a_check_beside_commands_that_are_at_work_is_clean(fixture: &Fixture) {
    let world = world(fixture);
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                for words in BUSY {
                    background::run(fixture, words).ok();
                }
            }
        });
        for round in 0..25 {
            let words: &[&str] = if round % 5 == 4 { &["check", "--repair"] } else { &["check"] };
            let ended = background::run(fixture, words);
            assert_eq!((ended.code, ended.out.as_slice()), (Some(0), &b""[..]), "round {round}: {ended:?}");
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        busy.join().unwrap();
    });
    world.assert_as_before();
}

fn l9_a_root_is_clean_whoever_has_let_go_of_it(fixture: &Fixture) {
    let world = world(fixture);
    let script = "touch /go; while ! test -e /end; do usleep 2000; done";
    let start = |name: &str| {
        let words = ["run", "--name", name, "base", "sh", "-c", script];
        let job = background::start(&mut background::mocker(fixture, &words));
        wait_until("it runs", || {
            fixture.record(name).is_some_and(|record| record["status"] == "running")
                && fixture.tree(name).join("go").exists()
        });
        job
    };
    let (first, second) = (start("first"), start("second"));
    assert_eq!(checked(fixture, &[]), (vec![], vec![]), "two are running");
    first.kill();
    fixture.ok(&["ps", "-q"]);
    assert_eq!(checked(fixture, &["--repair"]), (vec![], vec![]), "one is running");
    assert_eq!(fixture.record("second").unwrap()["status"], "running");
    std::fs::write(fixture.tree("second").join("end"), "").unwrap();
    second.end();
    assert_eq!(checked(fixture, &[]), (vec![], vec![]), "nobody is running");
    fixture.ok(&["rm", "--wait", "first", "second"]);
    world.assert_as_before();
}
