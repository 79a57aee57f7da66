//! What goes in and comes out: byte for byte, and into the log.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

use crate::suites::background::{self, wait_until};
use crate::suites::living;

pub(super) fn cases() -> Vec<Case> {
    cases![
        bytes_go_through_stdin_and_stdout_and_into_the_log_unchanged,
        stderr_stays_apart_from_stdout,
        input_that_nobody_reads_keeps_nobody_waiting,
        an_empty_input_ends_at_once,
        a_reader_that_leaves_ends_the_command,
        a_closed_input_and_output_do_no_harm,
        output_is_there_before_the_command_ends,
        logs_of_a_command_that_still_runs,
    ]
}

/// Every byte value, in no order that repeats; some MiB.
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    (0..(3 << 18) + 1).flat_map(|_| next()).collect()
}

fn bytes_go_through_stdin_and_stdout_and_into_the_log_unchanged(fixture: &Fixture) {
    fixture.image("base");
    let noise = noise();
    let ended = fixture.mocker(&["run", "--name", "work", "base", "cat"]).stdin(noise.clone()).run();
    assert_eq!(ended.code, 0, "{}", ended.err());
    assert!(ended.stdout == noise, "{} bytes came back of {}", ended.stdout.len(), noise.len());
    assert!(ended.stderr.is_empty(), "{}", ended.err());
    let logged = fixture.mocker(&["logs", "work"]).run();
    assert!(logged.stdout == noise, "the log has {} bytes of {}", logged.stdout.len(), noise.len());
    assert!(logged.stderr.is_empty());
}

fn stderr_stays_apart_from_stdout(fixture: &Fixture) {
    fixture.image("base");
    let noise = noise();
    let words = ["run", "--name", "work", "base", "sh", "-c", "printf first; cat >&2; printf last"];
    let ended = fixture.mocker(&words).stdin(noise.clone()).run();
    assert_eq!((ended.code, ended.stdout.as_slice()), (0, &b"firstlast"[..]));
    assert!(ended.stderr == noise, "{} bytes came back of {}", ended.stderr.len(), noise.len());
    let logged = fixture.mocker(&["logs", "work"]).run();
    assert_eq!(logged.stdout, b"firstlast");
    assert!(logged.stderr == noise, "the log has {} bytes of {}", logged.stderr.len(), noise.len());
}

fn input_that_nobody_reads_keeps_nobody_waiting(fixture: &Fixture) {
    fixture.image("base");
    let ended = fixture.mocker(&["run", "--rm", "base", "true"]).stdin(noise()).run();
    assert_eq!(ended.code, 0, "{}", ended.err());
    // What the command does not read stays with whoever reads after it.
    let script =
        "printf 'one\\ntwo\\n' | { $mocker run --rm base sh -c 'read -r line; echo in: $line'; cat; }";
    let ended = living::script(fixture, script);
    let said = ended.ok();
    assert!(said.starts_with("in: one"), "{said}");
}

fn an_empty_input_ends_at_once(fixture: &Fixture) {
    fixture.image("base");
    assert_eq!(fixture.ok(&["run", "--rm", "base", "sh", "-c", "cat; echo end"]), "end");
}

fn a_reader_that_leaves_ends_the_command(fixture: &Fixture) {
    fixture.image("base");
    let mut command = background::mocker(fixture, &["run", "--name", "work", "base", "yes"]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = child.stdout.take().unwrap();
    let mut first = [0; 4];
    reader.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"y\ny\n");
    drop(reader);
    wait_until("the command ends because nobody reads", || child.try_wait().unwrap().is_some());
    let status = child.wait().unwrap();
    // As process 1 it cannot die of SIGPIPE, and sees the error.
    assert!(!status.success(), "{status:?}");
    assert_eq!(fixture.record("work").unwrap()["status"], "exited");
    fixture.assert_consistent();
}

fn a_closed_input_and_output_do_no_harm(fixture: &Fixture) {
    fixture.image("base");
    for (closed, seen) in [("<&-", "out"), (">&-", ""), ("2>&-", "out"), ("<&- >&- 2>&-", "")] {
        let ended = living::script(
            fixture,
            &format!("$mocker run --name work base sh -c 'cat; echo out; echo err >&2; exit 4' {closed}"),
        );
        assert_eq!(ended.code, Some(4), "{closed}: {ended:?}");
        assert_eq!(String::from_utf8_lossy(&ended.out).trim(), seen, "{closed}");
        let logged = fixture.mocker(&["logs", "work"]).run();
        assert_eq!((logged.out().as_str(), logged.err().as_str()), ("out", "err\n"), "{closed}");
        fixture.ok(&["rm", "work"]);
    }
    fixture.assert_consistent();
}

fn output_is_there_before_the_command_ends(fixture: &Fixture) {
    fixture.image("base");
    let script = "printf now; read -r line; echo $line";
    let mut command = background::mocker(fixture, &["run", "--rm", "base", "sh", "-c", script]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 3];
    // Waits for ever where output is held back, and then the limit of the whole run ends it.
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"now");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"later\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"later\n"[..]));
}

fn logs_of_a_command_that_still_runs(fixture: &Fixture) {
    fixture.image("base");
    let script = format!("echo early; echo wrong >&2; {}; echo late", living::UNTIL_ENDED);
    let job = living::start(fixture, &[], &script);
    let mut early = fixture.mocker(&["logs", "work"]).run();
    wait_until("the log has both lines", || {
        early = fixture.mocker(&["logs", "work"]).run();
        std::thread::sleep(Duration::from_millis(1));
        (early.out().as_str(), early.err().as_str()) == ("early", "wrong\n")
    });
    assert_eq!(early.code, 0);
    assert_eq!(living::end(fixture, job).code, Some(0));
    assert_eq!(fixture.ok(&["logs", "work"]), "early\nlate");
}
