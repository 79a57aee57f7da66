//! C15: a container that never started, is about to start or is about to go:
//! a whole image or a clear refusal, never a broken image.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::worked;
use crate::suites::background;

pub(super) fn cases() -> Vec<Case> {
    cases![
        c15_a_container_that_failed_to_start_makes_a_whole_image,
        c15_a_container_that_never_was_makes_none,
        c15_a_commit_while_its_container_is_removed_is_whole_or_refused,
        c15_a_container_run_to_go_is_gone_for_a_commit,
    ]
}

fn c15_a_container_that_failed_to_start_makes_a_whole_image(fixture: &Fixture) {
    fixture.image("base");
    for (name, command, code) in [("missing", "no-such-program", 127), ("no-program", "/etc/passwd", 126)] {
        assert_eq!(fixture.mocker(&["run", "--name", name, "base", command]).run().code, code);
        assert_eq!(fixture.record(name).unwrap()["status"], "exited");
        fixture.ok(&["commit", name, name]);
        // All that it lacks is a command that can be run.
        oracle::assert_same(&fixture.rootfs(), &fixture.tree(name));
        assert_eq!(fixture.ok(&["run", "--rm", name, "echo", "it runs"]), "it runs");
        assert_eq!(fixture.mocker(&["run", "--rm", name]).run().code, code, "the command is kept");
    }
    fixture.assert_consistent();
}

fn c15_a_container_that_never_was_makes_none(fixture: &Fixture) {
    fixture.image("base");
    let state = fixture.state();
    // Refused before there is a container, though it was given a name.
    assert_eq!(
        fixture.mocker(&["run", "--name", "work", "-u", "nobody-here", "base", "true"]).run().code,
        125
    );
    for name in fixture.ok(&["ps", "-q"]).lines() {
        // One that failed on the way is there, and says why; it goes like any other.
        fixture.ok(&["commit", name, "made"]);
        oracle::assert_same(&fixture.rootfs(), &fixture.tree("made"));
        fixture.ok(&["rm", name, "made"]);
    }
    assert_eq!(fixture.state(), state);
    let said = fixture.fails(&["commit", "work", "made"], 1);
    assert!(said.contains("No container named 'work' exists"), "{said}");
    assert_eq!(fixture.state(), state);
    fixture.assert_consistent();
}

fn c15_a_commit_while_its_container_is_removed_is_whole_or_refused(fixture: &Fixture) {
    const ROUNDS: u64 = 12;
    fixture.image("base");
    let (mut whole, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        worked(fixture, "mkdir /deep; for i in 1 2 3 4 5 6 7 8; do echo $i > /deep/$i; done; rm /etc/group");
        let expected = oracle::look(&fixture.tree("work"));
        // Now the one comes first, now the other.
        let mut words = [&["rm", "-f", "work"][..], &["commit", "work", "made"]];
        if round % 2 == 1 {
            words.reverse();
        }
        let jobs = words.map(|words| {
            let job = background::start(&mut background::mocker(fixture, words));
            std::thread::sleep(std::time::Duration::from_micros(700 * round));
            job
        });
        let mut ended = jobs.map(background::Job::end);
        if round % 2 == 1 {
            ended.reverse();
        }
        let [removed, committed] = ended;
        if committed.code == Some(0) {
            whole += 1;
            oracle::assert_equal(&expected, &oracle::look(&fixture.tree("made")));
            fixture.ok(&["rm", "made"]);
        } else {
            refused += 1;
            let said = committed.refused_with_a_hint();
            let reasons = ["is held by 'mocker rm' (process ", "No container named 'work' exists"];
            assert!(reasons.iter().any(|reason| said.contains(reason)), "{said}");
            assert!(fixture.record("made").is_none());
        }
        if removed.code != Some(0) {
            let said = removed.refused_with_a_hint();
            assert!(said.contains("is held by 'mocker commit' (process "), "{said}");
            fixture.ok(&["rm", "work"]);
        }
        assert!(fixture.record("work").is_none());
    }
    assert!(whole > 0 && refused > 0, "{whole} images and {refused} refusals: the two never met");
    fixture.assert_consistent();
}

fn c15_a_container_run_to_go_is_gone_for_a_commit(fixture: &Fixture) {
    fixture.image("base");
    let state = fixture.state();
    for command in ["true", "no-such-program"] {
        fixture.mocker(&["run", "--rm", "--name", "work", "base", command]).run();
        let said = fixture.fails(&["commit", "work", "made"], 1);
        assert!(said.contains("No container named 'work' exists"), "{said}");
        assert_eq!(fixture.state(), state);
    }
}
