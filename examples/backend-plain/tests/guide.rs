//! `docs/adding-a-backend.md` says what is so: its code is that of this crate,
//! its cases exist, and its list of failures is that of the broken example.

use std::collections::BTreeSet;

use mocker_conformance::suites;

const GUIDE: &str = include_str!("../../../docs/adding-a-backend.md");

/// What the guide quotes.
const SOURCES: [&str; 3] = [
    include_str!("../src/backend.rs"),
    include_str!("../src/main.rs"),
    include_str!("../../../cli/src/backends.rs"),
];

#[test]
fn the_code_in_the_guide_is_that_of_the_example() {
    let blocks: Vec<&str> =
        GUIDE.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 6, "the guide shows no code");
    for block in blocks {
        assert!(SOURCES.iter().any(|source| source.contains(block)), "not in the sources:\n{block}");
    }
    let lines = SOURCES[0].lines().count();
    assert!(GUIDE.contains(&format!("does it in {lines} lines")), "it takes {lines} lines");
}

#[test]
fn the_cases_in_the_guide_exist() {
    let areas = suites::areas();
    let known: BTreeSet<&str> = areas.iter().flat_map(|area| &area.cases).map(|case| case.name).collect();
    let is_case = |word: &&str| {
        let (id, _) = word.split_once('_').unwrap_or_default();
        word.starts_with("seed_") || id.len() > 1 && id[1..].parse::<u8>().is_ok()
    };
    let named: Vec<&str> = GUIDE.split('`').filter(is_case).collect();
    assert!(named.len() > 15, "{named:?}");
    for name in named {
        assert!(known.contains(name), "there is no case '{name}'");
    }
}

#[test]
fn the_failures_in_the_guide_are_those_of_the_broken_example() {
    let list = |text: &'static str, before: &str| -> BTreeSet<&str> {
        text.lines().filter_map(|line| line.strip_prefix(before)?.strip_suffix('`')).collect()
    };
    let fails = list(include_str!("../../backend-broken/src/lib.rs"), "//! - `");
    assert!(!fails.is_empty());
    assert_eq!(fails, list(GUIDE, "- `"));
}
