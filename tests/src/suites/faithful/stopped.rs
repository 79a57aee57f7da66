//! Ctrl-C in the middle of a long init: the old state stands, and the status
//! says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fixture::{Fixture, State};
use crate::harness::Case;
use crate::oracle;
use rustix::process::Signal;

use super::init;
use crate::suites::background::{self, End, Job, wait_until};

pub(super) fn cases() -> Vec<Case> {
    // Alone: each has to stop a command in the middle.
    let case = |name, run| Case { name, run, alone: true };
    vec![
        case("ctrl_c_in_the_middle_of_an_init_leaves_the_old_state", new_image),
        case("ctrl_c_in_the_middle_of_an_init_leaves_the_old_version", new_version),
        case("ctrl_c_in_the_middle_of_the_first_init_of_all_can_be_repeated", first_of_all),
        case("whoever_presses_ctrl_c_again_and_again_need_not_wait", impatient),
    ]
}

/// Enough to be busy with for a while: 4000 files, in so many directories, or
/// all in the place itself.
pub(super) fn many_files(place: &Path, directories: usize) {
    let parents = match directories {
        0 => vec![place.to_owned()],
        _ => (0..directories).map(|directory| place.join(directory.to_string())).collect(),
    };
    for parent in &parents {
        fs::create_dir_all(parent).unwrap();
        for file in 0..4000 / parents.len() {
            fs::write(parent.join(file.to_string()), format!("{file} in {}", parent.display())).unwrap();
        }
    }
}

/// An init that was stopped while it copies.
pub(super) struct Held {
    job: Job,
    before: State,
}

impl Held {
    /// Starts it and stops it.
    pub(super) fn init(fixture: &Fixture, name: &str, source: &Path) -> Self {
        for _ in 0..20 {
            let (before, nodes) = (fixture.state(), trees(fixture));
            let words = ["init", "-q", "--name", name, source.to_str().unwrap()];
            let mut job = background::start(&mut background::mocker(fixture, &words));
            while !has_begun(fixture, &nodes) && !job.has_ended() {}
            if !job.has_ended() {
                job.signal(Signal::STOP);
                wait_until("it stands still or is done", || job.has_ended() || is_stopped(&job));
            }
            if !job.has_ended() && !is_whole(fixture, &nodes, source) {
                return Self { job, before };
            }
            if !job.has_ended() {
                job.signal(Signal::CONT);
            }
            job.end().ok();
            fixture.ok(&["rm", name]);
        }
        panic!("init was always done before it could be stopped");
    }

    /// Sends it a signal, which it gets when it goes on.
    pub(super) fn signal(&self, signal: Signal) {
        self.job.signal(signal);
    }

    /// Lets it go on to its end; answers what there was before it, too.
    pub(super) fn go_on(self) -> (State, End) {
        self.job.signal(Signal::CONT);
        (self.before, self.job.end())
    }
}

/// The nodes on disk.
fn trees(fixture: &Fixture) -> Vec<PathBuf> {
    let entries =
        |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    entries(fixture.root().to_owned()).flat_map(|backend| entries(backend.join("nodes"))).collect()
}

/// The trees that were not there before.
fn new_trees(fixture: &Fixture, before: &[PathBuf]) -> Vec<PathBuf> {
    trees(fixture).into_iter().filter(|tree| !before.contains(tree)).collect()
}

/// Whether something was copied.
fn has_begun(fixture: &Fixture, before: &[PathBuf]) -> bool {
    new_trees(fixture, before).iter().any(|tree| entries_below(tree, 20) >= 20)
}

/// Whether all was.
fn is_whole(fixture: &Fixture, before: &[PathBuf], source: &Path) -> bool {
    let all = entries_below(source, usize::MAX);
    new_trees(fixture, before).iter().any(|tree| entries_below(tree, usize::MAX) >= all)
}

/// Entries below a directory, as far as it is worth counting.
fn entries_below(top: &Path, most: usize) -> usize {
    walkdir::WalkDir::new(top).into_iter().flatten().take(most).count()
}

/// Whether all of its threads have stopped: a thread that is deep in the kernel
/// does so when it comes back.
fn is_stopped(job: &Job) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", job.pid())).into_iter().flatten().flatten();
    threads
        .map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap_or_default())
        .all(|stat| stat.rsplit_once(')').is_some_and(|(_, fields)| fields.trim_start().starts_with('T')))
}

#[track_caller]
fn assert_stopped(fixture: &Fixture, held: Held) {
    held.signal(Signal::INT);
    let (before, ended) = held.go_on();
    assert_eq!((ended.code, ended.signal), (Some(130), None), "{ended:?}");
    assert!(ended.out.is_empty() && ended.err.contains("nothing was made"), "{ended:?}");
    ended.clear();
    assert_eq!(fixture.state(), before);
    fixture.assert_consistent();
}

fn new_image(fixture: &Fixture) {
    fixture.image("base");
    let source = fixture.scratch().join("source");
    many_files(&source, 40);
    let held = Held::init(fixture, "long", &source);
    assert_stopped(fixture, held);
    // Nothing of it stands in the way of another try.
    init(fixture, "long", &source);
    oracle::assert_same(&source, &fixture.tree("long"));
    assert_eq!(fixture.record("long").unwrap()["version"], 1);
}

fn new_version(fixture: &Fixture) {
    fixture.image("base");
    let expected = oracle::look(&fixture.tree("base"));
    let source = fixture.scratch().join("source");
    many_files(&source, 0);
    // Where it is too fast to be stopped, the image goes, and comes anew.
    let held = Held::init(fixture, "base", &source);
    let stands = fixture.record("base").is_some();
    assert_stopped(fixture, held);
    if stands {
        assert_eq!(fixture.record("base").unwrap()["versions"], 1);
        oracle::assert_equal(&expected, &oracle::look(&fixture.tree("base")));
        assert_eq!(fixture.ok(&["run", "--rm", "base", "echo", "still here"]), "still here");
    }
}

fn first_of_all(fixture: &Fixture) {
    let source = fixture.scratch().join("source");
    many_files(&source, 40);
    assert!(!fixture.root().exists());
    let words = ["init", "-q", "--name", "first", source.to_str().unwrap()];
    let mut job = background::start(&mut background::mocker(fixture, &words));
    while !has_begun(fixture, &[]) && !job.has_ended() {}
    job.signal(Signal::INT);
    let ended = job.end();
    if ended.code == Some(0) {
        // It was faster; then it must be whole.
        oracle::assert_same(&source, &fixture.tree("first"));
        return;
    }
    assert_eq!(ended.code, Some(130), "{ended:?}");
    ended.clear();
    assert_eq!(fixture.ok(&["images", "-q"]), "");
    assert!(trees(fixture).is_empty(), "a half-made tree is left");
    fixture.assert_consistent();
    init(fixture, "first", &source);
    oracle::assert_same(&source, &fixture.tree("first"));
}

fn impatient(fixture: &Fixture) {
    fixture.image("base");
    let source = fixture.scratch().join("source");
    many_files(&source, 40);
    let held = Held::init(fixture, "long", &source);
    let pid = held.job.pid();
    held.job.signal(Signal::CONT);
    for _ in 0..3 {
        held.job.signal(Signal::INT);
        std::thread::sleep(Duration::from_millis(1));
    }
    let ended = held.job.end_within(Duration::from_secs(10));
    assert_eq!((ended.code, ended.signal), (Some(130), None), "process {pid}: {ended:?}");
    // What it had no time to remove, the next command does.
    fixture.ok(&["ps"]);
    assert_eq!(fixture.state(), held.before);
    fixture.assert_consistent();
}
