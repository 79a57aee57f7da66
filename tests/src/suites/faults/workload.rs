//! What goes on while a fault comes: images and containers are made, named,
//! committed and removed, by a seed, and the record is kept.

use fastrand::Rng;

use crate::call::Output;
use crate::faults::Record;
use crate::fixture::Fixture;

/// How many images and containers a worker keeps at most.
const KEPT: usize = 4;

/// What an object can be after a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It is not there.
    Absent,
    /// An image of the small root file system, with what these numbers stand
    /// for in it.
    Image(Vec<u32>),
    /// A container over such an image, whose command made one thing more; that
    /// is on the disk for good where the command saw to it.
    Container { over: Vec<u32>, made: u32, flushed: bool },
}

/// The command that makes what a number stands for.
pub(super) fn script(number: u32) -> String {
    format!(
        "mkdir -p /made; echo {number} > /made/{number}.small; yes {number} | head -n {LINES} > /made/{number}"
    )
}

const LINES: usize = 30_000;

/// What a number stands for: files and their bytes.
pub(super) fn files(number: u32) -> [(String, String); 2] {
    let line = format!("{number}\n");
    [(format!("./made/{number}.small"), line.clone()), (format!("./made/{number}"), line.repeat(LINES))]
}

/// One who gives commands, one after another.
pub(super) struct Worker<'a> {
    fixture: &'a Fixture,
    record: &'a Record<State>,
    /// Makes its names differ from those of others.
    name: char,
    random: Rng,
    next: u32,
    images: Vec<(String, Vec<u32>)>,
    containers: Vec<(String, Vec<u32>, u32)>,
}

/// The image that all workers begin with.
pub(super) const BASE: &str = "base";

/// Makes it.
pub(super) fn begin(fixture: &Fixture, record: &Record<State>) -> Result<(), Output> {
    let source = fixture.rootfs();
    let words = ["init", "--name", BASE, source.to_str().unwrap()];
    perform(fixture, record, Some(("image base", State::Image(Vec::new()))), &words)
}

fn perform(
    fixture: &Fixture,
    record: &Record<State>,
    becomes: Option<(&str, State)>,
    words: &[&str],
) -> Result<(), Output> {
    let mut output = None;
    let mut act = || output.insert(fixture.mocker(words).run()).code == 0;
    let returned = match becomes {
        Some((object, state)) => record.during(object, state, act),
        None => act(),
    };
    if returned { Ok(()) } else { Err(output.unwrap()) }
}

impl<'a> Worker<'a> {
    pub(super) fn new(fixture: &'a Fixture, record: &'a Record<State>, name: char, seed: u64) -> Self {
        let images = vec![(BASE.to_owned(), Vec::new())];
        // Numbers differ between workers too, or one could take the other's file for its own.
        let next = u32::from(name) * 10_000;
        Self { fixture, record, name, random: Rng::with_seed(seed), next, images, containers: Vec::new() }
    }

    /// Gives one command. It must succeed, unless there is a fault.
    pub(super) fn step(&mut self) -> Result<(), Output> {
        if self.images.len() > KEPT {
            // Never the one that all begin with.
            let (name, _) = self.images.remove(self.random.usize(1..KEPT));
            return self.perform(Some((&format!("image {name}"), State::Absent)), &["rm", &name]);
        }
        if self.containers.len() > KEPT {
            let (name, ..) = self.containers.remove(self.random.usize(..KEPT));
            return self.perform(Some((&format!("container {name}"), State::Absent)), &["rm", &name]);
        }
        match self.random.u32(..10) {
            0..3 => self.run(),
            3..7 => self.commit(),
            7 => {
                let (source, files) = self.any_image();
                let name = self.fresh('t');
                self.image(name.clone(), files, &["tag", &source, &name])
            }
            8 => {
                let source = self.fixture.rootfs();
                let name = self.fresh('i');
                self.image(name.clone(), Vec::new(), &["init", "--name", &name, source.to_str().unwrap()])
            }
            _ => {
                let (image, _) = self.any_image();
                self.perform(None, &["run", "--rm", &image, "sh", "-c", "echo nothing > /lost"])
            }
        }
    }

    fn run(&mut self) -> Result<(), Output> {
        let (image, over) = self.any_image();
        let name = self.fresh('w');
        let (made, flushed) = (self.next, self.random.bool());
        let script = script(made) + if flushed { "; sync" } else { "" };
        let state = State::Container { over: over.clone(), made, flushed };
        let words = ["run", "--name", &name, &image, "sh", "-c", &script];
        self.perform(Some((&format!("container {name}"), state)), &words)?;
        self.containers.push((name, over, made));
        Ok(())
    }

    /// As a new image, or as a new version of one.
    fn commit(&mut self) -> Result<(), Output> {
        if self.containers.is_empty() {
            return self.run();
        }
        let (container, over, made) = self.containers[self.random.usize(..self.containers.len())].clone();
        let files = [over, vec![made]].concat();
        let own = self.images.len() - 1;
        let name = match self.random.bool() && own > 0 {
            true => self.images.remove(1 + self.random.usize(..own)).0,
            false => self.fresh('c'),
        };
        self.image(name.clone(), files, &["commit", &container, &name])
    }

    fn image(&mut self, name: String, files: Vec<u32>, words: &[&str]) -> Result<(), Output> {
        self.perform(Some((&format!("image {name}"), State::Image(files.clone()))), words)?;
        self.images.push((name, files));
        Ok(())
    }

    fn any_image(&mut self) -> (String, Vec<u32>) {
        self.images[self.random.usize(..self.images.len())].clone()
    }

    fn fresh(&mut self, kind: char) -> String {
        self.next += 1;
        format!("{}{kind}{}", self.name, self.next)
    }

    fn perform(&self, becomes: Option<(&str, State)>, words: &[&str]) -> Result<(), Output> {
        perform(self.fixture, self.record, becomes, words)
    }
}
