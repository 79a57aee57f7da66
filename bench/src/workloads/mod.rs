//! What is measured: one file per verb, and the list of rows.

use std::path::{Path, PathBuf};

use fastrand::Rng;

use crate::arena::Arena;
use crate::failure::{During, Result};
use crate::mocker::Mocker;
use crate::process::{command, run};
use crate::programs::Programs;
use crate::report::Row;
use crate::sampling::{Side, compare};

mod commit;
mod diff;
mod import;
mod memory;
mod overlay;
mod podman;
mod remove;
mod run;

pub(crate) use memory::{Peak, measure_child, measure_memory};

/// What every workload needs.
#[derive(Debug)]
pub(crate) struct Bed<'a> {
    pub(crate) arena: &'a Arena<'a>,
    pub(crate) programs: &'a Programs,
    /// On btrfs.
    pub(crate) mocker: &'a Mocker,
    /// On overlays.
    pub(crate) overlay: Mocker,
    /// The tree that images are made of, on the host's file system.
    pub(crate) host_source: PathBuf,
    /// The same on the btrfs.
    pub(crate) pool_source: PathBuf,
}

/// The image that containers are made from.
pub(crate) const IMAGE: &str = "base";

/// What a row may take at most; one of both is enough.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Target {
    /// Times the peer's median.
    pub(crate) ratio: Option<f64>,
    /// A median in milliseconds.
    pub(crate) milliseconds: Option<f64>,
}

/// One comparison.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
    /// Whether it compares with podman, which not every machine has.
    pub(crate) wants_podman: bool,
    sides: SidesOf,
}

type SidesOf = for<'a> fn(&'a Bed<'a>, Rng) -> Result<Sides<'a>>;

/// Ours and the peer.
type Sides<'a> = (Box<dyn Side + 'a>, Box<dyn Side + 'a>);

const fn at_most(ratio: f64) -> Target {
    Target { ratio: Some(ratio), milliseconds: None }
}

const NONE: Target = Target { ratio: None, milliseconds: None };

const fn row(name: &'static str, target: Target, sides: SidesOf) -> Workload {
    Workload { name, target, wants_podman: false, sides }
}

const fn beside_podman(name: &'static str, target: Target, sides: SidesOf) -> Workload {
    Workload { name, target, wants_podman: true, sides }
}

/// All comparisons, in the order of the report. The first one compares a peer
/// with itself: what it shows is noise.
pub(crate) const ALL: [Workload; 25] = [
    row("noise", NONE, commit::noise),
    row("commit-small", at_most(1.2), commit::small),
    row("commit-256m", at_most(1.5), commit::large),
    row("diff-versions", at_most(1.0), diff::versions),
    row("diff-container", at_most(0.8), diff::container),
    row("diff-100k", at_most(1.5), diff::large),
    row("run", at_most(0.8), run::against_bwrap),
    row("run-crun", NONE, run::against_crun),
    row("rm", Target { ratio: Some(1.0), milliseconds: Some(5.0) }, remove::sides),
    row("init-same", at_most(0.9), import::same),
    row("init-other", at_most(0.9), import::other),
    row("overlay-run", at_most(1.0), overlay::run),
    row("overlay-run-bare", at_most(1.0), overlay::run_beside_bare),
    row("overlay-commit", Target { ratio: None, milliseconds: Some(5.0) }, overlay::commit),
    row("overlay-commit-1g", at_most(1.5), overlay::large_commit),
    row("overlay-run-50", at_most(1.3), overlay::deep_run),
    row("overlay-commit-50", at_most(1.3), overlay::deep_commit),
    row("overlay-diff-100k", at_most(1.5), diff::large_overlay),
    beside_podman("podman-run", at_most(0.15), podman::run),
    beside_podman("podman-commit", at_most(0.1), podman::commit),
    beside_podman("podman-vfs-run", NONE, podman::run_vfs),
    beside_podman("podman-vfs-commit", NONE, podman::commit_vfs),
    beside_podman("podman-btrfs-run", NONE, podman::run_btrfs),
    beside_podman("podman-btrfs-commit", NONE, podman::commit_btrfs),
    beside_podman("podman-btrfs-diff", at_most(0.1), diff::podman_btrfs),
];

impl Workload {
    /// Takes all samples.
    pub(crate) fn measure(&self, bed: &Bed<'_>, samples: usize, rng: &mut Rng) -> Result<Row> {
        let (mut ours, mut peer) = (self.sides)(bed, rng.fork())?;
        let pairs = compare(bed.arena, ours.as_mut(), peer.as_mut(), samples, rng)?;
        Ok(Row::new(self, (ours.label(), peer.label()), pairs, rng))
    }
}

impl Bed<'_> {
    /// Makes a container that has run `true`, and answers where its tree is.
    fn container(&self, name: &str) -> Result<PathBuf> {
        self.mocker.ask(["run", "--name", name, IMAGE, "true"])?;
        self.mocker.work_area(name)
    }

    /// A new directory for one sample of a peer. Each has its own, as the
    /// subvolumes of mocker do.
    fn peer_directory(&self) -> Result<PathBuf> {
        tempfile::Builder::new()
            .tempdir_in(self.arena.peers())
            .map(tempfile::TempDir::keep)
            .during("make a directory for a peer")
    }

    /// Removes such a directory with the subvolume in it.
    fn remove_peer(&self, subvolume: &Path) -> Result<()> {
        run(command(&self.programs.btrfs, ["subvolume", "delete"]).arg(subvolume))?;
        remove_parent(subvolume)
    }
}

/// Removes the directory that a subvolume, which is gone, was in.
fn remove_parent(subvolume: &Path) -> Result<()> {
    let parent = subvolume.parent().unwrap_or(subvolume);
    std::fs::remove_dir(parent).during(format_args!("remove '{}'", parent.display()))
}
