//! `run --rm`, beside one shell script that takes a snapshot, runs `true` in
//! it under a small container program, and deletes the snapshot.

use std::path::{Path, PathBuf};
use std::process::Command;

use fastrand::Rng;
use serde_json::{Value, json};

use super::{Bed, IMAGE, Sides};
use crate::arena::Sight;
use crate::failure::{During, Result, ensure};
use crate::mocker::Mocker;
use crate::process::command;
use crate::sampling::Side;

/// `$1` the layer, `$2` the snapshot, `$3` btrfs, `$4` bwrap.
const WITH_BWRAP: &str = r#"set -e
"$3" subvolume snapshot "$1" "$2"
"$4" --bind "$2" / --proc /proc --dev /dev --unshare-all --share-net --die-with-parent true
"$3" subvolume delete "$2"
"#;

/// As above, with `$4` crun, `$5` its bundle and `$6` the container's name.
/// With a control group, which mocker makes too.
const WITH_CRUN: &str = r#"set -e
"$3" subvolume snapshot "$1" "$2"
"$4" --cgroup-manager=cgroupfs run --bundle "$5" "$6"
"$3" subvolume delete "$2"
"#;

pub(super) fn against_bwrap<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    let script = Script {
        bed,
        label: "sh: btrfs snapshot, bwrap true, btrfs delete",
        script: WITH_BWRAP,
        layer: bed.mocker.layer(IMAGE)?,
        snapshot: bed.peer_directory()?.join("fs"),
        more: vec![bed.programs.bwrap.clone()],
        sight: Sight::Whole,
    };
    Ok((Box::new(Run::new(bed.mocker, IMAGE)?), Box::new(script)))
}

pub(super) fn against_crun<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    let snapshot = bed.peer_directory()?.join("fs");
    let bundle = make_bundle(bed, "bundle", &snapshot)?;
    let script = Script {
        bed,
        label: "sh: btrfs snapshot, crun run true, btrfs delete",
        script: WITH_CRUN,
        layer: bed.mocker.layer(IMAGE)?,
        snapshot,
        more: vec![bed.programs.crun.clone(), bundle, container_name().into()],
        sight: Sight::OneCgroupVersion,
    };
    Ok((Box::new(Run::new(bed.mocker, IMAGE)?), Box::new(script)))
}

/// A directory with what crun is to run, in a tree that is there already or
/// will be.
pub(super) fn make_bundle(bed: &Bed<'_>, name: &str, root: &Path) -> Result<PathBuf> {
    let bundle = bed.arena.host().join(name);
    let config = bundle.join("config.json");
    std::fs::create_dir(&bundle)
        .and_then(|()| std::fs::write(&config, bundle_config(root).to_string()))
        .during(format_args!("write '{}'", config.display()))?;
    Ok(bundle)
}

/// A name for crun's container that nobody else has.
pub(super) fn container_name() -> String {
    format!("mocker-bench-{}", std::process::id())
}

/// What mocker hides and protects, from the kernel's own views.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What `crun` needs to know: the same namespaces and mounts as mocker's.
fn bundle_config(root: &Path) -> Value {
    let mount = |kind: &str, at: &str, options: &[&str]| json!({"type": kind, "source": kind, "destination": at, "options": options});
    let namespaces = ["pid", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["true"],
            "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "noNewPrivileges": true,
        },
        "root": {"path": root},
        "hostname": "bench",
        "mounts": [
            mount("proc", "/proc", &[]),
            mount("tmpfs", "/dev", &["nosuid", "mode=755"]),
            mount("devpts", "/dev/pts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666"]),
            mount("tmpfs", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777"]),
            mount("mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
            mount("sysfs", "/sys", &["nosuid", "noexec", "nodev", "ro"]),
        ],
        "linux": {"namespaces": namespaces, "maskedPaths": MASKED, "readonlyPaths": READ_ONLY},
    })
}

/// `mocker run --rm`.
pub(super) struct Run<'a> {
    mocker: &'a Mocker,
    image: &'static str,
    before: usize,
}

impl<'a> Run<'a> {
    pub(super) fn new(mocker: &'a Mocker, image: &'static str) -> Result<Self> {
        Ok(Self { mocker, image, before: mocker.containers()? })
    }
}

impl Side for Run<'_> {
    fn label(&self) -> &'static str {
        if self.image == IMAGE { "mocker run --rm IMAGE true" } else { "mocker run --rm DEEP-IMAGE true" }
    }

    fn command(&self) -> Command {
        self.mocker.command(["run", "--rm", self.image, "true"])
    }

    fn check(&mut self, _said: &str) -> Result<()> {
        let now = self.mocker.containers()?;
        ensure(now == self.before, || format!("there were {} containers, now there are {now}", self.before))
    }
}

/// The script.
struct Script<'a> {
    bed: &'a Bed<'a>,
    label: &'static str,
    script: &'static str,
    layer: PathBuf,
    snapshot: PathBuf,
    more: Vec<PathBuf>,
    sight: Sight,
}

impl Side for Script<'_> {
    fn label(&self) -> &'static str {
        self.label
    }

    fn sight(&self) -> Sight {
        self.sight
    }

    fn command(&self) -> Command {
        let programs = self.bed.programs;
        let mut call = command(&programs.shell, ["-c", self.script, "script"]);
        call.args([&self.layer, &self.snapshot, &programs.btrfs]).args(&self.more);
        call
    }

    fn check(&mut self, _said: &str) -> Result<()> {
        ensure(!self.snapshot.exists(), || format!("'{}' is still there", self.snapshot.display()))
    }
}
