//! What a backend declares is so, and what it does not declare is refused: a
//! case for each field of the declaration that no other area keeps to.
//!
//! | field | declared | not declared |
//! |---|---|---|
//! | `layers` | `Whole`: here, L6 | `Delta`: here, L6, C5 |
//! | `views` | `ReadOnly`: L12 | `Plain`: L12 |
//! | `commit_running` | `Atomic`, `Paused`: here, C1, C2, C3 | unit tests of the engine |
//! | `commit_cost` | `Constant`: C5, C6 | `Tree`: C5, C6 |
//! | `diff_cost` | `Changes`: D1 | `Tree`: D1 |
//! | `nested` | `Flattened`: here, `commit/nested.rs`, S11 | `Impossible`, `Copied`: here, S11 |
//! | `reclaim` | `FileSystem`: here | `Backend`: here |
//! | `max_depth` | `None`: here, M1 | a number: here, M2 |
//! | `rename_dir`, `hardlink_copyup` | F7, F10 | F7, F10 |
//! | `sparse` | `Kept`: here, `random` | `Filled`: nothing is promised |

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;

use crate::suites::living;
use mocker_core::backend::{CommitConsistency, Nested};

mod nodes;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = cases![
        a_running_container_is_committed_as_declared,
        volumes_are_flattened_only_where_they_are_declared,
        a_commit_makes_no_more_layers_than_are_declared,
    ];
    cases.extend(nodes::cases());
    cases
}

fn a_running_container_is_committed_as_declared(fixture: &Fixture) {
    let declared = fixture.capabilities().commit_running;
    fixture.image("base");
    let job = living::start(fixture, &[], &format!("echo made > /made; sync; {}", living::UNTIL_ENDED));
    let state = fixture.state();
    let commits: [(&[&str], bool); 2] = [
        (&["commit", "--pause=false", "work", "made"], declared == CommitConsistency::Atomic),
        (&["commit", "work", "made"], declared != CommitConsistency::Stopped),
    ];
    for (words, works) in commits {
        if works {
            fixture.ok(words);
            assert_eq!(fixture.ok(&["run", "--rm", "made", "cat", "/made"]), "made", "{words:?}");
            fixture.ok(&["rm", "made"]);
        } else {
            let said = fixture.fails(words, 1);
            assert!(said.contains("runs, and") && said.contains("\n  try: "), "{declared:?}: {said}");
            assert_eq!(fixture.state(), state, "{words:?}");
        }
    }
    living::end(fixture, job).ok();
    // One that has stopped is committed whatever is declared.
    fixture.ok(&["commit", "--pause=false", "work", "made"]);
    fixture.assert_consistent();
}

fn volumes_are_flattened_only_where_they_are_declared(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", "echo made > /made"]);
    let state = fixture.state();
    let words = ["commit", "--flatten-subvolumes", "work", "made"];
    match fixture.capabilities().nested {
        Nested::Flattened => {
            fixture.ok(&words);
            assert_eq!(fixture.ok(&["run", "--rm", "made", "cat", "/made"]), "made");
        }
        Nested::Impossible | Nested::Copied => {
            let said = fixture.fails(&words, 1);
            assert!(said.contains("no nested subvolumes") && said.contains("\n  try: "), "{said}");
            assert_eq!(fixture.state(), state);
        }
    }
    fixture.assert_consistent();
}

fn a_commit_makes_no_more_layers_than_are_declared(fixture: &Fixture) {
    let image = fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "sh", "-c", "echo made > /made"]);
    let Some(most) = fixture.capabilities().max_depth else {
        // Nothing is to be refused; M1 goes deep.
        fixture.ok(&["commit", "work", "made"]);
        return;
    };
    // So many layers beneath the image as there may be, in the records: what is refused is refused before
    // anybody looks for their trees.
    let top = fixture.record("base").unwrap()["layer"].as_u64().unwrap();
    let store = fixture.store();
    let mut beneath: Option<i64> = None;
    for _ in 1..most {
        let make = "INSERT INTO node (backend, role, parent) VALUES (?1, 'layer', ?2)";
        store.execute(make, (fixture.lane().backend(), beneath)).unwrap();
        beneath = Some(store.last_insert_rowid());
    }
    let put = "UPDATE node SET parent = ?1 WHERE id = ?2";
    assert_eq!(store.execute(put, (beneath, top)).unwrap(), 1);
    let (images, containers) = (fixture.images(), fixture.containers());
    let refused = |words: &[&str], code: i32, layers: usize| {
        let said = fixture.fails(words, code);
        let expected = [format!("would have {layers} layers"), format!("takes {most}")];
        assert!(expected.iter().all(|words| said.contains(words)), "{words:?}: {said}");
        assert!(said.contains("--squash=all"), "{words:?} names no way out: {said}");
        assert_eq!(
            (fixture.images(), fixture.containers()),
            (images.clone(), containers.clone()),
            "{words:?}"
        );
    };
    refused(&["commit", "work", "made"], 1, most + 1);
    refused(&["commit", "work", &image], 1, most + 1);
    // One layer more, and nothing can stand on it either.
    store
        .execute("INSERT INTO node (backend, role) VALUES (?1, 'layer')", [fixture.lane().backend()])
        .unwrap();
    let first = store.last_insert_rowid();
    let bottom = "UPDATE node SET parent = ?1 WHERE role = 'layer' AND parent IS NULL AND id != ?1";
    assert_eq!(store.execute(bottom, [first]).unwrap(), 1);
    refused(&["run", "--name", "other", "base", "true"], 125, most + 1);
    refused(&["start", "work"], 125, most + 1);
    // As it was: the image is its one layer again.
    store.execute(put, (None::<i64>, top)).unwrap();
    store.execute("DELETE FROM node WHERE role = 'layer' AND id != ?1", [top]).unwrap();
    fixture.ok(&["commit", "work", "made"]);
    fixture.assert_consistent();
}
