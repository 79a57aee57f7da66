//! `--trace` tells on stderr what the storage and the kernel do, and leaves
//! everything else alone.

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

use super::base_and_work;

pub(super) fn cases() -> Vec<Case> {
    cases![
        a_trace_tells_the_story_and_the_kernel_calls,
        a_trace_of_the_story_alone_has_no_calls,
        a_trace_leaves_stdout_and_the_status_alone,
    ]
}

/// The story and the calls in a trace. Nothing else may be in it.
#[track_caller]
fn told(trace: &str) -> (Vec<&str>, Vec<&str>) {
    let (story, rest): (Vec<&str>, Vec<&str>) = trace.lines().partition(|line| line.starts_with("→ "));
    for call in &rest {
        // `    name(2) arguments  12 µs`, with an error behind it where it failed.
        let whole = call.trim_start();
        let is_call = call.starts_with("    ")
            && whole.split_once('(').is_some_and(|(name, _)| {
                name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            })
            && whole.contains(" µs");
        assert!(is_call || call.starts_with("note: "), "neither story nor call: {call:?}");
    }
    (story, rest)
}

fn a_trace_tells_the_story_and_the_kernel_calls(fixture: &Fixture) {
    let [_, container] = base_and_work(fixture);
    let source = fixture.rootfs();
    let traced: &[(&[&str], &str)] = &[
        (&["--trace", "init", source.to_str().unwrap()], "copied"),
        (&["commit", "--trace", "work", "base"], ""),
        (&["--trace", "run", "--rm", "base", "true"], "running true"),
        (&["--trace", "run", "--rm", "base", "true"], "ended with status 0"),
    ];
    for (words, expected) in traced {
        let ended = fixture.mocker(words).run();
        assert_eq!(ended.code, 0, "{}", ended.err());
        let said = ended.err();
        let (story, calls) = told(&said);
        assert!(
            story.iter().any(|line| line.contains(expected)),
            "{words:?} tells nothing of {expected:?}: {said}"
        );
        assert!(!calls.is_empty(), "{words:?} tells of no call: {said}");
    }
    // Where the same is done again, so is the telling.
    let said = fixture.mocker(&["--trace", "start", "work"]).run().err();
    assert!(said.contains(&container) && said.contains("ended with status 3"), "{said}");
}

fn a_trace_of_the_story_alone_has_no_calls(fixture: &Fixture) {
    base_and_work(fixture);
    let said = fixture.mocker(&["--trace=story", "run", "--rm", "base", "true"]).run().err();
    let (story, calls) = told(&said);
    assert!(!story.is_empty() && calls.is_empty(), "{said}");
    fixture.fails(&["--trace=nonsense", "images"], 2);
}

fn a_trace_leaves_stdout_and_the_status_alone(fixture: &Fixture) {
    base_and_work(fixture);
    let plain: &[&[&str]] = &[
        &["images"],
        &["ps", "--format", "json"],
        &["logs", "work"],
        &["run", "--rm", "base", "sh", "-c", "echo out; exit 4"],
        &["run", "--rm", "base", "no-such-program"],
        &["start", "work"],
        &["logs", "nowhere"],
    ];
    for words in plain {
        let [without, with] =
            [&[][..], &["--trace"]].map(|option| fixture.mocker(&[option, *words].concat()).run());
        let mut out = [without.out(), with.out()];
        if words == &["start", "work"] || words[0] == "ps" {
            // The times in the records differ, and nothing else.
            out = out.map(|text| {
                text.lines().filter(|line| !line.contains("started") && !line.contains("finished")).collect()
            });
        }
        assert_eq!(out[0], out[1], "{words:?}");
        assert_eq!(without.code, with.code, "{words:?}");
    }
}
