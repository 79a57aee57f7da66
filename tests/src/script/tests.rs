//! The scripts are what they claim to be, as text too, and they bite: whatever a
//! backend does wrong is found, and told by a script of a few lines.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use rustix::fs::FileType;

use super::machine::action;
use super::world::World;
use super::{
    Action, Attempt, How, Missing, Stage, Step, generate, generate_comparisons, parse, search, shrink,
};
use crate::edit::Edit;
use crate::mutant::{Bug, Mutant};

#[test]
fn a_seed_is_a_script_and_a_shorter_one_is_its_beginning() {
    let long = generate(7, 2000);
    assert_eq!(long, generate(7, 2000));
    assert_eq!(long[..300], generate(7, 300));
    assert_ne!(long, generate(8, 2000));
}

#[test]
fn a_script_has_everything_in_it() {
    let script = generate(1, 5000);
    let first_words: std::collections::BTreeSet<String> =
        script.iter().map(|step| step.to_string().split_whitespace().nth(1).unwrap().to_owned()).collect();
    let known = [
        "append",
        "chmod",
        "chown",
        "commit",
        "create",
        "delete",
        "go",
        "link",
        "make",
        "mkdir",
        "mknod",
        "punch",
        "removexattr",
        "rename",
        "rmdir",
        "setxattr",
        "symlink",
        "touch",
        "truncate",
        "unlink",
        "write",
    ];
    assert_eq!(first_words.iter().map(String::as_str).collect::<Vec<_>>(), known);
    for how in [How::Idle, How::Paused, How::Consume] {
        assert!(script.iter().any(|step| step.action == Action::Commit(how)), "nothing is committed {how:?}");
    }
}

#[test]
fn a_script_is_read_back_as_it_was_written() {
    for seed in 1..4 {
        for script in [generate(seed, 3000), generate_comparisons(seed, 3000)] {
            assert_eq!(parse(&written(&script)).unwrap(), script);
        }
    }
}

#[test]
fn whatever_the_machine_does_is_read_back_as_it_was_written() {
    let mut runner = TestRunner::deterministic();
    let mut world = World::new();
    let script: Vec<_> = (1..=3000)
        .map(|number| {
            let action = action(&world).new_tree(&mut runner).unwrap().current();
            let step = Step { number, action };
            assert!(world.allows(&step), "{step}");
            world.follow(&step);
            step
        })
        .collect();
    for missing in [Missing::Never, Missing::Deleted] {
        for attempt in [Attempt::MakeOver, Attempt::Open, Attempt::Measure, Attempt::Delete] {
            assert!(script.iter().any(|step| step.action == Action::Try(attempt(missing))));
        }
    }
    for how in [How::Idle, How::Paused, How::Running, How::Consume] {
        assert!(script.iter().any(|step| step.action == Action::Commit(how)), "nothing is committed {how:?}");
    }
    assert!(script.iter().any(|step| matches!(step.action, Action::Try(Attempt::MakeLayer(_)))));
    assert!(script.iter().any(|step| matches!(step.action, Action::Try(Attempt::MakeWork(_)))));
    assert!(script.iter().any(|step| matches!(step.action, Action::Try(Attempt::WriteTo(_)))));
    assert!(script.iter().any(|step| step.action == Action::Reopen));
    assert_eq!(parse(&written(&script)).unwrap(), script);
}

#[test]
fn odd_names_and_values_are_read_back() {
    let odd: [&[u8]; 9] = [
        b" ",
        b"\"",
        b"'",
        b"\\x41",
        b"a\nb\tc\r",
        b"\xff\xfe",
        "\u{e9}#".as_bytes(),
        b"# a",
        b"over layer 1",
    ];
    let mut script = Vec::new();
    for (name, number) in odd.into_iter().zip(1..) {
        let path = Path::new(OsStr::from_bytes(name)).to_owned();
        let value = [name, b"\0\x01"].concat();
        let edit = Edit::SetAttribute { path, name: "user.\u{e9} \"=".to_owned(), value };
        script.push(Step { number, action: Action::Edit(edit) });
    }
    let file = Edit::MakeNode { path: "".into(), kind: FileType::RegularFile, mode: 0, device: 0 };
    script.push(Step { number: 77, action: Action::Edit(file) });
    let text = written(&script);
    assert!(text.is_ascii() && text.lines().count() == script.len(), "{text}");
    assert_eq!(parse(&text).unwrap(), script);
}

#[test]
fn what_no_random_script_has_is_read_back() {
    let path = || Path::new("a b").to_owned();
    let edits = [
        Edit::SetTime { path: path(), nanoseconds: -1_000_000_001 },
        Edit::Allocate { path: path(), at: 1, length: 2 },
        Edit::PunchHole { path: path(), at: 3, length: 4 },
        Edit::Clone { from: path(), to: "c".into() },
        Edit::CreateUnnamed { path: path(), mode: 0o640 },
    ];
    let step = |(edit, number)| Step { number, action: Action::Edit(edit) };
    let script: Vec<_> = edits.into_iter().zip(1..).map(step).collect();
    assert_eq!(parse(&written(&script)).unwrap(), script);
}

#[test]
fn remarks_are_left_out_and_what_is_no_step_is_refused_with_its_line() {
    let script = "# found once\n\n  1  reopen\r\n#\n 12 create \"a\" 644\n";
    assert_eq!(parse(script).unwrap().len(), 2);
    for (text, why) in [
        ("reopen", "line 1: 'reopen' is no number"),
        ("1 reopen\n1 reopen", "line 2: the numbers of steps must grow"),
        ("0 reopen", "line 1: the numbers of steps must grow"),
        ("1 dance", "line 1: it is no edit"),
        ("1 create a 644", "it is no edit"),
        ("1 create \"a 644", "is not closed"),
        ("1 create \"\\q\" 644", "has an escape that means nothing"),
        ("1 create \"\\xé\" 644", "is no byte"),
        ("1 create \"a\" 888", "'888' is no number"),
        ("1 append \"a\" 1 times 0x100", "'0x100' is no number"),
        ("3 commit idle as layer 4", "what step 3 makes has the number 3"),
        ("3 commit gladly as layer 3", "nothing is committed 'gladly'"),
        ("3 try to fly", "it is nothing to try"),
        ("3 try to open the door", "it must say"),
    ] {
        let told = parse(text).unwrap_err();
        assert!(told.contains(why), "{text:?}: {told}");
    }
}

fn written(script: &[Step]) -> String {
    script.iter().map(|step| format!("{step}\n")).collect()
}

/// A stage at an empty directory, for the backend that copies, with a bug.
fn stage(folder: &Path, bug: Bug) -> Stage {
    let root = folder.join("root");
    std::fs::create_dir(&root).unwrap();
    Stage::new(move || Mutant::open(&mocker_backend_copy::DRIVER, &root, bug), folder.join("plain"))
}

#[test]
fn a_long_script_that_finds_a_lost_attribute_is_made_short() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let script = generate(1, 1000);
    stage(folder.path(), Bug::None).play(&script).unwrap();
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let forgetful = stage(folder.path(), Bug::LosesAttribute);
    let failure = forgetful.play(&script).unwrap_err();
    assert!(failure.what.contains("user.one"), "{failure}");
    let found = shrink(&forgetful, &script, failure);
    assert!(found.failure.what.contains("user.one"), "{found}");
    // Something is made, gets the attribute and is committed.
    assert!(found.script.len() <= 4, "{found}");
    assert!(matches!(found.script.last().unwrap().action, Action::Commit(_)));
    let sets = |edit: &Edit| matches!(edit, Edit::SetAttribute { name, .. } if name == "user.one");
    assert!(found.script.iter().filter_map(Step::edit).any(sets), "{found}");
}

#[test]
fn a_backend_without_a_bug_passes() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let tally = search(&stage(folder.path(), Bug::None), 1, 20).unwrap();
    assert!(tally.commits > 20 && tally.attempts > 100 && tally.reopened > 20, "{tally:?}");
}

/// Finds a bug with the machine, by a script of so few steps, whose text plays
/// to the same failure.
#[track_caller]
fn finds(bug: Bug, most: usize, told: &str) {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let found = search(&stage(folder.path(), bug), 1, 100).unwrap_err();
    assert!(found.failure.what.contains(told), "{found}");
    assert!(found.script.len() <= most, "{found}");
    let read = parse(&found.to_string()).unwrap();
    assert_eq!(read, found.script);
    // On a backend that has seen nothing else.
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let again = stage(folder.path(), bug).play(&read).unwrap_err();
    assert_eq!(again.steps, found.failure.steps);
    assert!(again.what.contains(told), "{again}");
}

#[test]
fn a_number_that_is_used_again_is_found() {
    finds(Bug::ReusesNumber, 1, "create under a number in use must fail as AlreadyExists, and succeeded");
}

#[test]
fn a_node_that_is_not_deleted_is_found() {
    finds(Bug::KeepsDeleted, 3, "it lists the nodes");
}

#[test]
fn a_layer_that_later_writes_reach_is_found() {
    finds(Bug::NotFrozen, 3, "is not as it should be");
}

#[test]
fn a_node_that_is_forgotten_when_the_backend_is_opened_again_is_found() {
    finds(Bug::ForgetsNode, 1, "it lists the nodes");
}

#[test]
fn an_error_of_the_wrong_kind_is_found() {
    finds(Bug::WrongKind, 2, "must fail as NotFound, and failed as Io");
}

#[test]
fn a_layer_that_is_made_up_is_found() {
    finds(Bug::MakesUpLayer, 1, "create over a layer that is not there must fail as NotFound, and succeeded");
}

#[test]
fn a_snapshot_that_is_not_declared_and_made_is_found() {
    finds(Bug::IgnoresState, 1, "snapshot (Running), which is not declared, must fail as Unsupported");
}

#[test]
fn a_lost_attribute_is_found() {
    finds(Bug::LosesAttribute, 2, "user.one");
}

#[test]
fn a_change_that_a_backend_does_not_name_is_found_and_made_short() {
    let script = generate_comparisons(1, 250);
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let tally = stage(folder.path(), Bug::None).play(&script).unwrap();
    assert!(tally.comparisons > 20 && tally.changes > 100, "{tally:?}");
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let forgetful = stage(folder.path(), Bug::TrustsForTooLong);
    let failure = forgetful.play(&script).unwrap_err();
    let found = shrink(&forgetful, &script, failure);
    assert!(found.failure.what.contains("and in the whole trees"), "{found}");
    // Something is committed, a work area over it changes, and the two are compared.
    assert!(found.script.len() <= 8, "{found}");
    assert!(matches!(found.script.last().unwrap().action, Action::Compare(..)), "{found}");
    assert_eq!(parse(&found.to_string()).unwrap(), found.script);
}
