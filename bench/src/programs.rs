//! The programs that are measured against, found before anything is made.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// Where programs of root may lie when `PATH` does not say so.
const MORE_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The paths of the peers and of what sets them up.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) shell: PathBuf,
    pub(crate) btrfs: PathBuf,
    pub(crate) mkfs: PathBuf,
    pub(crate) mkfs_ext4: PathBuf,
    pub(crate) bwrap: PathBuf,
    pub(crate) crun: PathBuf,
    pub(crate) cp: PathBuf,
    pub(crate) sync: PathBuf,
    pub(crate) busybox: PathBuf,
    pub(crate) losetup: PathBuf,
    pub(crate) mount: PathBuf,
    /// Measured against where it is installed.
    pub(crate) podman: Option<PathBuf>,
}

impl Programs {
    /// Finds all of them, or says what to install.
    pub(crate) fn find() -> Result<Self> {
        Ok(Self {
            shell: find("sh", "dash")?,
            btrfs: find("btrfs", "btrfs-progs")?,
            mkfs: find("mkfs.btrfs", "btrfs-progs")?,
            mkfs_ext4: find("mkfs.ext4", "e2fsprogs")?,
            bwrap: find("bwrap", "bubblewrap")?,
            crun: find("crun", "crun")?,
            cp: find("cp", "coreutils")?,
            sync: find("sync", "coreutils")?,
            busybox: find("busybox", "busybox-static")?,
            losetup: find("losetup", "mount (util-linux)")?,
            mount: find("mount", "mount (util-linux)")?,
            podman: find("podman", "podman").ok(),
        })
    }
}

fn find(name: &str, package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(MORE_DIRECTORIES.map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| is_program(candidate))
        .ok_or_else(|| {
            Failure::new(format!("the program '{name}' is missing: install the package {package}"))
        })
}

/// Whether this is a file that may be executed.
pub(crate) fn is_program(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_missing_program_names_its_package() {
        let error = super::find("no-such-program", "such-package").unwrap_err();
        assert!(error.to_string().contains("install the package such-package"), "{error}");
    }
}
