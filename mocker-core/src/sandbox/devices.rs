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

use super::mounts::{INERT, READ_ONLY, attach, clone_mount, mount_new};
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

/// Directories in which something is mounted.
const DIRECTORIES: [&str; 3] = ["pts", "shm", "mqueue"];

/// The host's devices as detached mounts; to be taken before the root changes.
pub(super) fn detach_devices() -> Result<Vec<OwnedFd>> {
    DEVICES
        .iter()
        .map(|(name, wanted_major, wanted_minor)| {
            let path = Path::new("/dev").join(name);
            let failed = |error: Errno| Error::io(format!("cannot take the host's /dev/{name}"), error);
            let device = clone_mount(CWD, &path).map_err(failed)?;
            let stat = fstat(&device).map_err(failed)?;
            let number = (major(stat.st_rdev), minor(stat.st_rdev));
            if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice
                || number != (*wanted_major, *wanted_minor)
            {
                let text = format!("the host's /dev/{name} is not the device {wanted_major}:{wanted_minor}");
                return Err(Error::new(ErrorKind::Conflict, text)
                    .with_hint(format!("mknod -m 666 /dev/{name} c {wanted_major} {wanted_minor}")));
            }
            sys::mount_setattr(device.as_fd(), MountAttrFlags::MOUNT_ATTR_NOSUID | READ_ONLY)
                .map_err(|error| Error::io(format!("cannot protect the host's /dev/{name}"), error))?;
            Ok(device)
        })
        .collect()
}

/// Mounts `/dev` with all that is in it; answers its root. The file mode
/// creation mask must be 0.
pub(super) fn mount_dev(root: BorrowedFd<'_>, devices: &[OwnedFd]) -> Result<OwnedFd> {
    let dev = mount_new((root, ""), "dev", "tmpfs", &[("size", "64k"), ("mode", "755")], INERT)?;
    let failed = |name: &str, error: Errno| Error::io(format!("cannot make /dev/{name}"), error);
    for ((name, ..), device) in DEVICES.iter().zip(devices) {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        openat(&dev, *name, flags, Mode::from_raw_mode(0o666))
            .and_then(|place| attach(device.as_fd(), place.as_fd(), &format!("/dev/{name}")))
            .map_err(|error| failed(name, error))?;
    }
    for (name, target) in LINKS {
        symlinkat(target, &dev, name).map_err(|error| failed(name, error))?;
    }
    for name in DIRECTORIES {
        mkdirat(&dev, name, Mode::from_raw_mode(0o755)).map_err(|error| failed(name, error))?;
    }
    let terminals = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    // 5 is the group `tty` of every distribution, as devpts(5) has it.
    mount_new(
        (dev.as_fd(), "/dev"),
        "pts",
        "devpts",
        &[("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")],
        terminals,
    )?;
    mount_new((dev.as_fd(), "/dev"), "shm", "tmpfs", &[("size", "64m"), ("mode", "1777")], INERT)?;
    mount_new((dev.as_fd(), "/dev"), "mqueue", "mqueue", &[], INERT)?;
    Ok(dev)
}
