//! N3: eight processes do everything at once for half a minute.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::fixture::Fixture;
use crate::harness::Case;

use crate::suites::background::{self, End};

pub(super) fn cases() -> Vec<Case> {
    vec![Case { name: "n3_eight_processes_do_everything_at_once", run: storm, alone: true }]
}

const WORKERS: usize = 8;

/// How long it lasts, in seconds, unless `MOCKER_TEST_STORM_SECONDS` says so.
const SECONDS: u64 = 30;

/// What must succeed in so long at the least.
const SUCCESSES: u64 = 60;

/// Images and containers that all workers work on.
const SHARED: usize = 3;

/// How a command on something shared may be refused, each with all its words.
const REFUSALS: [&[&str]; 8] = [
    &["is held by 'mocker ", "' (process "],
    &["No image named '", "' exists"],
    &["No container named '", "' exists"],
    &["No container or image named '", "' exists"],
    &["a container named '", "' exists"],
    &["container ps_", " is running (process "],
    &["container ps_", "just starting"],
    &["cannot commit container ps_", "it ended just now"],
];

fn storm(fixture: &Fixture) {
    let seconds = std::env::var("MOCKER_TEST_STORM_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let source = fixture.rootfs();
    let until = Instant::now() + Duration::from_secs(seconds);
    let workers: Vec<_> = std::thread::scope(|scope| {
        let start = |number| {
            let mut worker = Worker::new(number, fixture, &source);
            scope.spawn(move || {
                while Instant::now() < until {
                    worker.round();
                }
                worker
            })
        };
        let threads: Vec<_> = (0..WORKERS).map(start).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        threads.into_iter().map(join).collect()
    });

    fixture.assert_consistent();
    workers.iter().for_each(Worker::check);
    let successes: u64 = workers.iter().map(|worker| worker.successes).sum();
    let mut refusals: BTreeMap<&str, u64> = BTreeMap::new();
    for (words, count) in workers.iter().flat_map(|worker| &worker.refusals) {
        *refusals.entry(words).or_default() += count;
    }
    let least = SUCCESSES * seconds / SECONDS;
    assert!(
        successes >= least,
        "{successes} commands succeeded in {seconds} s, and {refusals:?} were refused"
    );
}

/// One of those who work at once. It knows what its own image must hold.
struct Worker<'a> {
    fixture: &'a Fixture,
    source: &'a str,
    image: String,
    container: String,
    random: u64,
    rounds: u64,
    versions: u64,
    successes: u64,
    refusals: BTreeMap<&'static str, u64>,
}

impl<'a> Worker<'a> {
    fn new(number: usize, fixture: &'a Fixture, source: &'a Path) -> Self {
        Self {
            fixture,
            source: source.to_str().unwrap(),
            image: format!("own{number}"),
            container: format!("work{number}"),
            // Any number but 0 will do (xorshift).
            random: 0x9e37_79b9_7f4a_7c15 ^ number as u64,
            rounds: 0,
            versions: 0,
            successes: 0,
            refusals: BTreeMap::new(),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random % bound as u64).unwrap()
    }

    fn round(&mut self) {
        self.rounds += 1;
        if self.versions == 0 {
            self.own(&["init", "--name", &self.image.clone(), self.source]);
            self.versions = 1;
        }
        self.change_own_image();
        for _ in 0..3 {
            self.work_on_shared_things();
        }
        if self.rounds.is_multiple_of(7) {
            self.own(&["rm", &self.image.clone()]);
            self.versions = 0;
        }
    }

    /// Nobody else knows these objects, so nothing may fail.
    fn change_own_image(&mut self) {
        let (image, container, stamp) = (self.image.clone(), self.container.clone(), self.rounds.to_string());
        self.own(&["run", "--name", &container, &image, "sh", "-c", &format!("echo {stamp} > /stamp")]);
        let changed = self.own(&["diff", &container]);
        assert!(["A /stamp", "C /stamp"].contains(&changed.lines().last().unwrap_or_default()), "{changed}");
        self.own(&["commit", &container, &image]);
        assert_eq!(self.own(&["diff", &image, &container]), "");
        self.versions += 1;
        assert_eq!(self.own(&["run", "--rm", &image, "cat", "/stamp"]), stamp);
        self.own(&["rm", &container]);
    }

    #[track_caller]
    fn own(&mut self, words: &[&str]) -> String {
        let ended = self.run(words);
        self.successes += 1;
        ended.ok()
    }

    /// Whoever comes second is told who was first, or that it is gone.
    fn work_on_shared_things(&mut self) {
        let number = self.below(SHARED);
        let (image, guest) = (format!("shared{number}"), format!("guest{number}"));
        let (source, own) = (self.source, self.image.clone());
        let actions: [&[&str]; 13] = [
            &["init", "--name", &image, source],
            &["run", "--name", &guest, &image, "sh", "-c", "echo guest > /guest"],
            &["run", "--rm", &image, "true"],
            &["start", &guest],
            &["commit", &guest, &image],
            &["tag", &own, &image],
            &["rm", &guest],
            &["rm", &image],
            &["diff", &guest],
            &["diff", &image],
            &["ps"],
            &["images"],
            // What the others are at is nothing that is wrong.
            &["check"],
        ];
        let words = actions[self.below(actions.len())];
        let ended = self.run(words);
        if ended.code == Some(0) {
            self.successes += 1;
            return;
        }
        let said = ended.refused();
        let known = REFUSALS.iter().find(|words| words.iter().all(|word| said.contains(word)));
        let Some([first, ..]) = known else { panic!("mocker {words:?} was refused: {said}") };
        *self.refusals.entry(first).or_default() += 1;
    }

    fn run(&self, words: &[&str]) -> End {
        let ended = background::run(self.fixture, words);
        ended.clear();
        ended
    }

    /// What the worker's own image is in the end.
    fn check(&self) {
        let named = format!("{}:latest", self.image);
        let own = self.fixture.record(&named);
        assert_eq!(
            own.map_or(0, |own| own["versions"].as_u64().unwrap()),
            self.versions,
            "versions of {named}"
        );
        if self.versions > 1 {
            assert_eq!(
                self.run(&["run", "--rm", &self.image, "cat", "/stamp"]).ok(),
                self.rounds.to_string()
            );
        }
    }
}
