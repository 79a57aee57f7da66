//! Overlays: `run --rm` beside crun alone on a tree that is ready, `commit`
//! beside the flush that it has to wait for, and chains of 50 layers beside one.

use std::path::PathBuf;
use std::process::Command;

use fastrand::Rng;

use super::run::{Run, container_name, make_bundle};
use super::{Bed, IMAGE, Sides};
use crate::arena::Sight;
use crate::failure::{During, Result, ensure};
use crate::mocker::Mocker;
use crate::process::command;
use crate::sampling::Side;
use crate::tree;

/// An image of so many layers.
const DEEP: &str = "deep";
const DEPTH: u64 = 50;

/// MiB of zeros, which take blocks on ext4 like anything else.
const LARGE: u64 = 1000;

/// With everything that a run has by default: a container of its own, its
/// record, its log, its control group, and their removal.
pub(super) fn run<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    beside_crun(bed, "ready", true)
}

/// As [`run`], with a crun that makes no control group: where only the first
/// version of those is left for it, making one takes it most of its time.
pub(super) fn run_beside_bare<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    beside_crun(bed, "ready-bare", false)
}

fn beside_crun<'a>(bed: &'a Bed<'a>, name: &str, with_group: bool) -> Result<Sides<'a>> {
    let ready = bed.arena.overlay_top().join(name);
    tree::copy(bed.programs, &bed.host_source, &ready)?;
    let bundle = make_bundle(bed, &format!("bundle-{name}"), &ready)?;
    Ok((Box::new(Run::new(&bed.overlay, IMAGE)?), Box::new(Crun { bed, bundle, with_group })))
}

pub(super) fn commit<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    let flush = Flush { bed, file: bed.arena.overlay_top().join("flushed"), number: 0 };
    Ok((Box::new(Commit::new(&bed.overlay, IMAGE, "shallow")?), Box::new(flush)))
}

pub(super) fn deep_run<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    make_deep(bed)?;
    Ok((Box::new(Run::new(&bed.overlay, DEEP)?), Box::new(Run::new(&bed.overlay, IMAGE)?)))
}

pub(super) fn deep_commit<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    make_deep(bed)?;
    let deep = Commit::new(&bed.overlay, DEEP, "deep-work")?;
    Ok((Box::new(deep), Box::new(Commit::new(&bed.overlay, IMAGE, "flat-work")?)))
}

/// Makes the image of many layers, each with a file of its own, where it is
/// missing.
fn make_deep(bed: &Bed<'_>) -> Result<()> {
    let mocker = &bed.overlay;
    if mocker.layer(DEEP).is_ok() {
        return Ok(());
    }
    for number in 1..DEPTH {
        let image = if number == 1 { IMAGE } else { DEEP };
        mocker.ask([
            "run",
            "--name",
            "growing",
            image,
            "sh",
            "-c",
            &format!("echo {number} > /layer-{number}"),
        ])?;
        mocker.ask(["commit", "-q", "growing", DEEP])?;
        mocker.ask(["rm", "growing"])?;
    }
    Ok(())
}

/// Ours on both sides: with and without 1000 MiB that were changed and synced.
pub(super) fn large_commit<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    let large = Commit { mebibytes: LARGE, ..Commit::new(&bed.overlay, IMAGE, "large-work")? };
    Ok((Box::new(large), Box::new(Commit::new(&bed.overlay, IMAGE, "small-work")?)))
}

/// `mocker commit` of a stopped container onto its image, after a small change
/// and perhaps a large one.
pub(super) struct Commit<'a> {
    mocker: &'a Mocker,
    image: &'static str,
    container: &'static str,
    mebibytes: u64,
    number: u64,
}

impl<'a> Commit<'a> {
    pub(super) fn new(mocker: &'a Mocker, image: &'static str, container: &'static str) -> Result<Self> {
        Ok(Self { mocker, image, container, mebibytes: 0, number: 0 })
    }
}

impl Side for Commit<'_> {
    fn label(&self) -> &'static str {
        match (self.mebibytes, self.image) {
            (0, IMAGE) => "mocker commit",
            (0, _) => "mocker commit, of a container of DEEP-IMAGE",
            (_, _) => "mocker commit, 1000 MiB more changed and synced",
        }
    }

    fn set_up(&mut self) -> Result<()> {
        self.number += 1;
        let change = format!(
            "echo {} > /etc/mocker-bench-small; busybox dd if=/dev/zero of=/large bs=1M count={} 2>/dev/null; busybox sync",
            self.number, self.mebibytes
        );
        self.mocker.ask(["run", "--name", self.container, self.image, "sh", "-c", &change]).map(drop)
    }

    fn command(&self) -> Command {
        self.mocker.command(["commit", "-q", self.container])
    }

    fn check(&mut self, said: &str) -> Result<()> {
        let file = self.mocker.layer(said.trim())?.join("etc/mocker-bench-small");
        let found = std::fs::read_to_string(&file).during(format_args!("read '{}'", file.display()))?;
        ensure(found.trim() == self.number.to_string(), || "the image lacks the last change".to_owned())?;
        self.mocker.ask(["rm", "--wait", self.container, said.trim()]).map(drop)
    }
}

/// `crun run` of a tree that is there.
struct Crun<'a> {
    bed: &'a Bed<'a>,
    bundle: PathBuf,
    with_group: bool,
}

impl Side for Crun<'_> {
    fn label(&self) -> &'static str {
        if self.with_group {
            "crun run true, in a tree that is ready"
        } else {
            "crun run true, in a tree that is ready, without a control group"
        }
    }

    fn sight(&self) -> Sight {
        Sight::OneCgroupVersion
    }

    fn command(&self) -> Command {
        let manager = if self.with_group { "cgroupfs" } else { "disabled" };
        let mut call = command(&self.bed.programs.crun, ["--cgroup-manager", manager, "run", "--bundle"]);
        call.arg(&self.bundle).arg(container_name());
        call
    }

    fn check(&mut self, _said: &str) -> Result<()> {
        Ok(())
    }
}

/// `sync -f` after a small change of a file of its own.
struct Flush<'a> {
    bed: &'a Bed<'a>,
    file: PathBuf,
    number: u64,
}

impl Side for Flush<'_> {
    fn label(&self) -> &'static str {
        "sync -f, after as small a change"
    }

    fn touch(&mut self) -> Result<()> {
        self.number += 1;
        std::fs::write(&self.file, self.number.to_string()).during("change a file")
    }

    fn command(&self) -> Command {
        let mut call = command(&self.bed.programs.sync, ["-f"]);
        call.arg(&self.file);
        call
    }

    fn check(&mut self, _said: &str) -> Result<()> {
        Ok(())
    }
}
