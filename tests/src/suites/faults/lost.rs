//! K2: the power goes, and the disk forgets what it had been given and not been
//! told to flush.

use std::thread;
use std::time::Duration;

use fastrand::Rng;

use super::reopened::look;
use super::workload::{State, Worker, begin};
use super::{Told, prepared};
use crate::faults::{Attached, Disk, Possible, Record, Supply};
use crate::fixture::Fixture;
use crate::harness::Case;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: true };
    vec![
        case("k2_a_disk_forgets_all_that_was_not_flushed", all),
        case("k2_a_disk_forgets_some_of_what_was_not_flushed", some),
        case("k2_a_disk_forgets_while_a_root_is_made", first),
    ]
}

/// Disks per case; where long runs are asked for, ten times as many.
const DISKS: u64 = 4;

/// The longest life of a disk, in milliseconds.
const LONGEST: u64 = 300;

fn all(fixture: &Fixture) {
    forget(fixture, 10, 0);
}

fn some(fixture: &Fixture) {
    forget(fixture, 20, 50);
}

fn disks() -> u64 {
    if crate::soaks() { 10 * DISKS } else { DISKS }
}

fn forget(fixture: &Fixture, seed: u64, percent: u8) {
    let supply = prepared(fixture);
    for number in 0..disks() {
        let seed = seed * 1000 + number;
        let _told = Told(format!("seed {seed}"));
        let record = Record::new();
        record.during("image base", State::Image(Vec::new()), || true);
        let work = |there: &Fixture| {
            let mut worker = Worker::new(there, &record, 'a', seed);
            loop {
                if let Err(failed) = worker.step() {
                    break failed.clear();
                }
            }
        };
        lose_and_look(fixture, &supply, &record, (seed, percent, LONGEST), &work);
    }
}

fn first(fixture: &Fixture) {
    let longest = if fixture.lane().has_pool() { 600 } else { 100 };
    for seed in 30..30 + disks() {
        let _told = Told(format!("seed {seed}"));
        let record = Record::new();
        let work = |there: &Fixture| {
            if let Err(failed) = begin(there, &record) {
                failed.clear();
            }
        };
        lose_and_look(fixture, &Supply::new(fixture), &record, (seed, 50, longest), &work);
    }
}

/// Works on a disk until that loses its power, and looks at what is left.
fn lose_and_look(
    fixture: &Fixture,
    supply: &Supply,
    record: &Record<State>,
    (seed, percent, longest): (u64, u8, u64),
    work: &(dyn Fn(&Fixture) + Sync),
) {
    let mut random = Rng::with_seed(seed);
    let file = supply.clone_file(&supply.file(), "disk");
    let mut disk = Disk::of(&file, &supply.path("served"));
    let mounted = Attached::at(&disk.file(), &supply.path("mount"));
    let there = fixture.with_root(&mounted.path().join("root"));
    let possible: Possible<State> = thread::scope(|scope| {
        let working = scope.spawn(|| work(&there));
        thread::sleep(Duration::from_millis(random.u64(..longest)));
        let (length, at_once) = (record.len(), random.bool());
        while !at_once && record.len() == length && !working.is_finished() {
            thread::yield_now();
        }
        let before = record.len();
        disk.cut(seed, percent);
        let after = record.len();
        working.join().expect("the workload failed");
        record.possible(before, after, &State::Absent)
    });
    mounted.detach();
    drop(disk);
    look(fixture, supply, &file, &possible);
}
