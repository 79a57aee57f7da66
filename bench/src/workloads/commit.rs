//! Commits, beside a read-only snapshot made by the btrfs program.
//!
//! Both sides face the same: before each sample a small file in the work area
//! is rewritten, and not synced.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use fastrand::Rng;

use super::{Bed, Sides};
use crate::failure::{During, Result, ensure};
use crate::process::command;
use crate::sampling::Side;
use crate::tree::write_noise;

const SMALL_FILE: &str = "etc/mocker-bench-small";
const SMALL: u64 = 4 << 10;

const LARGE_FILE: &str = "etc/mocker-bench-large";
const LARGE: u64 = 256 << 20;

/// The small change, before both sides.
pub(super) fn small<'a>(bed: &'a Bed<'a>, mut rng: Rng) -> Result<Sides<'a>> {
    let work = bed.container("commit-small")?;
    let ours = Commit::new(bed, "commit-small", work.clone(), false, rng.fork());
    Ok((Box::new(ours), Box::new(Snapshot::new(bed, work, rng))))
}

/// Ours on both sides: with and without 256 MiB that were changed and synced
/// before the small change.
pub(super) fn large<'a>(bed: &'a Bed<'a>, mut rng: Rng) -> Result<Sides<'a>> {
    let (with, without) = ("commit-large", "commit-plain");
    let large = Commit::new(bed, with, bed.container(with)?, true, rng.fork());
    let small = Commit::new(bed, without, bed.container(without)?, false, rng);
    Ok((Box::new(large), Box::new(small)))
}

/// The peer on both sides.
pub(super) fn noise<'a>(bed: &'a Bed<'a>, mut rng: Rng) -> Result<Sides<'a>> {
    let work = bed.container("noise")?;
    let one = Snapshot::new(bed, work.clone(), rng.fork());
    Ok((Box::new(one), Box::new(Snapshot::new(bed, work, rng))))
}

/// Rewrites the small file with bytes that it never had.
fn change_small(work: &Path, rng: &mut Rng) -> Result<()> {
    write_noise(&work.join(SMALL_FILE), SMALL, rng).during("change the small file")
}

/// Whether a snapshot of `work` has what was written there last.
fn check_same(work: &Path, snapshot: &Path) -> Result<()> {
    let read = |top: &Path| {
        let path = top.join(SMALL_FILE);
        std::fs::read(&path).during(format_args!("read '{}'", path.display()))
    };
    let there = read(snapshot)? == read(work)?;
    ensure(there, || format!("the snapshot '{}' lacks the last change", snapshot.display()))
}

/// `mocker commit`.
struct Commit<'a> {
    bed: &'a Bed<'a>,
    container: &'static str,
    work: PathBuf,
    large: bool,
    rng: Rng,
}

impl<'a> Commit<'a> {
    fn new(bed: &'a Bed<'a>, container: &'static str, work: PathBuf, large: bool, rng: Rng) -> Self {
        Self { bed, container, work, large, rng }
    }

    fn change_large(&mut self) -> Result<()> {
        let path = self.work.join(LARGE_FILE);
        let mut write = || {
            write_noise(&path, LARGE, &mut self.rng)?;
            rustix::fs::syncfs(File::open(&path)?)?;
            Ok::<_, std::io::Error>(())
        };
        write().during("change the large file")
    }
}

impl Side for Commit<'_> {
    fn label(&self) -> &'static str {
        if self.large { "mocker commit, 256 MiB more changed and synced" } else { "mocker commit" }
    }

    fn touch(&mut self) -> Result<()> {
        if self.large {
            self.change_large()?;
        }
        change_small(&self.work, &mut self.rng)
    }

    fn command(&self) -> Command {
        self.bed.mocker.command(["commit", "-q", self.container])
    }

    fn check(&mut self, said: &str) -> Result<()> {
        let image = said.trim();
        let layer = self.bed.mocker.layer(image)?;
        check_same(&self.work, &layer)?;
        if self.large {
            let length = layer.join(LARGE_FILE).metadata().during("look at the large file")?.len();
            ensure(length == LARGE, || format!("the large file has {length} bytes in the image"))?;
        }
        self.bed.mocker.ask(["rm", image]).map(drop)
    }
}

/// `btrfs subvolume snapshot -r`.
struct Snapshot<'a> {
    bed: &'a Bed<'a>,
    work: PathBuf,
    rng: Rng,
    to: PathBuf,
}

impl<'a> Snapshot<'a> {
    fn new(bed: &'a Bed<'a>, work: PathBuf, rng: Rng) -> Self {
        Self { bed, work, rng, to: PathBuf::new() }
    }
}

impl Side for Snapshot<'_> {
    fn label(&self) -> &'static str {
        "btrfs subvolume snapshot -r"
    }

    fn set_up(&mut self) -> Result<()> {
        self.to = self.bed.peer_directory()?.join("fs");
        Ok(())
    }

    fn touch(&mut self) -> Result<()> {
        change_small(&self.work, &mut self.rng)
    }

    fn command(&self) -> Command {
        let mut call = command(&self.bed.programs.btrfs, ["subvolume", "snapshot", "-r"]);
        call.args([&self.work, &self.to]);
        call
    }

    fn check(&mut self, _said: &str) -> Result<()> {
        check_same(&self.work, &self.to)?;
        self.bed.remove_peer(&self.to)
    }
}
