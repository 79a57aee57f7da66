//! Damages what the kernel answers to searches, and looks for changes all the
//! same: that must be an error or an answer, in bounded time and memory.
//!
//! `trees.bin` holds the items of two trees, read off a btrfs (see [`record`]).
//! They are handed out as the kernel would, with some bytes changed. `make fuzz`
//! goes on for ten minutes; what fails is told with its seed.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::changes;
use crate::search::{Search, Source, u32_at, u64_at};
use crate::sys::{Answer, ROOM, SearchKey, SubvolumeInfo};

mod sys;

/// How long to go on, in seconds.
const SECONDS: &str = "MOCKER_FUZZ_SECONDS";
const USUALLY: u64 = 2;

/// More searches than this for two trees of a few hundred items go on for ever.
const MOST_SEARCHES: usize = 20_000;

/// Memory that any two trees take, for the room of five searches, and for each
/// byte that was answered: a name can be part of the path of what is beneath it.
const LEAST_MEMORY: usize = 1 << 20;
const MEMORY_FOR_EACH: usize = 32;

static TREES: &[u8] = include_bytes!("fuzz/trees.bin");

/// An item, with the header that the kernel puts before it, and the number of
/// its tree.
#[derive(Clone)]
struct Recorded {
    tree: u64,
    key: (u64, u32, u64),
    transid: u64,
    bytes: Vec<u8>,
}

/// The items of `trees.bin`: the number of a tree, then a header and its item.
fn recorded() -> (Vec<Recorded>, [SubvolumeInfo; 2]) {
    let number = |at: usize| u64_at(TREES, at).unwrap();
    let info = |at: usize| SubvolumeInfo {
        id: number(at),
        otransid: number(at + 8),
        uuid: [TREES[at + 16]; 16],
        parent_uuid: [TREES[at + 17]; 16],
        read_only: true,
    };
    let trees = [info(0), info(18)];
    let mut items = Vec::new();
    let mut at = 36;
    while at < TREES.len() {
        let header = at + 8;
        let length = usize::try_from(u32_at(TREES, header + 28).unwrap()).unwrap();
        let end = header + 32 + length;
        items.push(Recorded {
            tree: number(at),
            key: (number(header + 8), u32_at(TREES, header + 24).unwrap(), number(header + 16)),
            transid: number(header),
            bytes: TREES[header..end].to_vec(),
        });
        at = end;
    }
    (items, trees)
}

/// Answers like the kernel, and not always.
struct Damaged<'a> {
    items: &'a [Recorded],
    random: RefCell<Rng>,
    /// One answer in so many is damaged; 0 means none.
    rarely: u32,
    searches: Cell<usize>,
    answered: Cell<usize>,
}

impl<'a> Damaged<'a> {
    fn new(items: &'a [Recorded], seed: u64, rarely: u32) -> Self {
        let random = RefCell::new(Rng::with_seed(seed));
        Self { items, random, rarely, searches: Cell::new(0), answered: Cell::new(0) }
    }
}

impl Source for Damaged<'_> {
    fn answer(&self, key: &SearchKey, answer: &mut Answer) -> io::Result<()> {
        self.searches.set(self.searches.get() + 1);
        assert!(self.searches.get() < MOST_SEARCHES, "it searches for ever");
        let first = (key.objects.0, key.types.0, key.offsets.0);
        let last = (key.objects.1, key.types.1, key.offsets.1);
        let is_wanted = |item: &&Recorded| {
            item.tree == key.tree && (first..=last).contains(&item.key) && item.transid >= key.min_transid
        };
        let mut random = self.random.borrow_mut();
        // Less room makes more answers.
        let room = if random.bool() { ROOM } else { random.usize(1..5000) };
        let mut bytes = Vec::new();
        let mut count = 0;
        for item in self.items.iter().filter(is_wanted) {
            if count > 0 && bytes.len() + item.bytes.len() > room {
                break;
            }
            bytes.extend_from_slice(&item.bytes);
            count += 1;
        }
        if self.rarely > 0 && random.u32(0..self.rarely) == 0 {
            damage(&mut random, &mut count, &mut bytes);
        }
        self.answered.set(self.answered.get() + bytes.len());
        answer.fill(count, &bytes);
        Ok(())
    }
}

fn damage(random: &mut Rng, count: &mut u32, bytes: &mut Vec<u8>) {
    const NUMBERS: [u64; 10] =
        [0, 1, 2, 255, 256, u16::MAX as u64, u32::MAX as u64, i64::MAX as u64, u64::MAX - 1, u64::MAX];
    for _ in 0..random.usize(1..4) {
        if bytes.is_empty() {
            bytes.resize(random.usize(0..200), random.u8(..));
            *count = random.u32(0..4);
            continue;
        }
        let at = random.usize(0..bytes.len());
        match random.u32(0..8) {
            0 => bytes[at] ^= 1 << random.u32(0..8),
            1 => bytes[at] = random.u8(..),
            2..5 => {
                let number = random.choice(NUMBERS).unwrap_or(0).to_le_bytes();
                let length = [2, 4, 8][random.usize(0..3)].min(bytes.len() - at);
                bytes[at..at + length].copy_from_slice(&number[..length]);
            }
            5 => bytes.truncate(at),
            6 => {
                let other = random.usize(0..bytes.len());
                let length = random.usize(0..100).min(bytes.len() - at.max(other));
                bytes.copy_within(other..other + length, at);
            }
            _ => *count = if random.bool() { random.u32(..) } else { random.u32(0..20) },
        }
    }
    bytes.truncate(ROOM);
}

/// Tells the seed of what fails.
struct Telling(u64);

impl Drop for Telling {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

fn play(items: &[Recorded], trees: &[SubvolumeInfo; 2], seed: u64) -> bool {
    let _telling = Telling(seed);
    let mut random = Rng::with_seed(seed);
    let source = Damaged::new(items, seed, random.u32(1..30));
    let mut trees = *trees;
    if random.bool() {
        // As if one was made of the other.
        trees[0].parent_uuid = trees[1].uuid;
    }
    sys::begin();
    let found = changes::find(&source, &trees[0], &trees[1]);
    let most = sys::most();
    let bound = LEAST_MEMORY + MEMORY_FOR_EACH * source.answered.get();
    assert!(most <= bound, "{most} bytes for {} that were answered", source.answered.get());
    for candidate in found.iter().flatten().flatten() {
        let is_path = candidate.path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        assert!(is_path, "{candidate:?}");
    }
    found.is_ok()
}

#[test]
fn what_is_damaged_is_an_error_or_an_answer() {
    let seconds = std::env::var(SECONDS).ok().and_then(|value| value.parse().ok()).unwrap_or(USUALLY);
    let (items, trees) = recorded();
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut seed, mut answered) = (0, 0_u64);
    while Instant::now() < until {
        answered += u64::from(play(&items, &trees, seed));
        seed += 1;
    }
    eprintln!("{seed} damaged trees in {seconds} s, of which {answered} had an answer");
    assert!(answered > 0 && answered < seed, "{answered} of {seed} had an answer");
}

#[test]
fn what_is_not_damaged_is_answered_whatever_the_room() {
    let (items, trees) = recorded();
    let find = |seed| {
        let mut found = changes::find(&Damaged::new(&items, seed, 0), &trees[0], &trees[1]).unwrap().unwrap();
        found.sort_unstable();
        found
    };
    let expected = find(0);
    assert!(expected.len() > 30, "{expected:?}");
    assert!((1..50).all(|seed| find(seed) == expected));
}

/// Hands on what the kernel answers, and writes it down.
struct Recording<'a> {
    top: BorrowedFd<'a>,
    tree: u64,
    written: RefCell<Vec<u8>>,
}

impl Source for Recording<'_> {
    fn answer(&self, key: &SearchKey, answer: &mut Answer) -> io::Result<()> {
        self.top.answer(key, answer)?;
        let mut at = 0;
        for _ in 0..answer.count() {
            let end = at + 32 + usize::try_from(u32_at(answer.bytes(), at + 28).unwrap()).unwrap();
            let mut written = self.written.borrow_mut();
            written.extend(self.tree.to_le_bytes());
            written.extend(&answer.bytes()[at..end]);
            at = end;
        }
        Ok(())
    }
}

/// Writes `trees.bin` anew; `fuzz/trees.sh` makes the two trees and calls it.
#[test]
#[ignore = "needs two subvolumes"]
fn record() {
    let paths = std::env::var("MOCKER_FUZZ_TREES").unwrap();
    let paths: Vec<_> = paths.split(':').collect();
    let tops = [0, 1].map(|at: usize| std::fs::File::open(paths[at]).unwrap());
    let infos = tops.each_ref().map(|top| crate::sys::subvolume_info(top.as_fd()).unwrap());
    let mut written = Vec::new();
    for info in &infos {
        written.extend(info.id.to_le_bytes());
        written.extend(info.otransid.to_le_bytes());
        written.extend([info.uuid[0], info.parent_uuid[0]]);
    }
    for (info, top) in infos.iter().zip(&tops) {
        let source = Recording { top: top.as_fd(), tree: info.id, written: RefCell::new(written) };
        let key = SearchKey {
            tree: info.id,
            objects: (0, u64::MAX),
            types: (0, 255),
            offsets: (0, u64::MAX),
            min_transid: 0,
        };
        let mut search = Search::new(&source, key);
        while search.next().unwrap().is_some() {}
        written = source.written.into_inner();
    }
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/fuzz/trees.bin"), written).unwrap();
}
