//! K2: the power goes at any moment, and the disk keeps what was written to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use super::reopened::look;
use super::workload::{BASE, State, Worker, begin};
use super::{Told, prepared};
use crate::faults::{Attached, Possible, Record, Supply};
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::background;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: true };
    vec![
        case("k2_the_power_goes_while_one_works", one),
        case("k2_the_power_goes_while_two_work", two),
        case("k2_the_power_goes_while_a_root_is_made", first),
        case("k2_the_power_goes_while_a_container_runs", running),
    ]
}

/// How often the power goes, and the longest wait for that in milliseconds.
struct Cuts {
    count: usize,
    longest: u64,
}

impl Cuts {
    /// Ten times as many, where long runs are asked for.
    fn of(count: usize, longest: u64) -> Self {
        Self { count: if crate::soaks() { 10 * count } else { count }, longest }
    }
}

fn one(fixture: &Fixture) {
    cut_and_look(fixture, 1, &['a'], &Cuts::of(8, 150));
}

fn two(fixture: &Fixture) {
    cut_and_look(fixture, 2, &['a', 'b'], &Cuts::of(8, 150));
}

fn first(fixture: &Fixture) {
    // Making a pool takes longer than all else.
    let longest = if fixture.lane().has_pool() { 150 } else { 20 };
    cut_and_look(fixture, 3, &[], &Cuts::of(4, longest));
}

/// Somebody else's command flushes the record of the container, as it flushes
/// all records. The tree that it stands for must be on the disk by then.
fn running(fixture: &Fixture) {
    let (supply, record) = (prepared(fixture), Record::new());
    let mounted = Attached::directly(&supply.file(), &supply.path("mount"));
    let there = fixture.with_root(&mounted.path().join("root"));
    record.during("image base", State::Image(Vec::new()), || true);
    let state = State::Container { over: Vec::new(), made: 0, flushed: false };
    record.during("container runs", state, || false);
    let job =
        background::start(&mut background::mocker(&there, &["run", "--name", "runs", BASE, "sleep", "1000"]));
    background::wait_until("it runs", || !there.ok(&["ps", "--running", "-q"]).is_empty());
    record.during("image other", State::Image(Vec::new()), || {
        there.mocker(&["tag", BASE, "other"]).run().code == 0
    });
    let clone = supply.clone_file(&supply.file(), "clone");
    there.ok(&["rm", "-f", "runs"]);
    job.end();
    mounted.detach();
    look(fixture, &supply, &clone, &record.possible(record.len(), record.len(), &State::Absent));
}

/// Lets workers work, cuts the power at random moments, and looks at what each
/// cut left.
fn cut_and_look(fixture: &Fixture, seed: u64, workers: &[char], cuts: &Cuts) {
    let (supply, record) = (Supply::new(fixture), Record::new());
    let mounted = Attached::directly(&supply.file(), &supply.path("mount"));
    let there = fixture.with_root(&mounted.path().join("root"));
    let clones = work_and_cut(&there, &supply, &record, seed, workers, cuts);
    mounted.detach();
    assert!(!clones.is_empty(), "it was over before the first cut");
    for (number, possible) in clones.iter().enumerate() {
        let _told = Told(format!("seed {seed}, cut {number}"));
        look(fixture, &supply, &supply.path(&number.to_string()), possible);
    }
}

fn work_and_cut(
    there: &Fixture,
    supply: &Supply,
    record: &Record<State>,
    seed: u64,
    workers: &[char],
    cuts: &Cuts,
) -> Vec<Possible<State>> {
    let enough = AtomicBool::new(false);
    let mut random = Rng::with_seed(seed);
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            begin(there, record).unwrap();
            thread::scope(|scope| {
                for name in workers {
                    let mut worker = Worker::new(there, record, *name, seed + u64::from(*name));
                    let enough = &enough;
                    scope.spawn(move || {
                        while !enough.load(Ordering::Relaxed) {
                            worker.step().unwrap();
                        }
                    });
                }
            });
        });
        let mut clones = Vec::new();
        while clones.len() < cuts.count && !working.is_finished() {
            thread::sleep(Duration::from_millis(random.u64(..cuts.longest)));
            // The moment at which something has just returned is the hardest.
            let (length, at_once) = (record.len(), random.bool());
            while !at_once && record.len() == length && !working.is_finished() {
                thread::yield_now();
            }
            let before = record.len();
            supply.clone_file(&supply.file(), &clones.len().to_string());
            clones.push((before, record.len()));
        }
        enough.store(true, Ordering::Relaxed);
        working.join().expect("the workload failed");
        clones.iter().map(|(before, after)| record.possible(*before, *after, &State::Absent)).collect()
    })
}
