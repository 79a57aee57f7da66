//! `run --rm` and `commit` on overlays, beside podman on the same file system.

use std::path::PathBuf;
use std::process::Command;

use fastrand::Rng;

use super::overlay::Commit;
use super::run::Run;
use super::{Bed, IMAGE, Sides};
use crate::arena::Sight;
use crate::failure::{Failure, Result};
use crate::process::{self, command};
use crate::sampling::Side;

/// What podman needs not: limits that it may not be allowed to raise, a network
/// of its own, and control groups, whose two versions it cannot have at once.
const RUN: [&str; 7] = [
    "run",
    "--network=host",
    "--cgroups=disabled",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
    "--pull=never",
    "--quiet",
];

pub(super) fn run<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    let podman = Podman::with_image(bed)?;
    Ok((Box::new(Run::new(&bed.overlay, IMAGE)?), Box::new(PodmanRun(podman))))
}

pub(super) fn commit<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    let podman = Podman::with_image(bed)?;
    let ours = Commit::new(&bed.overlay, IMAGE, "beside-podman")?;
    Ok((Box::new(ours), Box::new(PodmanCommit { podman, number: 0 })))
}

/// Podman with a store of its own.
struct Podman<'a> {
    bed: &'a Bed<'a>,
    program: PathBuf,
}

impl<'a> Podman<'a> {
    /// Imports the tree as an image, where that was not done yet.
    fn with_image(bed: &'a Bed<'a>) -> Result<Self> {
        let missing = || Failure::new("podman is not installed");
        let podman = Self { bed, program: bed.programs.podman.clone().ok_or_else(missing)? };
        if podman.ask(&["image", "exists", IMAGE]).is_err() {
            let archive = bed.arena.overlay_top().join("tree.tar");
            let shell = &bed.programs.shell;
            let mut pack = command(shell, ["-c", "tar -C \"$1\" -cf \"$2\" .", "sh"]);
            process::run(pack.arg(&bed.host_source).arg(&archive))?;
            podman.ask(&["import", "--quiet", &archive.to_string_lossy(), IMAGE])?;
        }
        Ok(podman)
    }

    fn command(&self, words: &[&str]) -> Command {
        let arena = self.bed.arena;
        let mut call = command(&self.program, ["--storage-driver=overlay", "--events-backend=none"]);
        call.arg("--cgroup-manager=cgroupfs");
        call.arg("--root").arg(arena.overlay_top().join("podman")).arg("--runroot").arg(arena.memory());
        call.args(words);
        call
    }

    /// Calls it where its runtime works; answers what it printed.
    fn ask(&self, words: &[&str]) -> Result<String> {
        self.bed.arena.enter(Sight::OneCgroupVersion)?;
        let said = process::run(&mut self.command(words));
        self.bed.arena.enter(Sight::Whole)?;
        said
    }
}

struct PodmanRun<'a>(Podman<'a>);

impl Side for PodmanRun<'_> {
    fn label(&self) -> &'static str {
        "podman run --rm IMAGE true (overlay)"
    }

    fn sight(&self) -> Sight {
        Sight::OneCgroupVersion
    }

    fn command(&self) -> Command {
        self.0.command(&[&RUN[..], &["--rm", IMAGE, "true"]].concat())
    }

    fn check(&mut self, _said: &str) -> Result<()> {
        Ok(())
    }
}

struct PodmanCommit<'a> {
    podman: Podman<'a>,
    number: u64,
}

impl Side for PodmanCommit<'_> {
    fn label(&self) -> &'static str {
        "podman commit (overlay)"
    }

    fn sight(&self) -> Sight {
        Sight::OneCgroupVersion
    }

    fn set_up(&mut self) -> Result<()> {
        self.number += 1;
        let change = format!("echo {} > /etc/mocker-bench-small", self.number);
        self.podman.ask(&[&RUN[..], &["--name=work", IMAGE, "sh", "-c", &change]].concat()).map(drop)
    }

    fn command(&self) -> Command {
        self.podman.command(&["commit", "--quiet", "work", "result"])
    }

    fn check(&mut self, _said: &str) -> Result<()> {
        self.podman.ask(&["rm", "work"])?;
        self.podman.ask(&["rmi", "result"]).map(drop)
    }
}
