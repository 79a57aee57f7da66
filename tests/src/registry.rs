//! The list of conformance cases: what a backend, and the engine over it, must
//! prove, each under an id that never changes.
//!
//! A test proves the case whose id its name begins with: `f1_…` proves F1. One
//! case can have several tests. A case that has none says what it waits for.

use std::fmt;

mod list;

pub use list::ENTRIES;

/// A conformance case.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// A letter for the group, and a number.
    pub id: &'static str,
    /// Who must pass it.
    pub level: Level,
    /// What must hold.
    pub what: &'static str,
    /// What went wrong elsewhere: `owner/project#number` on GitHub, or a CVE.
    pub from: &'static [&'static str],
    /// What the program cannot do yet, and the case needs.
    pub waits_for: Option<&'static str>,
}

/// Who must pass a case, and what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Every backend.
    Core,
    /// Every backend; what is right follows from what it declares.
    Declared,
    /// Every backend, where there is root.
    Privileged,
    /// Every backend, with faults planted.
    Fault,
    /// The btrfs backend.
    Btrfs,
    /// The overlay backend.
    Overlay,
}

/// The groups by letter, in the order of the list.
pub static GROUPS: &[(char, &str)] = &[
    ('L', "life cycle and metadata"),
    ('F', "file semantics"),
    ('D', "diff"),
    ('C', "commit"),
    ('T', "tar and OCI"),
    ('R', "removal, leaks, garbage"),
    ('K', "crash and durability"),
    ('N', "concurrency"),
    ('M', "limits"),
    ('A', "accounting"),
    ('U', "environments"),
    ('S', "security"),
];

/// The case of an id, in capitals.
pub fn entry(id: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.id == id)
}

impl Entry {
    /// The addresses of [`Entry::from`].
    pub fn addresses(&self) -> impl Iterator<Item = String> {
        self.from.iter().map(|source| match source.split_once('#') {
            Some((project, number)) => format!("https://github.com/{project}/issues/{number}"),
            None => format!("https://nvd.nist.gov/vuln/detail/{source}"),
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Core => "core",
            Self::Declared => "declared",
            Self::Privileged => "privileged",
            Self::Fault => "fault",
            Self::Btrfs => "btrfs",
            Self::Overlay => "overlay",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{ENTRIES, GROUPS, entry};
    use crate::suites;

    fn proved() -> BTreeSet<String> {
        suites::areas().iter().flat_map(|area| &area.cases).filter_map(crate::harness::Case::id).collect()
    }

    #[test]
    fn there_are_a_hundred_and_fifty_and_each_has_one_line() {
        let ids: BTreeSet<_> = ENTRIES.iter().map(|entry| entry.id).collect();
        assert_eq!((ids.len(), ENTRIES.len()), (150, 150));
        assert!(ENTRIES.iter().all(|entry| GROUPS.iter().any(|(group, _)| entry.id.starts_with(*group))));
    }

    #[test]
    fn every_case_is_proved_or_says_what_it_waits_for() {
        let proved = proved();
        let (mut missing, mut both) = (Vec::new(), Vec::new());
        for entry in ENTRIES {
            match (proved.contains(entry.id), entry.waits_for) {
                (false, None) => missing.push(entry.id),
                (true, Some(_)) => both.push(entry.id),
                _ => {}
            }
        }
        assert!(missing.is_empty(), "neither a test nor what it waits for: {missing:?}");
        assert!(both.is_empty(), "proved by a test, and said to wait: {both:?}");
    }

    /// A statement without a case is a wish.
    #[test]
    fn every_statement_of_the_trait_ends_with_ids_on_the_list() {
        let text = include_str!("../../mocker-core/src/backend.rs");
        let of_the_trait =
            text.split("pub trait SnapshotBackend").nth(1).unwrap().split("\n}\n").next().unwrap();
        let lines = of_the_trait.lines().filter_map(|line| line.trim().strip_prefix("/// "));
        let mut statements: Vec<String> = Vec::new();
        for line in lines {
            match (line.strip_prefix("- "), statements.last_mut()) {
                (Some(first), _) => statements.push(first.to_owned()),
                (None, Some(last)) if !last.ends_with(").") => *last += &format!(" {}", line.trim()),
                _ => {}
            }
        }
        assert!(statements.len() > 30, "{statements:#?}");
        for statement in &statements {
            let ids = statement.strip_suffix(").").and_then(|text| text.rsplit_once('(')).map(|(_, ids)| ids);
            let ids = ids.unwrap_or_else(|| panic!("no case proves this: {statement}"));
            for id in ids.split([',', '–']).map(str::trim) {
                assert!(entry(id).is_some(), "there is no case '{id}': {statement}");
            }
        }
    }

    #[test]
    fn every_id_in_a_name_is_on_the_list() {
        let unknown: Vec<_> = proved().into_iter().filter(|id| entry(id).is_none()).collect();
        assert!(unknown.is_empty(), "no such cases: {unknown:?}");
    }
}
