//! Makes the tree the container's root, and mounts what the kernel shows there.
//!
//! Everything is mounted by descriptor (fsopen, open_tree, move_mount; Linux
//! 5.2, with mount_setattr 5.12), in a mount namespace that belongs to the
//! container alone, so that nothing is left when its processes are gone.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstatfs, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount_change, move_mount, open_tree,
    unmount,
};

use super::wire::shown;
use super::{BoundFile, root, sys};
use crate::{Error, ErrorKind, Result, trace};

/// What a mount that holds no programs has.
pub(super) const INERT: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NOSUID
    .union(MountAttrFlags::MOUNT_ATTR_NODEV)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);
pub(super) const READ_ONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY;

/// What shows the host through `/proc`, hidden as Docker hides it (moby
/// `daemon/pkg/oci/defaults.go`).
const MASKED_IN_PROC: &[&str] = &[
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];
const MASKED_IN_SYS: &[&str] = &["firmware", "devices/virtual/powercap"];
/// What changes the host through `/proc`, from the same list.
const READ_ONLY_IN_PROC: &[&str] = &["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// A directory that every host has. What is mounted there is so in the
/// container's namespace alone, and goes with the host's root.
const ANY_PLACE: &str = "/proc";

/// `PROC_SUPER_MAGIC` and `SYSFS_MAGIC` of linux/magic.h.
const PROC_MAGIC: u64 = 0x9fa0;
const SYSFS_MAGIC: u64 = 0x6265_6572;

/// Cuts the mount namespace off from the one it was copied from.
pub(super) fn make_private() -> Result<()> {
    trace::kernel_call("mount(2)", format_args!("/, MS_REC|MS_PRIVATE"), || {
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
    })
    .map_err(|error| Error::io("cannot make the mounts of the container private", error))
}

/// Leaves the host's files for good: an empty directory in memory becomes the
/// root of this mount namespace. What is needed of the host must be open.
///
/// The tree is later mounted over that directory, as an initramfs is left
/// (switch_root(8)), and nothing waits for the host's mounts then: letting go of
/// them takes the kernel a grace period of RCU.
pub(super) fn leave_host() -> Result<()> {
    let failed = |error: Errno| Error::io("cannot leave the host's files", error);
    let stage = new_mount("tmpfs", &[("size", "0"), ("mode", "755")], INERT | READ_ONLY).map_err(failed)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = openat(CWD, ANY_PLACE, flags, Mode::empty()).map_err(failed)?;
    attach(stage.as_fd(), place.as_fd(), "a place of the host, to become the root").map_err(failed)?;
    rustix::process::fchdir(&stage).map_err(failed)?;
    trace::kernel_call("pivot_root(2)", "an empty directory", || rustix::process::pivot_root(".", "."))
        .map_err(|error| {
            let error = failed(error);
            match error.kind() {
                ErrorKind::InvalidInput => error.with_hint("the host's own root must not be an initramfs"),
                _ => error,
            }
        })?;
    // The old root now lies on top of the new one, at the same place (pivot_root(2)).
    trace::kernel_call("umount2(2)", format_args!("the host's root, MNT_DETACH"), || {
        unmount(".", UnmountFlags::DETACH)
    })
    .map_err(|error| Error::io("cannot let go of the host's root", error))?;
    rustix::process::chdir("/").map_err(failed)
}

/// Makes `tree`, a detached mount, the root of this process and of its mount
/// namespace; answers a descriptor of it. Comes after [`leave_host`].
///
/// The tree is mounted without devices: the container has `CAP_MKNOD`, and
/// could otherwise open the host's disks. It is mounted without set-id too;
/// no_new_privs makes that void for its programs anyway, but a file that has
/// capabilities would also make the kernel forget the parent-death signal.
pub(super) fn enter(tree: BorrowedFd<'_>) -> Result<OwnedFd> {
    let failed = |error: Errno| Error::io("cannot make the container's tree the root", error);
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    trace::kernel_call("mount_setattr(2)", "the tree, private, nodev, nosuid", || {
        sys::mount_setattr(tree, attributes)
    })
    .map_err(|error| Error::io("cannot mount the container's tree without devices", error))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let stage = openat(CWD, "/", flags, Mode::empty()).map_err(failed)?;
    attach(tree, stage.as_fd(), "/").map_err(failed)?;
    rustix::process::fchdir(tree).map_err(failed)?;
    trace::kernel_call("chroot(2)", "the tree", || rustix::process::chroot(".")).map_err(failed)?;
    openat(CWD, "/", flags, Mode::empty()).map_err(failed)
}

/// Makes files in memory, as detached mounts. The file mode creation mask must
/// be 0. To be called before [`leave_host`], which takes away what the mounts
/// were cloned from: only what is in place can be cloned.
pub(super) fn make_files(files: &[BoundFile]) -> Result<Vec<OwnedFd>> {
    let make = || {
        let top = new_mount("tmpfs", &[("size", "4m"), ("mode", "755")], INERT)?;
        let place = openat(CWD, ANY_PLACE, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        attach(top.as_fd(), place.as_fd(), "a place of the host, for a moment")?;
        let make_one = |(number, file): (usize, &BoundFile)| {
            let name = number.to_string();
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let made = openat(&top, &name, flags, Mode::from_raw_mode(0o644))?;
            std::fs::File::from(made).write_all(&file.content)?;
            Ok(clone_mount(top.as_fd(), Path::new(&name))?)
        };
        files.iter().enumerate().map(make_one).collect::<std::io::Result<_>>()
    };
    make().map_err(|error| Error::io("cannot make files in memory", error))
}

/// Covers files of the container by files of the engine. All targets are
/// resolved before the first is covered, so two that are one are no error:
/// the last file is the one to be seen.
pub(super) fn bind_files(root: BorrowedFd<'_>, files: &[BoundFile], sources: &[OwnedFd]) -> Result<()> {
    let targets: Vec<_> =
        files.iter().map(|file| root::bind_target(root, &file.target)).collect::<Result<_>>()?;
    for ((file, source), target) in files.iter().zip(sources).zip(&targets) {
        let name = shown(&file.target);
        attach(source.as_fd(), target.as_fd(), &name)
            .map_err(|error| Error::io(format!("cannot mount over {name} of the container"), error))?;
    }
    Ok(())
}

/// `/proc` and `/sys` of a container, made and not yet in place.
pub(super) struct KernelViews {
    proc: OwnedFd,
    sys: OwnedFd,
    /// An empty directory, to cover others with.
    nothing: OwnedFd,
}

impl KernelViews {
    /// Makes them, for the namespaces of this process.
    pub(super) fn make() -> Result<Self> {
        let make = |kind: &str, options: &[(&str, &str)], attributes| {
            new_mount(kind, options, attributes)
                .map_err(|error| Error::io(format!("cannot make the container's {kind}"), error))
        };
        Ok(Self {
            proc: make("proc", &[], INERT)?,
            sys: make("sysfs", &[], INERT | READ_ONLY)?,
            nothing: make("tmpfs", &[("size", "0"), ("mode", "755")], INERT | READ_ONLY)?,
        })
    }

    /// Puts them in place, and covers in them what is the host's affair. Comes
    /// after `/dev`, whose `null` covers files.
    pub(super) fn put_in_place(self, root: BorrowedFd<'_>, dev: BorrowedFd<'_>) -> Result<()> {
        let Self { proc, sys, nothing } = self;
        put_in_place(proc.as_fd(), root, "proc")?;
        verify(root, "proc", PROC_MAGIC)?;
        put_in_place(sys.as_fd(), root, "sys")?;
        verify(root, "sys", SYSFS_MAGIC)?;
        for name in READ_ONLY_IN_PROC {
            let Some(place) = beneath(proc.as_fd(), name)? else { continue };
            let protect = || -> std::io::Result<()> {
                let view = clone_mount(proc.as_fd(), Path::new(name))?;
                sys::mount_setattr(view.as_fd(), INERT | READ_ONLY)?;
                Ok(attach(view.as_fd(), place.as_fd(), &format!("/proc/{name}"))?)
            };
            protect().map_err(|error| Error::io(format!("cannot make /proc/{name} read-only"), error))?;
        }
        let masked = MASKED_IN_PROC.iter().map(|name| ("proc", proc.as_fd(), name));
        let mut in_place = false;
        for (view, above, name) in masked.chain(MASKED_IN_SYS.iter().map(|name| ("sys", sys.as_fd(), name))) {
            let Some(place) = beneath(above, name)? else { continue };
            let mut mask = || -> std::io::Result<()> {
                let is_directory = root::kind(place.as_fd())? == FileType::Directory;
                let copy = match is_directory {
                    false => Some(clone_mount(dev, Path::new("null"))?),
                    // Once it is in place it can be cloned like any mount, and not before.
                    true if in_place => Some(clone_mount(nothing.as_fd(), Path::new("."))?),
                    true => None,
                };
                let cover = copy.as_ref().unwrap_or(&nothing);
                attach(cover.as_fd(), place.as_fd(), &format!("/{view}/{name}"))?;
                in_place |= is_directory;
                Ok(())
            };
            mask().map_err(|error| Error::io(format!("cannot hide /{view}/{name}"), error))?;
        }
        Ok(())
    }
}

/// Puts a detached mount on the directory `name` right beneath the root.
pub(super) fn put_in_place(mount: BorrowedFd<'_>, root: BorrowedFd<'_>, name: &str) -> Result<()> {
    let place = root::mount_point(root, name)?;
    attach(mount, place.as_fd(), &format!("/{name}"))
        .map_err(|error| Error::io(format!("cannot mount /{name} of the container"), error))
}

/// Makes a detached mount of a new file system.
pub(super) fn new_mount(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Errno> {
    trace::kernel_call("fsmount(2)", format_args!("{kind} {options:?}"), || {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (key, value) in options {
            fsconfig_set_string(&context, *key, *value)?;
        }
        // What /proc/self/mountinfo shows as the source.
        fsconfig_set_string(&context, "source", kind)?;
        fsconfig_create(&context)?;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    })
}

/// Makes a detached mount of what is at a path, and of nothing beneath it.
pub(super) fn clone_mount(at: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    trace::kernel_call("open_tree(2)", format_args!("{}, OPEN_TREE_CLONE", shown(path)), || {
        open_tree(at, path, flags | OpenTreeFlags::AT_SYMLINK_NOFOLLOW)
    })
}

/// Puts a detached mount on a place; both are descriptors.
pub(super) fn attach(mount: BorrowedFd<'_>, place: BorrowedFd<'_>, name: &str) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    trace::kernel_call("move_mount(2)", format_args!("to {name}"), || move_mount(mount, "", place, "", flags))
}

/// Opens a name in one of the kernel's own views; `None` where it is missing.
fn beneath(view: BorrowedFd<'_>, name: &str) -> Result<Option<OwnedFd>> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match root::open(view, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(Error::io(format!("cannot open {name} of the kernel's view"), error)),
    }
}

/// Checks that a path shows what was mounted there, and not something else.
fn verify(root: BorrowedFd<'_>, name: &str, magic: u64) -> Result<()> {
    let failed = |error: Errno| Error::io(format!("cannot check /{name} of the container"), error);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let found = root::open(root, name, flags, Mode::empty(), resolve).map_err(failed)?;
    if fstatfs(&found).map_err(failed)?.f_type as u64 != magic {
        let text = format!("/{name} of the container is not what was mounted there");
        return Err(Error::new(ErrorKind::Conflict, text));
    }
    Ok(())
}
