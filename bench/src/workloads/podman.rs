//! `run --rm` and `commit` beside podman, on the same file system: with overlays,
//! with btrfs, and ours with overlays beside its whole copies (vfs).

use std::path::PathBuf;
use std::process::Command;

use fastrand::Rng;

use super::overlay::Commit;
use super::run::Run;
use super::{Bed, IMAGE, Sides};
use crate::arena::Sight;
use crate::failure::{Failure, Result};
use crate::mocker::Mocker;
use crate::process::{self, command};
use crate::sampling::Side;

/// What podman needs not: limits that it may not be allowed to raise, a network
/// of its own, and control groups, whose two versions it cannot have at once.
pub(super) const RUN: [&str; 7] = [
    "run",
    "--network=host",
    "--cgroups=disabled",
    "--ulimit=nofile=1024:1024",
    "--ulimit=nproc=1024:1024",
    "--pull=never",
    "--quiet",
];

pub(super) fn run<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    runs(bed, "overlay")
}

pub(super) fn run_vfs<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    runs(bed, "vfs")
}

pub(super) fn run_btrfs<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    runs(bed, "btrfs")
}

pub(super) fn commit<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    commits(bed, "overlay")
}

pub(super) fn commit_vfs<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    commits(bed, "vfs")
}

pub(super) fn commit_btrfs<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    commits(bed, "btrfs")
}

fn runs<'a>(bed: &'a Bed<'a>, driver: &'static str) -> Result<Sides<'a>> {
    let podman = Podman::with_image(bed, driver)?;
    Ok((Box::new(Run::new(ours(bed, driver), IMAGE)?), Box::new(PodmanRun(podman))))
}

fn commits<'a>(bed: &'a Bed<'a>, driver: &'static str) -> Result<Sides<'a>> {
    let podman = Podman::with_image(bed, driver)?;
    let ours = Commit::new(ours(bed, driver), IMAGE, "beside-podman")?;
    Ok((Box::new(ours), Box::new(PodmanCommit { podman, number: 0 })))
}

/// Ours on the file system that podman has with this driver.
fn ours<'a>(bed: &'a Bed<'a>, driver: &str) -> &'a Mocker {
    if driver == "btrfs" { bed.mocker } else { &bed.overlay }
}

/// Podman with a store of its own.
pub(super) struct Podman<'a> {
    bed: &'a Bed<'a>,
    program: PathBuf,
    driver: &'static str,
}

impl<'a> Podman<'a> {
    /// Imports the tree as an image, where that was not done yet.
    pub(super) fn with_image(bed: &'a Bed<'a>, driver: &'static str) -> Result<Self> {
        let missing = || Failure::new("podman is not installed");
        let podman = Self { bed, program: bed.programs.podman.clone().ok_or_else(missing)?, driver };
        if podman.ask(&["image", "exists", IMAGE]).is_err() {
            let archive = bed.arena.overlay_top().join("tree.tar");
            let shell = &bed.programs.shell;
            let mut pack = command(shell, ["-c", "tar -C \"$1\" -cf \"$2\" .", "sh"]);
            process::run(pack.arg(&bed.host_source).arg(&archive))?;
            podman.ask(&["import", "--quiet", &archive.to_string_lossy(), IMAGE])?;
        }
        Ok(podman)
    }

    pub(super) fn command(&self, words: &[&str]) -> Command {
        let arena = self.bed.arena;
        let top = if self.driver == "btrfs" { arena.top() } else { arena.overlay_top() };
        let name = format!("podman-{}", self.driver);
        let mut call = command(&self.program, ["--events-backend=none", "--cgroup-manager=cgroupfs"]);
        call.args(["--storage-driver", self.driver]).arg("--root").arg(top.join(&name));
        // Each its own: the names of what runs with one driver mean nothing to the other.
        let running = arena.memory().join(self.driver);
        call.arg("--tmpdir").arg(running.join("tmp")).arg("--runroot").arg(running);
        call.args(words);
        call
    }

    /// Calls it where its runtime works; answers what it printed.
    pub(super) fn ask(&self, words: &[&str]) -> Result<String> {
        self.bed.arena.enter(Sight::OneCgroupVersion)?;
        let said = process::run(&mut self.command(words));
        self.bed.arena.enter(Sight::Whole)?;
        said
    }
}

struct PodmanRun<'a>(Podman<'a>);

impl Side for PodmanRun<'_> {
    fn label(&self) -> &'static str {
        match self.0.driver {
            "vfs" => "podman run --rm IMAGE true (vfs)",
            "btrfs" => "podman run --rm IMAGE true (btrfs)",
            _ => "podman run --rm IMAGE true (overlay)",
        }
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
        match self.podman.driver {
            "vfs" => "podman commit (vfs)",
            "btrfs" => "podman commit (btrfs)",
            _ => "podman commit (overlay)",
        }
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
