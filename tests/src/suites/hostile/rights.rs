//! A root that cannot be written, and a user who may not: said with what, why
//! and what to do.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use crate::suites::background::{self, End};
use crate::suites::ground::Ground;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("u2_a_new_root_on_a_read_only_file_system", read_only_new),
        case("u2_a_used_root_on_a_read_only_file_system", read_only_used),
        case("u2_somebody_elses_root", somebody_elses),
        case("u2_a_root_of_ones_own_without_rights", own_without_rights),
        case("u2_a_root_that_is_a_file_or_lies_in_one", no_directory),
        case("l11_a_root_that_is_open_to_others", open_to_others),
    ]
}

/// Every verb, on things that may exist.
fn verbs(source: &str) -> Vec<Vec<&str>> {
    let lines: [&[&str]; 11] = [
        &["init", "--name", "fresh", source],
        &["run", "--rm", "base", "true"],
        &["run", "--name", "fresh", "base", "true"],
        &["start", "work"],
        &["commit", "work", "base"],
        &["tag", "base", "fresh"],
        &["rm", "work", "base"],
        &["pool", "create"],
        &["pool", "grow", "2G"],
        &["images"],
        &["ps"],
    ];
    lines.iter().map(|line| line.to_vec()).collect()
}

fn changes_nothing(words: &[&str]) -> bool {
    matches!(words, ["images" | "ps"])
}

/// Asserts a refusal that names the root, or whatever is missing, and a way
/// out. Looking may work.
#[track_caller]
fn refused(ended: &End, words: &[&str], reasons: &[&str]) {
    if changes_nothing(words) && ended.code == Some(0) {
        return ended.clear();
    }
    if ended.refused().contains("needs no pool") {
        // Nothing has to be done about that.
        return;
    }
    let said = ended.refused_with_a_hint();
    assert!(reasons.iter().any(|reason| said.contains(reason)), "mocker {words:?} does not say why: {said}");
}

fn read_only_new(fixture: &Fixture) {
    let ground = Ground::of_lane(fixture, 600);
    ground.remount("ro");
    let source = fixture.rootfs();
    for words in verbs(source.to_str().unwrap()) {
        let ended = ground.run(&words);
        refused(&ended, &words, &["read-only", "there is no root"]);
    }
    ground.remount("rw");
    assert!(!ground.root().exists());
    let init = ["init", source.to_str().unwrap()];
    ground.run(&init).ok();
}

fn read_only_used(fixture: &Fixture) {
    let ground = Ground::of_lane(fixture, 600);
    let (root, source) = (ground.root(), fixture.rootfs());
    let run = |words: &[&str]| background::finish(&mut background::at(fixture, &root, words));
    run(&["init", "--name", "base", source.to_str().unwrap()]).ok();
    run(&["run", "--name", "work", "base", "true"]).ok();
    let listed = [run(&["images"]).ok(), run(&["ps"]).ok()];
    ground.remount("ro");
    for words in verbs(source.to_str().unwrap()) {
        refused(&run(&words), &words, &["read-only", "readonly", "must be writable", "there is no pool"]);
    }
    ground.remount("rw");
    assert_eq!([run(&["images"]).ok(), run(&["ps"]).ok()], listed);
    assert_eq!(run(&["run", "--rm", "base", "echo", "works"]).ok(), "works");
    run(&["start", "work"]).ok();
}

/// Who has no rights at all.
const NOBODY: u32 = 65534;

/// A directory that everybody can reach, with a copy of the program in it.
fn public(fixture: &Fixture) -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    std::fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = place.path().join("mocker");
    std::fs::copy(Fixture::program(), &program).unwrap();
    let source = place.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::copy(fixture.rootfs().join("bin/busybox"), source.join("busybox")).unwrap();
    (place, program)
}

fn as_nobody(fixture: &Fixture, program: &Path, root: &Path, words: &[&str]) -> End {
    let mut command = std::process::Command::new(program);
    command.args(words).env_clear().env("MOCKER_ROOT", root).env("MOCKER_BACKEND", fixture.lane().backend());
    background::finish(command.current_dir("/").uid(NOBODY).gid(NOBODY))
}

fn somebody_elses(fixture: &Fixture) {
    let (place, program) = public(fixture);
    let source = place.path().join("source");
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "true"]);
    let state = fixture.state();
    let prepared = place.path().join("prepared");
    std::fs::create_dir(&prepared).unwrap();
    for root in [fixture.root(), &prepared, &place.path().join("missing"), Path::new("/proc/mocker")] {
        for words in verbs(source.to_str().unwrap()) {
            let ended = as_nobody(fixture, &program, root, &words);
            refused(
                &ended,
                &words,
                &["permission denied", "belongs to user 0", "there is no root", "no such file"],
            );
        }
    }
    assert_eq!(fixture.state(), state);
    assert_eq!(std::fs::read_dir(&prepared).unwrap().count(), 0);
    assert!(!place.path().join("missing").exists());
}

fn own_without_rights(fixture: &Fixture) {
    let (place, program) = public(fixture);
    let source = place.path().join("source");
    let before = oracle::look(&source);
    let [home, empty] = ["home", "empty"].map(|name| place.path().join(name));
    for directory in [&home, &empty] {
        std::fs::create_dir(directory).unwrap();
        chown(directory, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    for root in [home.join("root"), empty] {
        for words in [&["init", source.to_str().unwrap()][..], &["pool", "create"]] {
            let ended = as_nobody(fixture, &program, &root, words);
            let said = ended.refused();
            assert!(said.contains("needs root") && said.contains("as root"), "{words:?}: {said}");
        }
        assert_eq!(as_nobody(fixture, &program, &root, &["images", "-q"]).ok(), "");
        for words in [&["run", "base", "true"][..], &["commit", "work"], &["rm", "work"]] {
            let said = as_nobody(fixture, &program, &root, words);
            assert!(said.refused_with_a_hint().contains("named '"), "{said:?}");
        }
        assert!(!root.join("pool/btrfs.img").exists());
    }
    assert_eq!(oracle::differences(&before, &oracle::look(&source)), Vec::<String>::new());
}

fn no_directory(fixture: &Fixture) {
    let file = fixture.scratch().join("file");
    std::fs::write(&file, "of somebody").unwrap();
    let source = fixture.rootfs();
    for root in [file.clone(), file.join("root"), PathBuf::from("/dev/null"), PathBuf::from("/dev/null/root")]
    {
        for words in verbs(source.to_str().unwrap()) {
            let ended = background::finish(&mut background::at(fixture, &root, &words));
            assert_ne!(ended.code, Some(0), "mocker {words:?} worked on {}", root.display());
            refused(&ended, &words, &["not a directory", "there is no root", "file exists"]);
        }
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), "of somebody");
}

fn open_to_others(fixture: &Fixture) {
    let root = fixture.scratch().join("open");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("mine"), "").unwrap();
    std::fs::set_permissions(&root, PermissionsExt::from_mode(0o755)).unwrap();
    let source = fixture.rootfs();
    let init = ["init", source.to_str().unwrap()];
    let ended = background::finish(&mut background::at(fixture, &root, &init));
    refused(&ended, &init, &["open to other users"]);
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 1, "something was made in somebody's directory");
}
