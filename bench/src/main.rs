//! `mocker-bench`: mocker timed beside its peers, in one run.
//!
//! `workloads/` says what is measured, `arena.rs` makes the file system that it
//! is measured on, `sampling.rs` takes the samples, `statistics.rs` and
//! `report.rs` say what came out. It is a benchmark and not a test: the exit
//! status is 0 whatever the ratios are, and 1 when something could not run.

mod arena;
mod failure;
mod manifest;
mod mocker;
mod process;
mod programs;
mod report;
mod sampling;
mod statistics;
mod tree;
mod workloads;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use fastrand::Rng;

use crate::arena::Arena;
use crate::failure::{During, Failure, Result, ensure};
use crate::mocker::Mocker;
use crate::programs::Programs;
use crate::report::Report;
use crate::workloads::{ALL, Bed, IMAGE, measure_child, measure_memory};

/// Samples of a quick run.
const QUICK: usize = 3;

/// The row that is no comparison.
const MEMORY: &str = "memory";

/// Measure mocker beside btrfs-progs, bubblewrap, crun and cp
#[derive(Debug, Parser)]
#[command(name = "mocker-bench", version)]
struct Args {
    /// The program to measure, built for release
    #[arg(long, value_name = "FILE", default_value = "target/release/mocker")]
    mocker: PathBuf,

    /// A root file system to make images of, such as debootstrap makes [default: a synthetic tree
    /// of the same number of entries and sizes]
    #[arg(long, value_name = "DIR")]
    debian: Option<PathBuf>,

    /// Where to make the file systems; nothing stays there
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    scratch: PathBuf,

    /// Pairs of samples in each row
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    samples: u16,

    /// Take 3 samples only: enough to see that everything runs
    #[arg(long, conflicts_with = "samples")]
    quick: bool,

    /// Measure only rows whose name contains this; may be repeated
    #[arg(long, value_name = "NAME")]
    filter: Vec<String>,

    /// Write everything, with every sample, into this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// The seed of what is random, to repeat a run
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Run this command line, and print the peak of its memory in KiB
    #[arg(long, hide = true, num_args = 1.., allow_hyphen_values = true)]
    peak_memory_of: Option<Vec<OsString>>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match &args.peak_memory_of {
        Some(line) => measure_child(line).and_then(|kib| print(&format!("{kib}\n"))),
        None => measure(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(&format!("mocker-bench: {failure}"));
            ExitCode::FAILURE
        }
    }
}

impl Args {
    fn wants(&self, name: &str) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|part| name.contains(part))
    }
}

/// Makes the arena, measures in it, and takes it away whatever happened.
fn measure(args: &Args) -> Result<()> {
    ensure(rustix::process::geteuid().is_root(), || {
        "mounting and making containers needs root: run it as root".to_owned()
    })?;
    let mocker = std::path::absolute(&args.mocker).during("find the program to measure")?;
    ensure(programs::is_program(&mocker), || {
        format!("there is no program '{}': build it with 'make build'", mocker.display())
    })?;
    let anything = ALL.iter().map(|workload| workload.name).chain([MEMORY]).any(|name| args.wants(name));
    ensure(anything, || format!("no row is called like {:?}", args.filter))?;
    let programs = Programs::find()?;
    let arena = Arena::make(&programs, &args.scratch)?;
    let mocker = Mocker::new(mocker, arena.root(), "btrfs");
    let measured = measure_in(args, &arena, &programs, &mocker);
    match (measured, arena.close()) {
        (Err(failure), Err(other)) => Err(Failure::new(format!("{failure}\n  also: {other}"))),
        (measured, closed) => measured.and(closed),
    }
}

fn measure_in(args: &Args, arena: &Arena<'_>, programs: &Programs, mocker: &Mocker) -> Result<()> {
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    let mut rng = Rng::with_seed(seed);
    let samples = if args.quick { QUICK } else { args.samples.into() };

    note("preparing the trees and the image");
    let bed = Bed {
        arena,
        programs,
        mocker,
        overlay: mocker.on(arena.overlay_root(), "overlay"),
        host_source: arena.host().join("source"),
        pool_source: arena.top().join("source"),
    };
    match &args.debian {
        Some(directory) => tree::copy(programs, directory, &bed.host_source)?,
        None => tree::make(programs, &bed.host_source)?,
    }
    tree::copy(programs, &bed.host_source, &bed.pool_source)?;
    mocker.init(&bed.pool_source, IMAGE)?;
    bed.overlay.init(&bed.host_source, IMAGE)?;

    let shown = args.debian.as_ref().map_or("synthetic".to_owned(), |path| path.display().to_string());
    let extent = tree::extent(&bed.host_source)?;
    let environment = manifest::gather(programs, mocker, &arena.top(), &shown, extent)?;
    let mut report = Report { seed, environment, rows: Vec::new(), peaks: Vec::new() };
    let mut failures = Vec::new();
    for workload in ALL.iter().filter(|workload| args.wants(workload.name)) {
        if workload.wants_podman && programs.podman.is_none() {
            note(&format!("leaving {} out: podman is not installed", workload.name));
            continue;
        }
        note(&format!("measuring {}: {samples} pairs", workload.name));
        match workload.measure(&bed, samples, &mut rng) {
            Ok(row) => report.rows.push(row),
            Err(failure) => failures.push(format!("{}: {failure}", workload.name)),
        }
    }
    if args.wants(MEMORY) {
        note("measuring memory");
        match measure_memory(&bed, samples) {
            Ok(peaks) => report.peaks = peaks,
            Err(failure) => failures.push(format!("{MEMORY}: {failure}")),
        }
    }
    report.environment.push(("load at the end", manifest::load()?));
    print(&report.shown())?;
    if let Some(path) = &args.json {
        report.save(path)?;
    }
    ensure(failures.is_empty(), || format!("could not be measured:\n  {}", failures.join("\n  ")))
}

fn print(text: &str) -> Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).during("print")
}

/// Says on stderr what goes on.
#[expect(clippy::print_stderr, reason = "the one place that does")]
fn note(text: &str) {
    eprintln!("{text}");
}
