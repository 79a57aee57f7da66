//! F7, F10: where backends differ, each does what it declares, and the programs
//! in a container come through.

use crate::fixture::Fixture;
use crate::harness::Case;
use mocker_core::backend::{HardlinkCopyup, RenameDir};

use super::bash;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("f7_a_rename_of_a_lower_directory_behaves_as_declared_and_mv_falls_back", renamed_directory),
        case("f10_a_write_to_a_lower_hard_link_behaves_as_declared", written_link),
    ]
}

/// Runs a script in a new container `work` of `base`; answers its words.
#[track_caller]
fn words(fixture: &Fixture, script: &str) -> Vec<String> {
    let printed = fixture.ok(&["run", "--name", "work", "base", "sh", "-ec", script]);
    printed.split_whitespace().map(str::to_owned).collect()
}

fn renamed_directory(fixture: &Fixture) {
    let source = fixture.rootfs();
    bash(
        &source,
        "mkdir -p lower/in; echo deep > lower/in/file; chmod 2750 lower/in; chown 7:8 lower/in/file",
    );
    fixture.image("base");
    // A directory that was renamed is still the same one, and one that mv copied is not.
    let script = "
        stat -c %i /lower; mv /lower /moved; stat -c %i /moved
        mkdir /own; stat -c %i /own; mv /own /renamed; stat -c %i /renamed";
    let numbers = words(fixture, script);
    let [before, after, own, renamed] = &numbers[..] else { panic!("{numbers:?}") };
    match fixture.capabilities().rename_dir {
        RenameDir::Native => assert_eq!(before, after, "it is declared to be renamed"),
        RenameDir::Exdev => assert_ne!(before, after, "it is declared to be refused"),
    }
    assert_eq!(own, renamed, "a directory of the work area itself is renamed everywhere");
    fixture.ok(&["commit", "work", "base"]);
    for object in ["work", "base"] {
        let tree = fixture.tree(object);
        assert!(!tree.join("lower").exists());
        bash(
            &tree,
            "test \"$(stat -c '%a %u:%g' moved/in moved/in/file | tr '\\n' ' ')\" = '2750 0:0 644 7:8 '",
        );
        assert_eq!(std::fs::read_to_string(tree.join("moved/in/file")).unwrap(), "deep\n");
    }
}

fn written_link(fixture: &Fixture) {
    let source = fixture.rootfs();
    bash(&source, "echo lower > one; ln one other");
    fixture.image("base");
    let script = "
        echo new > /one; cat /one /other; stat -c %i /one /other
        echo x > /own; ln /own /linked; echo own > /own; cat /linked";
    let seen = words(fixture, script);
    let [one, other, number, other_number, own] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((one.as_str(), own.as_str()), ("new", "own"));
    match fixture.capabilities().hardlink_copyup {
        HardlinkCopyup::Keep => {
            assert_eq!((other.as_str(), other_number), ("new", number), "links are declared to hold");
        }
        HardlinkCopyup::Break => {
            assert_eq!(other, "lower", "links are declared to break");
            assert_ne!(number, other_number, "two contents under one inode number");
        }
    }
    // And so it stays: what one run saw is what the next one finds.
    fixture.ok(&["commit", "work", "base"]);
    let found = fixture.ok(&["run", "--rm", "base", "cat", "/one", "/other", "/own", "/linked"]);
    assert_eq!(found, format!("{one}\n{other}\nown\nown"));
}
