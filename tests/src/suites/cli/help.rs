//! The help of every verb is a file, so that no option changes unseen; and the
//! completions know every verb.
//!
//! `MOCKER_UPDATE_GOLDEN=1` writes the files anew; read the difference before
//! it is committed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

use crate::suites::living;

pub(super) fn cases() -> Vec<Case> {
    cases![
        the_help_of_every_verb_is_as_it_was_last_read,
        every_verb_shows_its_help_and_makes_nothing,
        the_version_is_told,
        completions_know_every_verb,
    ]
}

/// The verbs that the program itself lists.
fn verbs(fixture: &Fixture) -> Vec<String> {
    let help = fixture.ok(&["help"]);
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let verbs: Vec<_> = names.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect();
    assert!(verbs.len() > 10, "{verbs:?}");
    verbs
}

fn golden(verb: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "golden", &format!("help-{verb}.txt")].iter().collect()
}

fn the_help_of_every_verb_is_as_it_was_last_read(fixture: &Fixture) {
    let update = std::env::var_os("MOCKER_UPDATE_GOLDEN").is_some();
    let mut wanted = BTreeSet::new();
    let pages = verbs(fixture)
        .into_iter()
        .filter(|verb| verb != "help")
        .map(|verb| (verb.clone(), vec![verb, "--help".to_owned()]));
    for (verb, words) in pages.chain([("mocker".to_owned(), vec!["--help".to_owned()])]) {
        // As wide as the lines of the files are, whoever calls.
        let shown = fixture.mocker(&words).env("COLUMNS", "100").run();
        assert_eq!((shown.code, shown.err().as_str()), (0, ""), "{verb}");
        let help = shown.out() + "\n";
        let file = golden(&verb);
        if update {
            std::fs::write(&file, &help).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            help == expected,
            "the help of '{verb}' is not that of {}; where it is right, MOCKER_UPDATE_GOLDEN=1 writes it.\n{help}",
            file.display()
        );
        wanted.insert(file);
    }
    let folder = golden("x");
    let there = std::fs::read_dir(folder.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(there.collect::<BTreeSet<_>>(), wanted, "a file belongs to no verb");
}

fn every_verb_shows_its_help_and_makes_nothing(fixture: &Fixture) {
    for verb in verbs(fixture) {
        let long = fixture.ok(&["help", &verb]);
        assert!(long.contains("Usage: mocker"), "{long}");
        if verb != "help" {
            assert_eq!(fixture.ok(&[&verb, "--help"]), long, "{verb}");
            assert!(long.contains("Examples:"), "the help of {verb} shows no example: {long}");
            assert!(fixture.ok(&[&verb, "-h"]).contains("Usage: mocker"));
        }
    }
    fixture.fails(&["help", "nonsense"], 2);
    assert!(!fixture.root().exists(), "looking at the help has made a root");
}

fn the_version_is_told(fixture: &Fixture) {
    let told = fixture.ok(&["--version"]);
    let number = told.strip_prefix("mocker ").unwrap();
    assert_eq!(number.split('.').filter(|part| part.parse::<u32>().is_ok()).count(), 3, "{told}");
    assert!(!fixture.root().exists());
}

fn completions_know_every_verb(fixture: &Fixture) {
    let verbs = verbs(fixture);
    for shell in ["bash", "zsh", "fish"] {
        let script = fixture.ok(&["completions", shell]);
        for verb in &verbs {
            assert!(script.contains(verb), "the script for {shell} does not know {verb}");
        }
        for option in ["workdir", "config-from", "format"] {
            assert!(script.contains(option), "the script for {shell} does not know --{option}");
        }
    }
    // The shell that every machine has takes its script, and completes with it.
    let complete = "bash -c 'source <($mocker completions bash) && COMP_WORDS=(mocker im) COMP_CWORD=1 && \
        _mocker mocker im mocker && echo ${COMPREPLY[@]}'";
    assert_eq!(living::script(fixture, complete).ok(), "images");
    let said = fixture.fails(&["completions", "nonsense"], 2);
    assert!(said.contains("bash"), "{said}");
    assert!(!fixture.root().exists());
}
