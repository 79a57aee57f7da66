//! A look at what is beside the trees: the directories of containers, and what
//! the kernel has of them.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::finding::Code;
use super::look::{Cure, Look};
use super::records::Records;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::image::CONTAINER_PREFIX;
use crate::sandbox::Cgroup;

impl Engine {
    pub(super) fn directories(&self, look: &mut Look, records: &Records, listed: &[String]) {
        let ids: BTreeSet<&str> = records.containers.iter().map(|container| container.id.as_str()).collect();
        for name in listed {
            if !ids.contains(name.as_str()) && !records.held.contains(&format!("container {name}")) {
                let subject = format!("containers/{name}");
                let cure = Cure::RemoveDirectory(name.clone());
                look.add(Code::OrphanDirectory, subject, "no container has this id", cure);
            }
        }
        for container in &records.containers {
            let path = self.root.container(&container.id);
            if !path.is_dir() {
                let problem = format!("'{}' is missing", path.display());
                let cure = Cure::MakeDirectory(container.id.clone());
                look.add(Code::MissingDirectory, container.subject.clone(), problem, cure);
            }
        }
    }

    /// Whatever is mounted below the root, but for a whole backend: its directory
    /// can lie on a file system of its own.
    pub(super) fn mounts(&self, look: &mut Look) -> Result<()> {
        let text = std::fs::read("/proc/self/mountinfo")
            .map_err(|error| Error::io("cannot read /proc/self/mountinfo", error))?;
        let root = std::fs::canonicalize(self.root.path()).map_err(|error| {
            Error::io(format_args!("cannot find '{}'", self.root.path().display()), error)
        })?;
        let points = text.split(|byte| *byte == b'\n').filter_map(mount_point);
        for point in points.filter(|point| point.strip_prefix(&root).is_ok_and(is_deep)) {
            let subject = point.to_string_lossy().into_owned();
            look.add(Code::StrayMount, subject, "nothing of mocker is mounted there", Cure::Unmount(point));
        }
        Ok(())
    }

    /// Control groups of containers that do not run. Those of other roots cannot be
    /// told apart, so only known ids are looked for.
    pub(super) fn groups(&self, look: &mut Look, records: &Records) -> Result<()> {
        for container in records.containers.iter().filter(|container| container.lease.is_none()) {
            if container.id.starts_with(CONTAINER_PREFIX) && Cgroup::of(&container.id)?.is_some() {
                let cure = Cure::RemoveGroup(container.id.clone());
                let problem = "it does not run, and has a control group";
                look.add(Code::StrayControlGroup, container.subject.clone(), problem, cure);
            }
        }
        Ok(())
    }
}

fn is_deep(below_root: &Path) -> bool {
    below_root.components().count() > 1
}

/// The mount point in a line of mountinfo: field 5, with white space and
/// backslashes as octal numbers (proc_pid_mountinfo(5)).
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    let mut bytes = Vec::new();
    let mut rest = field;
    while let [first, behind @ ..] = rest {
        let octal = if *first == b'\\' { behind.get(..3) } else { None };
        let decoded = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &behind[3..] } else { behind };
    }
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_every_letter() {
        let line = br"36 35 98:0 / /a\040b\134c rw - ext4 /dev/x rw";
        assert_eq!(mount_point(line), Some(PathBuf::from(r"/a b\c")));
        assert_eq!(mount_point(b""), None);
    }

    #[test]
    fn a_backend_of_its_own_is_no_stray_mount() {
        assert!(!is_deep(Path::new("")) && !is_deep(Path::new("btrfs")));
        assert!(is_deep(Path::new("btrfs/nodes")));
    }
}
