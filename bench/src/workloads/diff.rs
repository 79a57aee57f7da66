//! `diff` of one change: beside `btrfs send` of the same, beside podman, and of
//! large trees beside small ones.

use std::path::{Path, PathBuf};
use std::process::Command;

use fastrand::Rng;

use super::podman::{Podman, RUN};
use super::{Bed, IMAGE, Sides};
use crate::arena::Sight;
use crate::failure::{During, Result, ensure};
use crate::mocker::Mocker;
use crate::process::command;
use crate::sampling::Side;
use crate::tree::write_noise;

/// The file that is changed, and what must be said of it.
const FILE: &str = "etc/mocker-bench-diff";
const TOLD: &str = "/etc/mocker-bench-diff";

/// Files of the trees that are compared with each other.
const FEW: usize = 1000;
const MANY: usize = 100_000;

/// Files in each of their directories.
const IN_EACH: usize = 100;

/// Between two versions, which need no snapshot.
pub(super) fn versions<'a>(bed: &'a Bed<'a>, mut rng: Rng) -> Result<Sides<'a>> {
    let name = "diff-versions";
    let work = bed.container(name)?;
    change(&work, &mut rng)?;
    let image = bed.mocker.ask(["commit", "-q", name])?;
    let [older, newer] = [bed.mocker.layer(IMAGE)?, bed.mocker.layer(&image)?];
    let subject = format!("{IMAGE} {image}");
    let ours = Diff { mocker: bed.mocker, label: "mocker diff IMAGE IMAGE", subject, change: None };
    Ok((Box::new(ours), Box::new(Send { bed, older, newer })))
}

/// Of a container that is at rest.
pub(super) fn container<'a>(bed: &'a Bed<'a>, mut rng: Rng) -> Result<Sides<'a>> {
    let name = "diff-container";
    let work = bed.container(name)?;
    let ours = Diff::of_container(bed.mocker, name, work.clone(), rng.fork());
    let older = bed.mocker.layer(IMAGE)?;
    Ok((Box::new(ours), Box::new(SnapshotAndSend { bed, older, work, frozen: PathBuf::new(), rng })))
}

/// Ours on both sides: of 100,000 files, and of 1,000.
pub(super) fn large<'a>(bed: &'a Bed<'a>, rng: Rng) -> Result<Sides<'a>> {
    sizes(bed.mocker, &bed.arena.top(), bed, rng)
}

/// As [`large`], with overlays.
pub(super) fn large_overlay<'a>(bed: &'a Bed<'a>, rng: Rng) -> Result<Sides<'a>> {
    sizes(&bed.overlay, &bed.arena.overlay_top(), bed, rng)
}

fn sizes<'a>(mocker: &'a Mocker, top: &Path, bed: &'a Bed<'a>, mut rng: Rng) -> Result<Sides<'a>> {
    let mut side = |name: &'static str, files: usize| {
        let source = top.join(format!("source-{name}"));
        make_source(bed, &source, files).during(format_args!("make a tree of {files} files"))?;
        mocker.init(&source, name)?;
        mocker.ask(["run", "--name", name, name, "sh", "-c", &format!("echo changed > /{FILE}")])?;
        std::fs::remove_dir_all(&source).during("remove a tree")?;
        let label = if files == MANY { "mocker diff, 100,000 files" } else { "mocker diff, 1,000 files" };
        let work = mocker.work_area(name);
        // What an overlay holds is nobody's to change but the container's.
        let change =
            work.ok().filter(|work| work.join("bin/busybox").exists()).map(|work| (work, rng.fork()));
        Ok(Diff { mocker, label, subject: name.to_owned(), change })
    };
    Ok((Box::new(side("many-files", MANY)?), Box::new(side("few-files", FEW)?)))
}

fn make_source(bed: &Bed<'_>, top: &Path, files: usize) -> std::io::Result<()> {
    for directory in ["bin", "etc", "usr"] {
        std::fs::create_dir_all(top.join(directory))?;
    }
    std::fs::copy(&bed.programs.busybox, top.join("bin/busybox"))?;
    std::os::unix::fs::symlink("busybox", top.join("bin/sh"))?;
    for directory in 0..files / IN_EACH {
        let directory = top.join(format!("usr/{directory}"));
        std::fs::create_dir(&directory)?;
        for file in 0..IN_EACH {
            std::fs::write(directory.join(format!("file-{file}")), b"content")?;
        }
    }
    Ok(())
}

/// Beside podman with the same driver.
pub(super) fn podman_btrfs<'a>(bed: &'a Bed<'a>, rng: Rng) -> Result<Sides<'a>> {
    let name = "diff-podman";
    let work = bed.container(name)?;
    let ours = Diff::of_container(bed.mocker, name, work, rng);
    let podman = Podman::with_image(bed, "btrfs")?;
    let change = format!("echo changed > {TOLD}");
    podman.ask(&[&RUN[..], &["--name=diff", IMAGE, "sh", "-c", &change]].concat())?;
    Ok((Box::new(ours), Box::new(PodmanDiff(podman))))
}

fn change(work: &Path, rng: &mut Rng) -> Result<()> {
    write_noise(&work.join(FILE), 4 << 10, rng).during("change the small file")
}

/// `mocker diff`.
struct Diff<'a> {
    mocker: &'a Mocker,
    label: &'static str,
    /// One word, or two.
    subject: String,
    /// Where to change the file before each sample.
    change: Option<(PathBuf, Rng)>,
}

impl<'a> Diff<'a> {
    fn of_container(mocker: &'a Mocker, name: &str, work: PathBuf, rng: Rng) -> Self {
        Self { mocker, label: "mocker diff CONTAINER", subject: name.to_owned(), change: Some((work, rng)) }
    }
}

impl Side for Diff<'_> {
    fn label(&self) -> &'static str {
        self.label
    }

    fn touch(&mut self) -> Result<()> {
        self.change.as_mut().map_or(Ok(()), |(work, rng)| change(work, rng))
    }

    fn command(&self) -> Command {
        self.mocker.command(["diff"].into_iter().chain(self.subject.split(' ')))
    }

    fn check(&mut self, said: &str) -> Result<()> {
        ensure(said.contains(TOLD), || format!("the change is not told: {said}"))
    }
}

/// The call of `btrfs send` that says the same.
const SEND: [&str; 6] = ["send", "--quiet", "--no-data", "-f", "/dev/null", "-p"];

/// `btrfs send` between two layers.
struct Send<'a> {
    bed: &'a Bed<'a>,
    older: PathBuf,
    newer: PathBuf,
}

impl Side for Send<'_> {
    fn label(&self) -> &'static str {
        "btrfs send --no-data -p"
    }

    fn command(&self) -> Command {
        let mut call = command(&self.bed.programs.btrfs, SEND);
        call.args([&self.older, &self.newer]);
        call
    }

    fn check(&mut self, _said: &str) -> Result<()> {
        Ok(())
    }
}

/// What a script does to learn the same of a tree that is written to.
struct SnapshotAndSend<'a> {
    bed: &'a Bed<'a>,
    older: PathBuf,
    work: PathBuf,
    frozen: PathBuf,
    rng: Rng,
}

impl Side for SnapshotAndSend<'_> {
    fn label(&self) -> &'static str {
        "btrfs subvolume snapshot -r, send --no-data -p, subvolume delete"
    }

    fn set_up(&mut self) -> Result<()> {
        self.frozen = self.bed.peer_directory()?.join("fs");
        Ok(())
    }

    fn touch(&mut self) -> Result<()> {
        change(&self.work, &mut self.rng)
    }

    fn command(&self) -> Command {
        let script = format!(
            "\"$1\" subvolume snapshot -r \"$3\" \"$4\" && \"$1\" {} \"$2\" \"$4\" && \"$1\" subvolume delete \"$4\"",
            SEND.join(" ")
        );
        let mut call = command(&self.bed.programs.shell, ["-c", &script, "sh"]);
        call.arg(&self.bed.programs.btrfs).args([&self.older, &self.work, &self.frozen]);
        call
    }

    fn check(&mut self, _said: &str) -> Result<()> {
        super::remove_parent(&self.frozen)
    }
}

struct PodmanDiff<'a>(Podman<'a>);

impl Side for PodmanDiff<'_> {
    fn label(&self) -> &'static str {
        "podman diff (btrfs)"
    }

    fn sight(&self) -> Sight {
        Sight::OneCgroupVersion
    }

    fn command(&self) -> Command {
        self.0.command(&["diff", "diff"])
    }

    fn check(&mut self, said: &str) -> Result<()> {
        ensure(said.contains(TOLD), || format!("the change is not told: {said}"))
    }
}
