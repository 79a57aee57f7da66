//! Disks of a case's own, made and mounted as it says: for what a root can lie
//! on. They go when they are dropped.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::fixture::Fixture;

/// How long an unmount may be refused because somebody still looks.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something mounted in the case's own directory.
#[derive(Debug)]
pub(crate) struct Disk {
    place: PathBuf,
    devices: Vec<String>,
}

impl Disk {
    /// A file system that `mkfs` makes over `count` files of so many mebibytes.
    ///
    /// # Errors
    /// What the kernel or the program said.
    pub(crate) fn make(
        fixture: &Fixture,
        name: &str,
        mkfs: &[&str],
        (count, mebibytes): (usize, u64),
        options: &str,
    ) -> Result<Self, String> {
        let mut disk = Self { place: fixture.scratch().join(name), devices: Vec::new() };
        for number in 0..count {
            let file = fixture.scratch().join(format!("{name}-{number}.img"));
            File::create(&file).and_then(|file| file.set_len(mebibytes << 20)).unwrap();
            disk.devices.push(said(Command::new("losetup").args(["--find", "--show"]).arg(&file))?);
        }
        said(Command::new(mkfs[0]).args(&mkfs[1..]).args(&disk.devices))?;
        // The kernel knows the other devices of a btrfs only when it is told.
        let others: Vec<_> = disk.devices[1..].iter().map(|device| format!("device={device}")).collect();
        let options = [vec![options.to_owned()], others].concat().join(",");
        std::fs::create_dir(&disk.place).unwrap();
        said(
            Command::new("mount")
                .args(["-o", options.trim_start_matches(',')])
                .arg(&disk.devices[0])
                .arg(&disk.place),
        )?;
        Ok(disk)
    }

    /// What `mount` mounts with these words and a place.
    pub(crate) fn mount(fixture: &Fixture, name: &str, words: &[&str]) -> Self {
        let disk = Self { place: fixture.scratch().join(name), devices: Vec::new() };
        std::fs::create_dir(&disk.place).unwrap();
        said(Command::new("mount").args(words).arg(&disk.place)).unwrap();
        disk
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.place
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let started = Instant::now();
        let mounted = || crate::suites::ground::mounts_below(&self.place);
        // What stays is found when the case is closed, and fails it.
        while let Some(mount) = mounted().first() {
            let _done = said(Command::new("umount").arg(mount));
            if started.elapsed() > PATIENCE {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        for device in &self.devices {
            let _gone = said(Command::new("losetup").args(["--detach", device]));
        }
    }
}

/// Runs a program of the system; answers what it printed, or said where it
/// failed.
pub(crate) fn said(command: &mut Command) -> Result<String, String> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{shown}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{shown}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
