//! `run --rm`, beside one shell script that takes a snapshot, runs `true` in
//! it under a small container program, and deletes the snapshot.

use std::path::PathBuf;
use std::process::Command;

use fastrand::Rng;
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use serde_json::{Value, json};

use super::{Bed, IMAGE, Sides};
use crate::failure::{During, Result, ensure};
use crate::process::command;
use crate::sampling::Side;

/// `$1` the layer, `$2` the snapshot, `$3` btrfs, `$4` bwrap.
const WITH_BWRAP: &str = r#"set -e
"$3" subvolume snapshot "$1" "$2"
"$4" --bind "$2" / --proc /proc --dev /dev --unshare-all --share-net --die-with-parent true
"$3" subvolume delete "$2"
"#;

/// As above, with `$4` crun, `$5` its bundle and `$6` the container's name.
/// Without cgroups, which mocker does not make either.
const WITH_CRUN: &str = r#"set -e
"$3" subvolume snapshot "$1" "$2"
"$4" --cgroup-manager=disabled run --bundle "$5" "$6"
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
    };
    Ok((Box::new(Run { bed, before: bed.mocker.containers()? }), Box::new(script)))
}

pub(super) fn against_crun<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    hide_second_cgroup_mount()?;
    let snapshot = bed.peer_directory()?.join("fs");
    let bundle = bed.arena.host().join("bundle");
    let config = bundle.join("config.json");
    std::fs::create_dir(&bundle)
        .and_then(|()| std::fs::write(&config, bundle_config(&snapshot).to_string()))
        .during(format_args!("write '{}'", config.display()))?;
    let script = Script {
        bed,
        label: "sh: btrfs snapshot, crun run true, btrfs delete",
        script: WITH_CRUN,
        layer: bed.mocker.layer(IMAGE)?,
        snapshot,
        more: vec![bed.programs.crun.clone(), bundle, format!("mocker-bench-{}", std::process::id()).into()],
    };
    Ok((Box::new(Run { bed, before: bed.mocker.containers()? }), Box::new(script)))
}

/// What `crun` needs to know: the same namespaces and mounts as mocker's.
fn bundle_config(root: &std::path::Path) -> Value {
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
        "linux": {"namespaces": namespaces},
    })
}

/// Where some machines mount the second version of cgroups beside the first.
const SECOND_CGROUPS: &str = "/sys/fs/cgroup/unified";

/// Makes crun start on a machine that has both versions of cgroups, which it
/// refuses even when it is to make none. We are in a mount namespace of our
/// own, so nobody else misses the mount.
fn hide_second_cgroup_mount() -> Result<()> {
    match rustix::mount::unmount(SECOND_CGROUPS, UnmountFlags::DETACH) {
        Ok(()) | Err(Errno::NOENT | Errno::INVAL) => Ok(()),
        Err(errno) => Err(errno).during(format_args!("hide '{SECOND_CGROUPS}' from crun")),
    }
}

/// `mocker run --rm`.
struct Run<'a> {
    bed: &'a Bed<'a>,
    before: usize,
}

impl Side for Run<'_> {
    fn label(&self) -> &'static str {
        "mocker run --rm IMAGE true"
    }

    fn command(&self) -> Command {
        self.bed.mocker.command(["run", "--rm", IMAGE, "true"])
    }

    fn check(&mut self, _said: &str) -> Result<()> {
        let now = self.bed.mocker.containers()?;
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
}

impl Side for Script<'_> {
    fn label(&self) -> &'static str {
        self.label
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
