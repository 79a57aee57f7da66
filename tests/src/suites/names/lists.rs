//! L8: lists of what comes and goes meanwhile: whole, true, and in nobody's
//! way.
//!
//! containerd's suite looks at a snapshot within a walk over all of them
//! (`StatInWalk`), and has a note that removing one there is still to be
//! tested.

use std::collections::BTreeSet;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use serde_json::Value;

use crate::suites::{background, living};

pub(super) fn cases() -> Vec<Case> {
    cases![
        l8_what_a_list_names_can_be_looked_at_and_removed_while_it_is_read,
        l8_a_list_made_while_others_remove_is_whole_and_names_nothing_that_never_was,
        l8_a_list_of_those_that_run_names_them_and_no_others,
    ]
}

const MANY: usize = 12;

/// Containers and images with names of their own.
fn fill(fixture: &Fixture) {
    fixture.image("base");
    for number in 0..MANY {
        fixture.ok(&["run", "--name", &format!("work{number}"), "base", "true"]);
        fixture.ok(&["tag", "base", &format!("tagged{number}")]);
    }
}

fn l8_what_a_list_names_can_be_looked_at_and_removed_while_it_is_read(fixture: &Fixture) {
    fill(fixture);
    // Whoever lists waits for whoever reads the list, and that one works on what is listed.
    let script = "
        for verb in ps images; do
            $mocker $verb -q | while read -r id; do
                $mocker $verb --format json | grep -q \"$id\" || { echo \"$id is not there\"; exit 1; }
                $mocker rm -q \"$id\" > /dev/null
                ! $mocker $verb --format json | grep -q \"$id\" || { echo \"$id is still there\"; exit 1; }
            done
        done
        $mocker ps -q; $mocker images -q";
    assert_eq!(living::script(fixture, script).ok(), "");
    fixture.assert_consistent();
}

/// The names in a list, which must be whole.
#[track_caller]
fn names(printed: &[u8]) -> BTreeSet<String> {
    let list: Vec<Value> = serde_json::from_slice(printed).expect("a list that is whole");
    let found: Vec<_> = list.iter().map(|record| record["name"].as_str().unwrap().to_owned()).collect();
    let names: BTreeSet<_> = found.iter().cloned().collect();
    assert_eq!(names.len(), found.len(), "a list names one twice: {found:?}");
    names
}

fn l8_a_list_made_while_others_remove_is_whole_and_names_nothing_that_never_was(fixture: &Fixture) {
    fill(fixture);
    let all = names(&background::run(fixture, &["ps", "--format", "json"]).out);
    assert_eq!(all.len(), MANY);
    let mut last = all.clone();
    for number in 0..MANY {
        let remove = background::start(&mut background::mocker(fixture, &["rm", &format!("work{number}")]));
        let lists: Vec<_> = (0..2)
            .map(|_| background::start(&mut background::mocker(fixture, &["ps", "--format", "json"])))
            .collect();
        let after: BTreeSet<_> = (number + 1..MANY).map(|number| format!("work{number}")).collect();
        for list in lists {
            let list = list.end();
            list.ok();
            let seen = names(&list.out);
            // The old state or the new one.
            assert!(seen == last || seen == after, "{seen:?} while work{number} was removed");
        }
        remove.end().ok();
        last = after;
    }
    assert_eq!(fixture.ok(&["ps", "-q"]), "");
    fixture.assert_consistent();
}

fn l8_a_list_of_those_that_run_names_them_and_no_others(fixture: &Fixture) {
    fixture.image("base");
    for name in ["one", "two"] {
        fixture.ok(&["run", "--name", name, "base", "true"]);
    }
    let running = || names(&background::run(fixture, &["ps", "--running", "--format", "json"]).out);
    assert_eq!(running(), BTreeSet::new());
    let job = living::start(fixture, &[], living::UNTIL_ENDED);
    assert_eq!(running(), BTreeSet::from(["work".to_owned()]));
    fixture.ok(&["rm", "one"]);
    assert_eq!(running(), BTreeSet::from(["work".to_owned()]));
    living::end(fixture, job).ok();
    assert_eq!(running(), BTreeSet::new());
    assert_eq!(fixture.ok(&["ps", "-q"]).lines().count(), 2);
}
