//! `mocker conformance`: what it runs, how it tells the outcome, and that it
//! leaves nothing.

use serde_json::Value;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::registry::ENTRIES;
use crate::suites::background;

pub(super) fn cases() -> Vec<Case> {
    cases![
        conformance_lists_every_case_without_running_one,
        conformance_runs_a_case_below_the_root_and_leaves_nothing,
        conformance_tells_programs_what_came_of_each_case,
        conformance_says_what_a_case_waits_for,
        conformance_plays_a_script_again,
        conformance_refuses_what_it_cannot_run,
        conformance_without_the_kit_says_where_it_comes_from,
    ]
}

fn conformance_lists_every_case_without_running_one(fixture: &Fixture) {
    let list = fixture.ok(&["conformance", "--list"]);
    let ids: Vec<_> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(ids, ENTRIES.iter().map(|entry| entry.id).collect::<Vec<_>>());
    let group = fixture.ok(&["conformance", "--list", "--filter", "m"]);
    assert!(group.lines().count() == 5 && group.lines().all(|line| line.starts_with('M')), "{group}");
    assert!(!fixture.root().exists());
}

fn conformance_runs_a_case_below_the_root_and_leaves_nothing(fixture: &Fixture) {
    let words = ["--backend", fixture.lane().backend(), "conformance", "--filter", "l11"];
    let said = fixture.ok(&words);
    let first = format!("{} on '{}'", fixture.lane().backend(), fixture.root().display());
    assert!(said.starts_with(&first), "{said}");
    assert!(said.contains("1 passed, 0 failed") && said.contains("life cycle and metadata"), "{said}");
    assert!(!fixture.root().exists(), "it was made for the cases");
    // A root with something in it stays as it is.
    fixture.image("base");
    let state = fixture.state();
    fixture.ok(&words);
    assert_eq!(fixture.state(), state);
    let left =
        crate::fixture::names_in(fixture.root()).into_iter().find(|name| name.starts_with("mocker-test"));
    assert_eq!(left, None);
    assert_eq!(fixture.ok(&["run", "--rm", "base", "echo", "fine"]), "fine");
}

fn conformance_tells_programs_what_came_of_each_case(fixture: &Fixture) {
    let backend = fixture.lane().backend();
    let words = ["--backend", backend, "conformance", "--filter", "l11", "--filter", "t1", "--format"];
    let said: Value = serde_json::from_str(&fixture.ok(&[&words[..], &["json"]].concat())).unwrap();
    let lane = &said["lanes"][0];
    assert_eq!(lane["backend"], backend);
    let outcome = |id: &str| {
        let cases = lane["cases"].as_array().unwrap();
        cases.iter().find(|case| case["id"] == id).unwrap_or_else(|| panic!("no {id}: {said}")).clone()
    };
    assert_eq!(outcome("L11")["outcome"], "passed");
    assert_eq!(outcome("T1")["outcome"], "waits");
    let group = &lane["groups"][0];
    assert_eq!((&group["passed"], &group["failed"]), (&Value::from(1), &Value::from(0)));
    let xml = fixture.ok(&[&words[..], &["junit"]].concat());
    assert!(xml.starts_with("<?xml") && xml.trim_end().ends_with("</testsuites>"), "{xml}");
    assert!(xml.contains(r#"tests="2""#) && xml.contains(r#"skipped="1""#), "{xml}");
    assert!(xml.contains("waits for mocker export and import"), "{xml}");
}

fn conformance_says_what_a_case_waits_for(fixture: &Fixture) {
    let words = ["--backend", fixture.lane().backend(), "conformance", "--filter", "t1"];
    let said = fixture.ok(&words);
    assert!(
        said.contains("waiting for mocker export and import: T1\n") && said.contains("0 passed, 0 failed"),
        "{said}"
    );
}

fn conformance_refuses_what_it_cannot_run(fixture: &Fixture) {
    let said = fixture.fails(&["conformance", "--filter", "no-such-case"], 1);
    assert!(said.contains("no-such-case") && said.contains("--list"), "{said}");
    let said = fixture.fails(&["--backend", "nothing", "conformance", "--filter", "l11"], 1);
    assert!(said.contains("no backend 'nothing'") && said.contains("copy"), "{said}");
    let script = "exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$mocker\" --root /tmp/none conformance --filter l11";
    let ended = background::finish(&mut background::in_own_mounts(fixture, fixture.root(), script, &[""; 0]));
    let said = ended.refused_with_a_hint();
    assert!(said.contains("needs root") && said.contains("sudo"), "{said}");
}

fn conformance_without_the_kit_says_where_it_comes_from(fixture: &Fixture) {
    let alone = fixture.scratch().join("mocker");
    // Not by this process: what another thread starts would have it open for writing for a moment.
    let mut cp = std::process::Command::new("cp");
    background::finish(cp.arg(Fixture::program()).arg(&alone)).ok();
    let mut command = std::process::Command::new(&alone);
    let ended = background::finish(command.args(["conformance", "--list"]));
    let said = ended.refused_with_a_hint();
    assert!(said.contains("mocker-conformance") && said.contains("make build"), "{said}");
}

fn conformance_plays_a_script_again(fixture: &Fixture) {
    let file = fixture.scratch().join("script");
    std::fs::write(&file, "# found somewhere\n    1  create \"a\" 644\n    2  commit idle as layer 2\n")
        .unwrap();
    let words = ["--backend", fixture.lane().backend(), "conformance", "--script", file.to_str().unwrap()];
    let said = fixture.ok(&words);
    assert!(said.contains("2 steps, 1 edits, 1 commits") && said.contains("the same"), "{said}");
    std::fs::write(&file, "nonsense\n").unwrap();
    let said = fixture.fails(&words, 1);
    assert!(said.contains("no script") && said.contains("try:"), "{said}");
}
