//! Signals to the program go on to the command.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use rustix::process::Signal;

use crate::suites::background::{LIMIT, wait_until};
use crate::suites::living;

pub(super) fn cases() -> Vec<Case> {
    cases![
        signals_reach_the_command_and_its_answer_is_the_status,
        the_third_ctrl_c_ends_a_command_that_ignores_it,
        stop_and_continue_go_through,
    ]
}

const FORWARDED: [(&str, Signal); 7] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("ALRM", Signal::ALARM),
    ("WINCH", Signal::WINCH),
];

fn signals_reach_the_command_and_its_answer_is_the_status(fixture: &Fixture) {
    fixture.image("base");
    let traps: String = FORWARDED.iter().map(|(name, _)| format!("trap 'echo {name}' {name}; ")).collect();
    let script = format!("{traps} trap 'echo TERM; exit 3' TERM; : > /ready; while :; do sleep 0.01; done");
    let job = living::start(fixture, &[], &script);
    let mut heard = String::new();
    for (name, signal) in FORWARDED {
        job.signal(signal);
        heard += name;
        wait_until(&format!("the command has heard {name}"), || fixture.ok(&["logs", "work"]) == heard);
        heard += "\n";
    }
    job.signal(Signal::TERM);
    let ended = job.end();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert_eq!(String::from_utf8_lossy(&ended.out), heard + "TERM\n");
    assert_eq!(fixture.record("work").unwrap()["exit_code"], 3);
}

fn the_third_ctrl_c_ends_a_command_that_ignores_it(fixture: &Fixture) {
    fixture.image("base");
    let script = "trap '' INT; : > /ready; while :; do sleep 0.01; done";
    let mut job = living::start(fixture, &["--rm"], script);
    job.signal(Signal::INT);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!job.has_ended(), "the command ignores the signal, and must be asked first");
    let started = std::time::Instant::now();
    while !job.has_ended() {
        assert!(started.elapsed() < LIMIT, "no number of signals ends it");
        job.signal(Signal::INT);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let ended = job.end();
    assert_eq!(ended.code, Some(137), "{ended:?}");
    assert!(fixture.record("work").is_none());
    fixture.assert_consistent();
}

fn stop_and_continue_go_through(fixture: &Fixture) {
    fixture.image("base");
    let script = "trap 'echo continued' CONT; : > /ready; while ! [ -e /end ]; do sleep 0.01; done";
    let job = living::start(fixture, &[], script);
    job.signal(Signal::CONT);
    wait_until("the command has heard CONT", || fixture.ok(&["logs", "work"]) == "continued");
    assert_eq!(living::end(fixture, job).code, Some(0));
}
