//! The exit status says how the command ended, and `ps` remembers it.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::suites::living;

pub(super) fn cases() -> Vec<Case> {
    cases![
        the_status_is_the_commands_own,
        status_126_is_for_what_cannot_be_executed,
        status_127_is_for_what_is_not_found,
        status_128_and_n_is_for_death_by_signal_n,
        status_125_is_for_a_container_that_cannot_be_set_up,
    ]
}

/// Runs words in a new container; its status, checked against what is
/// remembered, and why it never started.
#[track_caller]
fn status_of(fixture: &Fixture, words: &[&str]) -> (i32, Value) {
    let ended = fixture.mocker(&[&["run", "--name", "work"], words].concat()).run();
    let record = fixture.record("work").unwrap_or_else(|| panic!("no container was made: {}", ended.err()));
    assert_eq!(record["exit_code"], ended.code, "{}", ended.err());
    assert_eq!(record["status"], "exited");
    assert!(!record["finished"].is_null());
    fixture.ok(&["rm", "work"]);
    (ended.code, record["failure"].clone())
}

fn the_status_is_the_commands_own(fixture: &Fixture) {
    fixture.image("base");
    for code in [0, 1, 3, 125, 126, 127, 130, 255] {
        let script = format!("exit {code}");
        assert_eq!(status_of(fixture, &["base", "sh", "-c", &script]), (code, Value::Null));
    }
}

fn status_126_is_for_what_cannot_be_executed(fixture: &Fixture) {
    std::fs::write(fixture.rootfs().join("bin/plain"), "#!/bin/sh\n").unwrap();
    fixture.image("base");
    for word in ["/etc/passwd", "/etc", "plain", "/bin/plain"] {
        let (code, why) = status_of(fixture, &["base", word]);
        assert_eq!(code, 126, "{word}: {why}");
        assert!(why.as_str().is_some_and(|why| why.contains(word)), "{word}: {why}");
    }
}

fn status_127_is_for_what_is_not_found(fixture: &Fixture) {
    fixture.image("base");
    for word in ["nothing", "/bin/nothing", "./nothing", "/etc/passwd/nothing", "..", "-x"] {
        let (code, why) = status_of(fixture, &["base", word]);
        // The dots are a directory, and the path through a file is none.
        let expected = if word == ".." { 126..=127 } else { 127..=127 };
        assert!(expected.contains(&code), "{word}: {code}, {why}");
        assert!(!why.is_null(), "{word}");
    }
    let (code, _) = status_of(fixture, &["-e", "PATH=/etc", "base", "ls"]);
    assert_eq!(code, 127, "the container's own PATH counts");
}

fn status_128_and_n_is_for_death_by_signal_n(fixture: &Fixture) {
    fixture.image("base");
    let job = living::start(fixture, &[], living::UNTIL_ENDED);
    let pid = fixture.record("work").unwrap()["pid"].as_i64().unwrap();
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    let ended = job.end();
    assert_eq!(ended.code, Some(137), "{ended:?}");
    assert_eq!(fixture.record("work").unwrap()["exit_code"], 137);
}

fn status_125_is_for_a_container_that_cannot_be_set_up(fixture: &Fixture) {
    fixture.image("base");
    for (option, value) in [("-w", "/no/such/directory"), ("-w", "/etc/passwd"), ("-u", "nobody-here")] {
        let (code, why) = status_of(fixture, &[option, value, "base", "true"]);
        assert_eq!(code, 125, "{option} {value}");
        assert!(why.as_str().is_some_and(|why| why.contains(value)), "{option} {value}: {why}");
    }
}
