//! Where the measurement took place: without it no figure means anything.

use std::path::Path;

use crate::failure::{During, Result};
use crate::mocker::Mocker;
use crate::process::{command, run};
use crate::programs::Programs;
use crate::tree::Extent;

/// Names and what they are, in the order of the report.
pub(crate) type Manifest = Vec<(&'static str, String)>;

/// Looks around.
pub(crate) fn gather(
    programs: &Programs,
    mocker: &Mocker,
    top: &Path,
    tree: &str,
    extent: Extent,
) -> Result<Manifest> {
    let system = rustix::system::uname();
    let version = |program: &Path| -> Result<String> {
        let said = run(&mut command(program, ["--version"]))?;
        Ok(said.lines().next().unwrap_or_default().to_owned())
    };
    let mounts = mounts_around(top)?;
    Ok(vec![
        ("kernel", format!("{} {}", system.sysname().to_string_lossy(), system.release().to_string_lossy())),
        ("processors", processors()?),
        ("memory", memory()?),
        ("load at the start", load()?),
        ("pool", mounts.0),
        ("host", mounts.1),
        ("tree", format!("{tree}: {} entries, {} MB", extent.entries, extent.bytes / 1_000_000)),
        ("mocker", mocker.ask(["--version"])?),
        ("btrfs", version(&programs.btrfs)?),
        ("bwrap", version(&programs.bwrap)?),
        ("crun", version(&programs.crun)?),
        (
            "podman",
            match &programs.podman {
                Some(podman) => version(podman)?,
                None => "not installed: its rows are left out".to_owned(),
            },
        ),
        ("cp", version(&programs.cp)?),
    ])
}

/// How many there are and what they are called.
fn processors() -> Result<String> {
    let known = read("/proc/cpuinfo")?;
    let model = known.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let count = std::thread::available_parallelism().during("count the processors")?;
    Ok(format!("{count} × {}", model.unwrap_or("of unknown model")))
}

fn memory() -> Result<String> {
    let known = read("/proc/meminfo")?;
    let total = known.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or("unknown");
    Ok(total.trim().to_owned())
}

/// The load averages.
pub(crate) fn load() -> Result<String> {
    let known = read("/proc/loadavg")?;
    Ok(known.split(' ').take(3).collect::<Vec<_>>().join(" "))
}

/// What is mounted at `top`, and what the directory above it lies on.
fn mounts_around(top: &Path) -> Result<(String, String)> {
    let known = read("/proc/self/mounts")?;
    let mut pool = "unknown".to_owned();
    let mut host = (0, "unknown".to_owned());
    for line in known.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, at, kind, options, ..] = fields[..] else { continue };
        let at = Path::new(at);
        let shown = format!("{kind} ({options})");
        if at == top {
            pool = shown;
        } else if top.starts_with(at) && at.components().count() >= host.0 {
            host = (at.components().count(), shown);
        }
    }
    Ok((pool, host.1))
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).during(format_args!("read '{path}'"))
}
