//! Mounting overlayfs: by descriptor where the kernel takes that (Linux 6.13),
//! else by path with one option per layer (6.8), else with mount(2).
//!
//! The options are always said in full, whatever the kernel was built with.
//! `index=off`: with an index, a file with several names is copied up as one
//! while the mount lives, and is split when the upper becomes a layer, so that
//! what one run saw is lost for the next. `metacopy=off` and
//! `redirect_dir=nofollow`: a layer then holds whole files at their own paths,
//! and a redirect that an image brings along is not followed. `xino=off`: inode
//! numbers are those of the layers.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use super::legacy;
use crate::backend::{OverlayPlan, Upper};
use crate::error::{Error, ErrorKind, Result};
use crate::trace::kernel_call;
use crate::tree::remove_tree;

/// The most layers that the kernel stacks (`OVL_MAX_STACK` of
/// fs/overlayfs/params.h).
pub const MOST_LAYERS: usize = 500;

/// Every option that decides what ends up in a layer.
pub(super) const OPTIONS: [(&str, &str); 4] =
    [("index", "off"), ("metacopy", "off"), ("redirect_dir", "nofollow"), ("xino", "off")];

/// How the kernel is told of the layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// fsconfig(2) with a descriptor for each layer.
    Descriptors,
    /// fsconfig(2) with a path for each layer.
    Paths,
    /// mount(2) with all layers in one string.
    Legacy,
}

/// Mounts an overlay, detached, in the first of the three ways that this
/// kernel knows.
///
/// # Errors
/// [`ErrorKind::Unsupported`] where there are more layers than the kernel
/// takes, found out before anything is mounted; [`ErrorKind::Busy`] where the
/// upper directory is in use by another mount; those of mounting.
pub fn mount(plan: &OverlayPlan) -> Result<OwnedFd> {
    for method in [Method::Descriptors, Method::Paths] {
        match attempt(plan, method) {
            // What a kernel says that does not know this kind of parameter.
            Err(Failed { doing: Doing::Layer, errno: Errno::INVAL | Errno::NOSYS }) => {
                crate::story!("this kernel does not take overlay layers by {method:?}; trying the next way");
            }
            outcome => return outcome.map_err(|failed| failed.into_error(plan)),
        }
    }
    mount_by(plan, Method::Legacy)
}

/// Mounts an overlay in one way, without falling back.
///
/// # Errors
/// As [`mount`].
pub fn mount_by(plan: &OverlayPlan, method: Method) -> Result<OwnedFd> {
    match method {
        Method::Legacy => {
            refuse_depth(plan, MOST_LAYERS)?;
            legacy::mount(plan)
        }
        method => attempt(plan, method).map_err(|failed| failed.into_error(plan)),
    }
}

/// Whether some mount of overlayfs, in any mount namespace, or a descriptor
/// from one, still holds `upper`.
///
/// The kernel tells by refusing a mount with `index=on` that has it as a lower
/// layer (`ovl_lower_dir` and `ovl_inuse_trylock` of fs/overlayfs/super.c;
/// measured on Linux 6.18). `scratch` is an empty directory on the same file
/// system, and is empty again afterwards.
///
/// # Errors
/// Those of mounting.
pub fn is_held(upper: &Path, scratch: &Path) -> Result<bool> {
    let (top, work) = (scratch.join("trial"), scratch.join("trial-work"));
    for directory in [&top, &work] {
        match rustix::fs::mkdir(directory, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => {
                return Err(Error::io(format_args!("cannot make '{}'", directory.display()), errno));
            }
        }
    }
    let top = Upper { directory: top, work, volatile: true };
    let plan = OverlayPlan { lower: vec![upper.to_owned()], upper: Some(top) };
    let trial =
        attempt_with(&plan, Method::Descriptors, &[("index", "on"), ("metacopy", "off")]).or_else(|failed| {
            match failed {
                Failed { doing: Doing::Layer, errno: Errno::INVAL } => {
                    attempt_with(&plan, Method::Paths, &[("index", "on"), ("metacopy", "off")])
                }
                failed => Err(failed),
            }
        });
    let held = match trial {
        Ok(given_up_at_once) => {
            drop(given_up_at_once);
            Ok(false)
        }
        Err(Failed { errno: Errno::BUSY, .. }) => Ok(true),
        Err(failed) => Err(failed.into_error(&plan).context("cannot find out whether a layer is in use")),
    };
    match (held, sweep(scratch)) {
        (Ok(held), swept) => swept.map(|()| held),
        (Err(error), swept) => Err(error.after_cleanup(swept)),
    }
}

/// Removes what a trial made.
fn sweep(scratch: &Path) -> Result<()> {
    let failing = || format!("cannot clean up '{}'", scratch.display());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(CWD, scratch, flags, Mode::empty()).map_err(|errno| Error::io(failing(), errno))?;
    for name in [c"trial", c"trial-work"] {
        remove_tree(opened.as_fd(), &name.to_owned()).map_err(|error| error.context(failing()))?;
    }
    Ok(())
}

/// At what a mount failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    Start,
    Layer,
    Create,
    TooDeep,
}

struct Failed {
    doing: Doing,
    errno: Errno,
}

fn attempt(plan: &OverlayPlan, method: Method) -> Result<OwnedFd, Failed> {
    attempt_with(plan, method, &OPTIONS)
}

fn attempt_with(plan: &OverlayPlan, method: Method, options: &[(&str, &str)]) -> Result<OwnedFd, Failed> {
    if plan.lower.len() > MOST_LAYERS {
        return Err(Failed { doing: Doing::TooDeep, errno: Errno::INVAL });
    }
    let during = |doing| move |errno| Failed { doing, errno };
    kernel_call("fsmount(2)", format_args!("overlay of {} layers, by {method:?}", plan.lower.len()), || {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(during(Doing::Start))?;
        for (key, value) in options {
            fsconfig_set_string(&context, *key, *value).map_err(during(Doing::Start))?;
        }
        // What /proc/self/mountinfo shows as the source.
        fsconfig_set_string(&context, "source", "mocker").map_err(during(Doing::Start))?;
        // The descriptors must live until the mount is made: paths lead through them.
        let mut held = Vec::new();
        if let Some(upper) = &plan.upper {
            if upper.volatile {
                fsconfig_set_flag(&context, "volatile").map_err(during(Doing::Start))?;
            }
            for (key, path) in [(c"upperdir", &upper.directory), (c"workdir", &upper.work)] {
                held.push(add(context.as_fd(), key, path, method)?);
            }
        }
        for path in &plan.lower {
            held.push(add(context.as_fd(), c"lowerdir+", path, method)?);
        }
        fsconfig_create(&context).map_err(during(Doing::Create))?;
        let read_only = match plan.upper {
            Some(_) => MountAttrFlags::empty(),
            None => MountAttrFlags::MOUNT_ATTR_RDONLY,
        };
        let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID | read_only;
        fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(during(Doing::Create))
    })
}

/// Adds one directory. By path means through the descriptor all the same: the
/// kernel cuts a longer value at 256 bytes.
fn add(context: BorrowedFd<'_>, key: &CStr, path: &Path, method: Method) -> Result<OwnedFd, Failed> {
    let failed = |doing| move |errno| Failed { doing, errno };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(CWD, path, flags, Mode::empty()).map_err(failed(Doing::Start))?;
    let added = match method {
        Method::Descriptors => fsconfig_set_fd(context, key, directory.as_fd()),
        _ => fsconfig_set_string(context, key, format!("/proc/self/fd/{}", directory.as_raw_fd())),
    };
    added.map_err(failed(Doing::Layer))?;
    Ok(directory)
}

/// Refuses before mounting what the kernel would refuse.
pub(super) fn refuse_depth(plan: &OverlayPlan, most: usize) -> Result<()> {
    if plan.lower.len() <= most {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!("an overlay of {} layers cannot be mounted: {most} are the most here", plan.lower.len()),
    )
    .with_hint("make one layer of them with 'mocker commit --squash=all'"))
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.errno.fmt(f)
    }
}

impl Failed {
    fn into_error(self, plan: &OverlayPlan) -> Error {
        if let (Doing::TooDeep, Err(refused)) = (self.doing, refuse_depth(plan, MOST_LAYERS)) {
            return refused;
        }
        explain(plan, self.errno)
    }
}

/// Says what a refusal of the kernel means.
pub(super) fn explain(plan: &OverlayPlan, errno: Errno) -> Error {
    let top = plan.upper.as_ref().map(|upper| &upper.directory).or(plan.lower.first());
    let shown = top.map(|path| path.display().to_string()).unwrap_or_default();
    let error = Error::io(format_args!("cannot mount the overlay with '{shown}' on top"), errno);
    match errno {
        Errno::BUSY => error.with_hint("a container still runs in it; wait for it to end"),
        Errno::NODEV => error.with_hint("this kernel has no overlayfs: try 'modprobe overlay'"),
        Errno::PERM => error.with_hint("run it as root, for example with sudo"),
        Errno::INVAL => error.with_hint(
            "the file system below must support d_type and extended attributes, and must not be an overlay \
             itself; the kernel log says more: dmesg | tail",
        ),
        _ => error,
    }
}
