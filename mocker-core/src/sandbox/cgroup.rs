//! The control group of a container, by which all its processes are frozen at
//! once.
//!
//! It is `mocker/<container>` in the unified hierarchy (cgroup v2, which a
//! hybrid layout has beside v1 controllers), or in the freezer hierarchy of v1
//! where there is no other. Files are documented in the kernel's
//! admin-guide/cgroup-v2.rst and cgroup-v1/freezer-subsystem.rst.

use std::fs::{self, File};
use std::io::{ErrorKind as IoErrorKind, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{Error, ErrorKind, Result, story, trace};

/// The group that holds those of all containers.
const PARENT: &str = "mocker";

/// How long freezing may take: a process that waits for a disk cannot be
/// frozen before the disk answers.
const FROZEN_WITHIN: Duration = Duration::from_secs(10);

/// How long the kernel may take to see that a group has become empty.
const EMPTY_WITHIN: Duration = Duration::from_secs(2);

/// How often a hierarchy of v1, which tells nobody, is asked.
const STEP: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// A container's control group.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    version: Version,
}

impl Cgroup {
    /// The group of a container, if it has one.
    ///
    /// # Errors
    /// Those of reading `/proc/self/mountinfo`.
    pub fn of(container: &str) -> Result<Option<Self>> {
        let found = hierarchies()?.into_iter().map(|(version, top)| Self::below(&top, version, container));
        Ok(found.into_iter().find(|group| group.path.is_dir()))
    }

    /// Makes the group of a container; `None`, and a word in the trace, where
    /// no hierarchy can be written to.
    pub(super) fn make(container: &str) -> Result<Option<Self>> {
        for (version, top) in hierarchies()? {
            let group = Self::below(&top, version, container);
            match group.make_directories() {
                Ok(()) => return Ok(Some(group)),
                Err(error) => story!("no control group in '{}': {error}", top.display()),
            }
        }
        Ok(None)
    }

    fn below(top: &Path, version: Version, container: &str) -> Self {
        Self { path: top.join(PARENT).join(container), version }
    }

    fn make_directories(&self) -> std::io::Result<()> {
        loop {
            for directory in self.path.parent().into_iter().chain([self.path.as_path()]) {
                match fs::create_dir(directory) {
                    Err(error) if error.kind() == IoErrorKind::AlreadyExists => {}
                    // The last container took the parent with it just now.
                    Err(error) if error.kind() == IoErrorKind::NotFound && directory == self.path => break,
                    outcome => outcome?,
                }
            }
            if self.path.is_dir() {
                return Ok(());
            }
        }
    }

    /// A descriptor by which clone3(2) starts a process in the group; `None`
    /// where the kernel cannot.
    pub(super) fn entrance(&self) -> Result<Option<OwnedFd>> {
        match self.version {
            Version::V1 => Ok(None),
            Version::V2 => {
                File::open(&self.path).map(|file| Some(file.into())).map_err(|e| self.failed("open", e))
            }
        }
    }

    /// Moves a process that [`Cgroup::entrance`] could not start here.
    pub(super) fn admit(&self, pid: i32) -> Result<()> {
        match self.version {
            Version::V1 => self.write("cgroup.procs", &pid.to_string()),
            Version::V2 => Ok(()),
        }
    }

    /// Whether somebody has asked for the container to be frozen.
    ///
    /// # Errors
    /// Those of reading the group's files.
    pub fn is_frozen(&self) -> Result<bool> {
        match self.version {
            Version::V1 => Ok(self.read("freezer.self_freezing")?.trim() == "1"),
            Version::V2 => Ok(self.read("cgroup.freeze")?.trim() == "1"),
        }
    }

    /// Freezes every process of the container, and waits until all stand
    /// still.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where one does not stand still in time; it is
    /// thawed again then.
    pub fn freeze(&self) -> Result<()> {
        trace::kernel_call("write(2)", format_args!("freeze {}", self.path.display()), || {
            match self.version {
                Version::V1 => self.write("freezer.state", "FROZEN"),
                Version::V2 => self.write("cgroup.freeze", "1"),
            }
        })?;
        let frozen = match self.version {
            Version::V1 => self.wait_v1(),
            Version::V2 => self.wait_v2(),
        };
        match frozen {
            Ok(true) => Ok(()),
            Ok(false) => {
                let busy = Error::new(
                    ErrorKind::Busy,
                    format!("the container could not be paused within {} s", FROZEN_WITHIN.as_secs()),
                )
                .with_hint("one of its processes waits for a disk; try again, or stop the container first");
                Err(busy.after_cleanup(self.thaw()))
            }
            Err(error) => Err(error.after_cleanup(self.thaw())),
        }
    }

    /// Lets the container run on. Where it was not frozen, or ended frozen,
    /// nothing happens.
    ///
    /// # Errors
    /// Those of writing the group's files.
    pub fn thaw(&self) -> Result<()> {
        let thawed = trace::kernel_call("write(2)", format_args!("thaw {}", self.path.display()), || {
            match self.version {
                Version::V1 => self.write("freezer.state", "THAWED"),
                Version::V2 => self.write("cgroup.freeze", "0"),
            }
        });
        match thawed {
            Err(_) if !self.path.is_dir() => Ok(()),
            outcome => outcome,
        }
    }

    /// Removes the group, whose processes are dead.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where something still runs in it.
    pub fn remove(&self) -> Result<()> {
        let started = Instant::now();
        loop {
            match fs::remove_dir(&self.path) {
                Ok(()) => break,
                Err(error) if error.kind() == IoErrorKind::NotFound => break,
                Err(error)
                    if error.kind() == IoErrorKind::ResourceBusy && started.elapsed() < EMPTY_WITHIN =>
                {
                    std::thread::sleep(STEP);
                }
                Err(error) => return Err(self.failed("remove", error)),
            }
        }
        // Only the last one can take the parent along.
        if let Some(parent) = self.path.parent()
            && let Err(error) = fs::remove_dir(parent)
            && !matches!(
                error.kind(),
                IoErrorKind::NotFound | IoErrorKind::ResourceBusy | IoErrorKind::DirectoryNotEmpty
            )
        {
            story!("'{}' stays: {error}", parent.display());
        }
        Ok(())
    }

    fn wait_v1(&self) -> Result<bool> {
        let started = Instant::now();
        while started.elapsed() < FROZEN_WITHIN {
            if self.read("freezer.state")?.trim() == "FROZEN" {
                return Ok(true);
            }
            std::thread::sleep(STEP);
        }
        Ok(false)
    }

    fn wait_v2(&self) -> Result<bool> {
        let failed = |error| self.failed("watch", error);
        let mut events = File::open(self.path.join("cgroup.events")).map_err(failed)?;
        let started = Instant::now();
        loop {
            let mut text = String::new();
            events.seek(SeekFrom::Start(0)).map_err(failed)?;
            events.read_to_string(&mut text).map_err(failed)?;
            if text.lines().any(|line| line == "frozen 1") {
                return Ok(true);
            }
            let Some(left) = FROZEN_WITHIN.checked_sub(started.elapsed()) else { return Ok(false) };
            let limit = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or_default(),
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(&mut [PollFd::from_borrowed_fd(events.as_fd(), PollFlags::PRI)], Some(&limit)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(failed(errno.into())),
            }
        }
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        fs::write(self.path.join(file), text).map_err(|error| self.failed(file, error))
    }

    fn read(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.path.join(file)).map_err(|error| self.failed(file, error))
    }

    fn failed(&self, what: &str, error: std::io::Error) -> Error {
        // The files of a group that was removed while they were open answer ENODEV (kernfs).
        let error = match error.raw_os_error() {
            Some(libc::ENODEV) => std::io::Error::from_raw_os_error(libc::ENOENT),
            _ => error,
        };
        Error::io(format_args!("control group '{}': {what}", self.path.display()), error)
    }
}

/// Where a group can be made: the unified hierarchy first.
fn hierarchies() -> Result<Vec<(Version, PathBuf)>> {
    let text = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| Error::io("cannot read /proc/self/mountinfo", error))?;
    let mut found: Vec<_> = text.lines().filter_map(hierarchy).collect();
    found.sort_by_key(|(version, _)| *version == Version::V1);
    Ok(found)
}

/// Reads a line of mountinfo (proc_pid_mountinfo(5)): the mount point is field
/// 5; behind a dash come the type, the source and the options of the file
/// system.
fn hierarchy(line: &str) -> Option<(Version, PathBuf)> {
    let (mount, system) = line.split_once(" - ")?;
    let point = mount.split(' ').nth(4)?;
    let mut system = system.split(' ');
    let version = match system.next()? {
        "cgroup2" => Version::V2,
        "cgroup" if system.nth(1)?.split(',').any(|option| option == "freezer") => Version::V1,
        _ => return None,
    };
    Some((version, PathBuf::from(point)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_in_every_layout() {
        for (line, expected) in [
            (
                "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate",
                Some((Version::V2, "/sys/fs/cgroup")),
            ),
            (
                "40 30 0:35 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer",
                Some((Version::V1, "/sys/fs/cgroup/freezer")),
            ),
            ("41 30 0:36 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct", None),
            ("22 1 254:0 / / rw,relatime - ext4 /dev/vda rw", None),
            ("", None),
        ] {
            assert_eq!(hierarchy(line), expected.map(|(version, path)| (version, path.into())), "{line}");
        }
    }

    fn freezes_a_child(group: &Cgroup) {
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        fs::write(group.path.join("cgroup.procs"), child.id().to_string()).unwrap();
        assert!(!group.is_frozen().unwrap());
        group.freeze().unwrap();
        assert!(group.is_frozen().unwrap());
        group.thaw().unwrap();
        assert!(!group.is_frozen().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        group.remove().unwrap();
        assert!(!group.path.exists());
    }

    #[test]
    fn a_group_freezes_thaws_and_goes_in_every_hierarchy_that_is_here() {
        let here = hierarchies().unwrap();
        assert!(!here.is_empty(), "this machine has no control groups");
        for (version, top) in here {
            let group = Cgroup::below(&top, version, &format!("test-{version:?}-{}", std::process::id()));
            group.make_directories().unwrap();
            freezes_a_child(&group);
        }
    }
}
