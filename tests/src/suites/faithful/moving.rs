//! A source that is not kept still: the copy ends, and it is an error or it is
//! whole. What nobody touched is in it, and nothing from outside.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::bash;
use super::stopped::{Held, many_files};
use crate::suites::background;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("a_source_that_is_removed_meanwhile_is_an_error_or_a_whole_copy", removed),
        case("a_source_that_is_renamed_meanwhile_is_an_error_or_a_whole_copy", renamed),
        case("a_source_that_loses_one_file_meanwhile_is_an_error_or_a_copy_of_all_others", one_less),
        case("a_source_that_changes_all_the_time_is_an_error_or_has_what_is_still", changing),
        case("a_source_that_grows_for_ever_comes_to_an_end", growing),
    ]
}

/// Lets a held init go on: it fails and leaves nothing, or it made the image
/// that `expected` says.
fn error_or(fixture: &Fixture, held: Held, expected: &oracle::Tree) {
    let (before, ended) = held.go_on();
    if ended.code == Some(0) {
        oracle::assert_equal(expected, &oracle::look(&fixture.tree("moving")));
        fixture.ok(&["rm", "moving"]);
    } else {
        ended.refused();
        assert_eq!(fixture.state(), before);
    }
    fixture.assert_consistent();
}

fn removed(fixture: &Fixture) {
    // In directories, and all in one.
    for directories in [40, 0] {
        let source = fixture.scratch().join("moving");
        many_files(&source, directories);
        let expected = oracle::look(&source);
        let held = Held::init(fixture, "moving", &source);
        fs::remove_dir_all(&source).unwrap();
        error_or(fixture, held, &expected);
    }
}

fn renamed(fixture: &Fixture) {
    let source = fixture.scratch().join("moving");
    many_files(&source, 40);
    let expected = oracle::look(&source);
    let held = Held::init(fixture, "moving", &source);
    fs::rename(&source, fixture.scratch().join("moved")).unwrap();
    error_or(fixture, held, &expected);
}

fn one_less(fixture: &Fixture) {
    let source = fixture.scratch().join("moving");
    many_files(&source, 40);
    let before = oracle::look(&source);
    let held = Held::init(fixture, "moving", &source);
    fs::remove_file(source.join("1/77")).unwrap();
    let after = oracle::look(&source);
    let (state, ended) = held.go_on();
    if ended.code == Some(0) {
        let found = oracle::look(&fixture.tree("moving"));
        // With its directory as it was, or as it is.
        let same = [before, after].iter().any(|expected| oracle::differences(expected, &found).is_empty());
        assert!(same, "the copy is neither the old tree nor the new one");
    } else {
        ended.refused();
        assert_eq!(fixture.state(), state);
    }
}

/// Ways of not keeping still, each of which can be done again and again.
const UNREST: &str = r"
    outside=$1; cd $2
    while ! [ -e $outside/../enough ]; do
        echo turn >> $outside/../turns
        echo more >> file; : > file; head -c 100000 /dev/zero >> file; truncate -s 5 file
        rm -f turns; mkfifo turns; rm turns; mkdir turns; echo x > turns/inner; rm -r turns; echo y > turns
        rm -rf swapped; mkdir swapped; echo own > swapped/own; rm -r swapped; ln -s $outside swapped
        rm -f link; ln -s $outside/secret link; rm link; ln $outside/../harmless link
        mv here there; mv there here
        rm -f other; echo z > new; mv new other
        setfattr -n user.a -v $RANDOM file; setfattr -x user.a file; chmod 0 file; chmod 644 file
    done; true";

/// The script at work, until this is dropped.
struct Unrest {
    script: Child,
    enough: PathBuf,
}

impl Unrest {
    fn start(outside: &Path, place: &Path) -> Self {
        let mut script = Command::new("bash");
        script.args(["-c", UNREST, "bash"]).args([outside, place]).stderr(Stdio::null());
        Self { script: script.spawn().unwrap(), enough: outside.with_file_name("enough") }
    }
}

impl Drop for Unrest {
    fn drop(&mut self) {
        // Not killed: one of its commands could go on alone.
        if fs::write(&self.enough, "").is_ok() {
            let _status = self.script.wait();
        }
    }
}

fn changing(fixture: &Fixture) {
    let (source, outside) = (fixture.scratch().join("source"), fixture.scratch().join("outside"));
    fs::create_dir(&source).unwrap();
    bash(
        &source,
        "mkdir -p still/{1..20} moving/here; for n in still/*; do echo $n | tee $n/{1..40} > $n/all; done
         for n in {1..50}; do echo $n > moving/here/$n; done; : > moving/file",
    );
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret"), "not of the source").unwrap();
    fs::write(fixture.scratch().join("harmless"), "linked").unwrap();
    let expected = oracle::look(&source.join("still"));
    let unrest = Unrest::start(&outside, &source.join("moving"));
    for _ in 0..8 {
        let state = fixture.state();
        let ended = background::run(fixture, &["init", "--name", "moving", source.to_str().unwrap()]);
        if ended.code == Some(0) {
            let tree = fixture.tree("moving");
            oracle::assert_equal(&expected, &oracle::look(&tree.join("still")));
            assert_nothing_from_outside(&tree.join("moving"));
            fixture.ok(&["rm", "moving"]);
        } else {
            ended.refused();
            assert_eq!(fixture.state(), state);
        }
    }
    drop(unrest);
    let turns = fs::read_to_string(fixture.scratch().join("turns")).unwrap().lines().count();
    assert!(turns > 2, "hardly anything has moved");
    // Left alone, it is copied like any other.
    super::init(fixture, "still", &source);
    oracle::assert_same(&source, &fixture.tree("still"));
    fixture.assert_consistent();
}

#[track_caller]
fn assert_nothing_from_outside(tree: &Path) {
    for found in walkdir::WalkDir::new(tree) {
        let found = found.unwrap();
        if found.file_type().is_file() {
            let content = fs::read(found.path()).unwrap();
            assert!(content != b"not of the source", "{} was reached through a link", found.path().display());
        }
    }
}

/// A file that is only ever appended to: the copy is a beginning of it.
fn growing(fixture: &Fixture) {
    const MOST: u64 = 128 << 20;
    let source = fixture.rootfs();
    let log = source.join("log");
    let mut file = fs::File::create(&log).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut length = 0;
            while !done.load(Ordering::Relaxed) && length < MOST {
                file.write_all(&[b'x'; 1 << 16]).unwrap();
                length += 1 << 16;
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..4 {
                let ended = background::run(fixture, &["init", "--name", "grown", source.to_str().unwrap()]);
                if ended.code == Some(0) {
                    let copied = fs::read(fixture.tree("grown").join("log")).unwrap();
                    assert!(copied.iter().all(|byte| *byte == b'x'), "the copy has bytes that nobody wrote");
                    fixture.ok(&["rm", "grown"]);
                } else {
                    ended.refused();
                }
            }
        }));
        // Whatever came of it, the writer has to end.
        done.store(true, Ordering::Relaxed);
        outcome.unwrap_or_else(|why| std::panic::resume_unwind(why));
    });
    super::init(fixture, "last", &source);
    oracle::assert_same(&source, &fixture.tree("last"));
    fixture.assert_consistent();
}
