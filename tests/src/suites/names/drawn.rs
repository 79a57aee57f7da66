//! L15: ids are drawn once and never meet, however many there are.
//!
//! Teaching engines draw theirs from a few hundred values, and try again where
//! one is taken.

use std::collections::{BTreeMap, BTreeSet};

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use mocker_core::image::{fresh_container_id, fresh_image_id};

pub(super) fn cases() -> Vec<Case> {
    cases![l15_ten_thousand_ids_in_a_row_never_meet, l15_ids_that_the_program_gives_never_meet]
}

/// Of each kind.
const MANY: u32 = 10_000;

/// Behind the prefix: twelve digits of 32 letters, so that ten thousand ids meet
/// once in twenty thousand million tries.
const DIGITS: usize = 12;

fn l15_ten_thousand_ids_in_a_row_never_meet(_: &Fixture) {
    for (prefix, draw) in [("img_", fresh_image_id as fn() -> _), ("ps_", fresh_container_id)] {
        let mut ids = BTreeSet::new();
        let mut letters: BTreeMap<char, u32> = BTreeMap::new();
        for _ in 0..MANY {
            let id = draw().unwrap();
            let digits =
                id.strip_prefix(prefix).unwrap_or_else(|| panic!("'{id}' does not begin with {prefix}"));
            assert_eq!(digits.len(), DIGITS, "{id}");
            digits.chars().for_each(|letter| *letters.entry(letter).or_default() += 1);
            assert!(ids.insert(id.clone()), "{id} was drawn twice");
        }
        // No letter is rarer than chance has it (3,750 times, more or less 61): what is drawn is all that
        // it seems to be, and one draw does.
        let expected = MANY * u32::try_from(DIGITS).unwrap() / 32;
        assert_eq!(letters.len(), 32, "{letters:?}");
        for (letter, times) in letters {
            assert!(
                times.abs_diff(expected) < expected / 8,
                "'{letter}' was drawn {times} times of {expected}"
            );
        }
    }
}

fn l15_ids_that_the_program_gives_never_meet(fixture: &Fixture) {
    let many = if crate::soaks() { MANY } else { 150 };
    let mut ids = BTreeSet::from([fixture.image("base")]);
    for number in 1..many {
        assert!(
            ids.insert(fixture.ok(&["tag", "-q", "base", &format!("name{number}")])),
            "one was given twice"
        );
    }
    let listed: BTreeSet<_> = fixture.ok(&["images", "-q"]).lines().map(str::to_owned).collect();
    assert_eq!(listed, ids);
}
