//! A command line that is wrong ends with status 2, says what is wrong on
//! stderr and how it is right, and touches nothing.

use std::process::Command;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

use crate::suites::living;

pub(super) fn cases() -> Vec<Case> {
    cases![
        a_wrong_command_line_ends_with_status_2,
        options_that_exclude_each_other_are_refused,
        completions_are_accepted_by_every_shell_that_is_here,
    ]
}

const VERBS: [&str; 12] = [
    "init",
    "images",
    "run",
    "start",
    "ps",
    "logs",
    "commit",
    "tag",
    "rm",
    "convert",
    "backends",
    "completions",
];

/// Words that no verb takes so; what the message must name.
const WRONG: &[(&[&str], &str)] = &[
    (&["init", "one", "two"], "two"),
    (&["init", "dir", "--name"], "--name"),
    (&["images", "word"], "word"),
    (&["images", "--format", "xml"], "xml"),
    (&["images", "--format"], "--format"),
    (&["images", "--quiet=yes"], "--quiet"),
    (&["ps", "word"], "word"),
    (&["ps", "--format=yaml"], "yaml"),
    (&["run", "--network", "bridge", "base", "true"], "bridge"),
    (&["run", "--name"], "--name"),
    (&["run", "-e"], "--env"),
    (&["start", "one", "two"], "two"),
    (&["logs", "one", "two"], "two"),
    (&["commit", "one", "two", "three"], "three"),
    (&["commit", "--config-from", "nobody", "work"], "nobody"),
    (&["commit", "-c"], "--change"),
    (&["tag", "one"], "NAME"),
    (&["tag", "one", "two", "three"], "three"),
    (&["rm", "--format", "json", "one"], "--format"),
    (&["convert", "one"], "--to"),
    (&["pool", "status", "word"], "word"),
    (&["pool", "grow", "many"], "many"),
    (&["pool", "create", "--size", "-1"], "-1"),
    (&["pool", "nonsense"], "nonsense"),
    (&["completions"], "SHELL"),
    (&["--root"], "--root"),
    (&["--backend"], "--backend"),
    (&["--trace=much", "ps"], "much"),
];

fn a_wrong_command_line_ends_with_status_2(fixture: &Fixture) {
    for verb in VERBS {
        for option in ["--no-such-option", "-Z"] {
            let said = fixture.fails(&[verb, option], 2);
            assert!(said.contains(option) && said.contains("Usage: mocker"), "{verb}: {said}");
        }
    }
    for (words, what) in WRONG {
        let said = fixture.fails(words, 2);
        assert!(said.contains(what), "mocker {} says nothing of {what:?}: {said}", words.join(" "));
        // What was asked for can stand in the message; colours cannot.
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
    assert!(!fixture.root().exists(), "a wrong command line has made a root");
}

fn options_that_exclude_each_other_are_refused(fixture: &Fixture) {
    for verb in [
        &["images"][..],
        &["ps"],
        &["init", "dir"],
        &["commit", "work"],
        &["tag", "a", "b"],
        &["convert", "a", "--to", "copy"],
    ] {
        let said = fixture.fails(&[verb, &["-q", "--format", "json"]].concat(), 2);
        assert!(said.contains("--quiet") && said.contains("--format"), "{verb:?}: {said}");
    }
    let said = fixture.fails(&["ps", "--all", "--running"], 2);
    assert!(said.contains("--all") && said.contains("--running"), "{said}");
    assert!(!fixture.root().exists());
}

fn completions_are_accepted_by_every_shell_that_is_here(fixture: &Fixture) {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = fixture.ok(&["completions", shell]);
        let file = fixture.scratch().join(format!("completions.{shell}"));
        std::fs::write(&file, script + "\n").unwrap();
        // Elvish and PowerShell have no such option.
        let checked = ["bash", "zsh", "fish"].contains(&shell);
        if checked && living::script(fixture, &format!("command -v {shell}")).code == Some(0) {
            let read = Command::new(shell).arg("-n").arg(&file).output().unwrap();
            assert!(read.status.success(), "{shell}: {}", String::from_utf8_lossy(&read.stderr));
        } else {
            assert_ne!(shell, "bash", "every machine has it");
        }
    }
    assert!(!fixture.root().exists());
}
