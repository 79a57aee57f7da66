//! Makes the container's `/dev`: a few harmless devices, terminals of its own,
//! shared memory and message queues.
//!
//! The devices are bind mounts of the host's, each checked to be the one it is
//! called, and read-only, so that nobody in the container can change their
//! mode on the host. New nodes on the file system itself would need it to be
//! mounted with devices, and the container, which has `CAP_MKNOD`, could then
//! make nodes of the host's disks there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, major, minor, mkdirat, openat, symlinkat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::mounts::{INERT, READ_ONLY, attach, clone_mount, new_mount, put_in_place};
use super::sys;
use crate::{Error, ErrorKind, Result};

/// Name, major and minor number (Linux `Documentation/admin-guide/devices.txt`).
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links that programs expect, as Docker makes them.
const LINKS: [(&str, &str); 6] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
];

type Options = &'static [(&'static str, &'static str)];

/// Name, kind, options and attributes of the file systems in it. 5 is the group
/// `tty` of every distribution, as devpts(5) has it.
const FILE_SYSTEMS: [(&str, &str, Options, MountAttrFlags); 3] = [
    (
        "pts",
        "devpts",
        &[("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")],
        MountAttrFlags::MOUNT_ATTR_NOSUID.union(MountAttrFlags::MOUNT_ATTR_NOEXEC),
    ),
    ("shm", "tmpfs", &[("size", "64m"), ("mode", "1777")], INERT),
    ("mqueue", "mqueue", &[], INERT),
];

/// A container's `/dev`, made and not yet in place.
pub(super) struct Devices {
    top: OwnedFd,
    /// What comes onto which place in it, in order, and its name.
    covers: Vec<(&'static str, OwnedFd, OwnedFd)>,
}

impl Devices {
    /// Makes it, with the host's devices, which must be in sight. The file
    /// mode creation mask must be 0.
    pub(super) fn make() -> Result<Self> {
        let failed = |name: &str, error: Errno| Error::io(format!("cannot make /dev/{name}"), error);
        let top = new_mount("tmpfs", &[("size", "64k"), ("mode", "755")], INERT)
            .map_err(|error| Error::io("cannot make a file system for /dev", error))?;
        let mut covers = Vec::new();
        for device in DEVICES {
            let (name, ..) = device;
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let place =
                openat(&top, name, flags, Mode::from_raw_mode(0o666)).map_err(|error| failed(name, error))?;
            covers.push((name, detach(device)?, place));
        }
        for (name, target) in LINKS {
            symlinkat(target, &top, name).map_err(|error| failed(name, error))?;
        }
        for (name, kind, options, attributes) in FILE_SYSTEMS {
            let make = || {
                mkdirat(&top, name, Mode::from_raw_mode(0o755))?;
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                Ok((name, new_mount(kind, options, attributes)?, openat(&top, name, flags, Mode::empty())?))
            };
            covers.push(make().map_err(|error| failed(name, error))?);
        }
        Ok(Self { top, covers })
    }

    /// Puts it onto `/dev` of the container; answers its root.
    pub(super) fn put_in_place(self, root: BorrowedFd<'_>) -> Result<OwnedFd> {
        put_in_place(self.top.as_fd(), root, "dev")?;
        for (name, mount, place) in &self.covers {
            attach(mount.as_fd(), place.as_fd(), &format!("/dev/{name}"))
                .map_err(|error| Error::io(format!("cannot mount /dev/{name}"), error))?;
        }
        Ok(self.top)
    }
}

/// Takes one of the host's devices, as a detached mount.
fn detach((name, wanted_major, wanted_minor): (&str, u32, u32)) -> Result<OwnedFd> {
    let path = Path::new("/dev").join(name);
    let failed = |error: Errno| Error::io(format!("cannot take the host's /dev/{name}"), error);
    let device = clone_mount(CWD, &path).map_err(failed)?;
    let stat = fstat(&device).map_err(failed)?;
    let number = (major(stat.st_rdev), minor(stat.st_rdev));
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice
        || number != (wanted_major, wanted_minor)
    {
        let text = format!("the host's /dev/{name} is not the device {wanted_major}:{wanted_minor}");
        return Err(Error::new(ErrorKind::Conflict, text)
            .with_hint(format!("mknod -m 666 /dev/{name} c {wanted_major} {wanted_minor}")));
    }
    sys::mount_setattr(device.as_fd(), MountAttrFlags::MOUNT_ATTR_NOSUID | READ_ONLY)
        .map_err(|error| Error::io(format!("cannot protect the host's /dev/{name}"), error))?;
    Ok(device)
}
