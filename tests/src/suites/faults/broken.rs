//! K2, K4: the disk fails while a command works. The command says so, promises
//! nothing that is not there, and the next one works once the disk does.

use std::thread;
use std::time::Duration;

use fastrand::Rng;

use super::reopened::look;
use super::workload::{BASE, State, script};
use super::{Told, prepared};
use crate::faults::{Attached, Disk, Fault, Record};
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::suites::background;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: true };
    vec![
        case("k2_a_disk_that_cannot_be_written", |fixture| fail(fixture, 40, Fault::Writes)),
        case("k2_a_disk_that_cannot_flush", |fixture| fail(fixture, 50, Fault::Flushes)),
        case("k2_a_disk_that_cannot_be_read", |fixture| fail(fixture, 60, Fault::Reads)),
        case("k2_a_disk_that_is_gone", |fixture| fail(fixture, 70, Fault::Everything)),
    ]
}

/// The latest moment at which it begins to fail, in milliseconds.
const LATEST: u64 = 30;

/// What is there when the disk begins to fail.
const MADE: u32 = 1;

fn fail(fixture: &Fixture, seed: u64, fault: Fault) {
    let supply = prepared(fixture);
    let mounted = Attached::at(&supply.file(), &supply.path("mount"));
    let there = fixture.with_root(&mounted.path().join("root"));
    there.ok(&["run", "--name", "work", BASE, "sh", "-c", &(script(MADE) + "; sync")]);
    mounted.detach();

    let source = fixture.rootfs();
    let made = State::Container { over: Vec::new(), made: MADE, flushed: true };
    let commands: [(&str, State, &[&str]); 4] = [
        ("image fresh", State::Image(Vec::new()), &["init", "--name", "fresh", source.to_str().unwrap()]),
        ("container fresh", made.clone(), &["run", "--name", "fresh", BASE, "sh", "-c", &script(MADE)]),
        ("image base", State::Image(vec![MADE]), &["commit", "work", BASE]),
        ("container work", State::Absent, &["rm", "work"]),
    ];
    let rounds = if crate::soaks() { 10 } else { 1 };
    let mut random = Rng::with_seed(seed);
    for (object, state, words) in std::iter::repeat_n(commands, rounds).flatten() {
        let delay = if random.bool() { random.u64(..LATEST) } else { 0 };
        let _told = Told(format!("seed {seed}: {fault:?} after {delay} ms of {words:?}"));
        let file = supply.clone_file(&supply.file(), "disk");
        let mut disk = Disk::of(&file, &supply.path("served"));
        let mounted = Attached::at(&disk.file(), &supply.path("mount"));
        let there = fixture.with_root(&mounted.path().join("root"));
        let record = Record::new();
        record.during("image base", State::Image(Vec::new()), || true);
        record.during("container work", made.clone(), || true);
        thread::scope(|scope| {
            let command = scope.spawn(|| {
                record.during(object, state, || {
                    let ended = background::finish(&mut background::mocker(&there, words));
                    if ended.code != Some(0) {
                        ended.refused();
                    }
                    ended.code == Some(0)
                })
            });
            thread::sleep(Duration::from_millis(delay));
            disk.fail(fault);
            command.join().expect("the command failed badly");
        });
        disk.heal();
        mounted.detach();
        drop(disk);
        look(fixture, &supply, &file, &record.possible(record.len(), record.len(), &State::Absent));
    }
}
