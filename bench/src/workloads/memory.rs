//! The peak memory of `run`, `commit` and `diff`.
//!
//! The kernel keeps the largest resident set of all children that were waited
//! for, and of theirs. So each measurement is done by a fresh copy of this
//! program whose only child is mocker: what it answers covers mocker, the
//! helpers it starts, and the command `true`.

use std::ffi::OsString;
use std::process::Command;

use nix::sys::resource::{UsageWho, getrusage};

use super::{Bed, IMAGE};
use crate::failure::{During, Failure, Result};
use crate::process::{command, run};

/// The option by which this program measures a child instead.
pub(crate) const OPTION: &str = "--peak-memory-of";

/// The largest that was seen, in KiB.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Peak {
    pub(crate) name: &'static str,
    pub(crate) kib: Vec<u64>,
    pub(crate) most_kib: u64,
}

/// What is allowed: 16 MiB.
const MOST_KIB: u64 = 16 << 10;

/// Files that are changed for `diff`, which may take 256 bytes for each, the name
/// included, beside what it takes for one.
const CHANGES: usize = 20_000;
const MOST_KIB_FOR_CHANGES: u64 = MOST_KIB / 2 + ((CHANGES as u64 * 256) >> 10);

/// Runs each a few times.
pub(crate) fn measure_memory(bed: &Bed<'_>, samples: usize) -> Result<Vec<Peak>> {
    let container = "memory";
    bed.container(container)?;
    let peak = |name, arguments: &[&str]| {
        let kib = (0..samples).map(|_| measure(bed, arguments)).collect::<Result<_>>()?;
        Ok(Peak { name, kib, most_kib: MOST_KIB })
    };
    let many = "memory-of-many";
    let script = format!("mkdir /many; i=0; while [ $i -lt {CHANGES} ]; do : > /many/$i; i=$((i + 1)); done");
    bed.mocker.ask(["run", "--name", many, IMAGE, "sh", "-c", &script])?;
    Ok(vec![
        peak("memory of run --rm IMAGE true", &["run", "--rm", IMAGE, "true"])?,
        peak("memory of commit", &["commit", container, "memory-test"])?,
        Peak { most_kib: MOST_KIB / 2, ..peak("memory of diff", &["diff", container])? },
        Peak { most_kib: MOST_KIB_FOR_CHANGES, ..peak("memory of diff, 20,000 changes", &["diff", many])? },
    ])
}

fn measure(bed: &Bed<'_>, arguments: &[&str]) -> Result<u64> {
    let ours = bed.mocker.command(arguments);
    let own = std::env::current_exe().during("find this program")?;
    let mut call = command(&own, [OPTION]);
    call.arg(ours.get_program()).args(ours.get_args());
    run(&mut call)?.parse().during("understand the peak memory")
}

/// What the copy of this program does: runs a command line, and answers the
/// peak of its memory in KiB.
pub(crate) fn measure_child(line: &[OsString]) -> Result<u64> {
    let [program, arguments @ ..] = line else {
        return Err(Failure::new(format!("{OPTION} needs a program")));
    };
    let status = Command::new(program)
        .args(arguments)
        .stdout(std::process::Stdio::null())
        .status()
        .during(format_args!("run {line:?}"))?;
    if !status.success() {
        return Err(Failure::new(format!("{line:?} failed ({status})")));
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).during("ask for the use of resources")?;
    u64::try_from(usage.max_rss()).during("understand the peak memory")
}
