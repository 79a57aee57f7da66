//! Mounting overlayfs with mount(2), for kernels before 6.8.
//!
//! All layers go into one string, which the kernel limits to a page. So they
//! are named relative to the directory that all of them lie in, by a thread
//! that has a working directory and a mount namespace of its own. Before the
//! thread ends, and the namespace with it, the mount is cloned into a detached
//! one.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use rustix::fs::CWD;
use rustix::mount::{MountFlags, MountPropagationFlags, OpenTreeFlags, mount_change, open_tree};

use super::overlay::{OPTIONS, explain, refuse_depth};
use crate::backend::OverlayPlan;
use crate::error::{Error, ErrorKind, Result};
use crate::trace::kernel_call;

/// The longest option string: a page less its terminating NUL (mount(2)).
const LONGEST: usize = 4095;

/// Mounts an overlay; see the module.
pub(super) fn mount(plan: &OverlayPlan) -> Result<OwnedFd> {
    let base = common_ancestor(plan);
    let data = options(plan, &base)?;
    if data.len() > LONGEST {
        // As many as fit if all names are as long as these on average.
        let layers = plan.lower.len().max(1);
        refuse_depth(plan, layers * LONGEST / data.len())?;
    }
    let data = CString::new(data)
        .map_err(|_nul| Error::new(ErrorKind::InvalidInput, "a layer's path holds a NUL byte"))?;
    let mounted =
        std::thread::scope(|scope| scope.spawn(|| mount_in_own_namespace(plan, &base, &data)).join());
    mounted.unwrap_or_else(|_panic| Err(Error::new(ErrorKind::Io, "the mounting thread did not finish")))
}

fn mount_in_own_namespace(plan: &OverlayPlan, base: &Path, data: &CString) -> Result<OwnedFd> {
    let failed = |what: &'static str| {
        move |error: std::io::Error| Error::io(format_args!("cannot {what} for an overlay mount"), error)
    };
    nix::sched::unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)
        .map_err(|errno| failed("make a mount namespace")(errno.into()))?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|errno| failed("make the mounts private")(errno.into()))?;
    rustix::process::chdir(base)
        .map_err(|errno| failed("enter the directory of the layers")(errno.into()))?;
    let read_only = if plan.upper.is_some() { MountFlags::empty() } else { MountFlags::RDONLY };
    kernel_call(
        "mount(2)",
        format_args!("overlay of {} layers on {}", plan.lower.len(), base.display()),
        || {
            rustix::mount::mount(
                "mocker",
                ".",
                "overlay",
                MountFlags::NODEV | MountFlags::NOSUID | read_only,
                data.as_c_str(),
            )
        },
    )
    .map_err(|errno| explain(plan, errno))?;
    // By its full path: the working directory is still what lies beneath the mount.
    open_tree(CWD, base, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .map_err(|errno| failed("take the mount over")(errno.into()))
}

fn paths(plan: &OverlayPlan) -> impl Iterator<Item = &PathBuf> {
    plan.lower.iter().chain(plan.upper.iter().flat_map(|upper| [&upper.directory, &upper.work]))
}

/// The deepest directory that holds all the others.
fn common_ancestor(plan: &OverlayPlan) -> PathBuf {
    let mut all = paths(plan).filter_map(|path| path.parent());
    let first = all.next().unwrap_or(Path::new("/")).to_owned();
    all.fold(first, |common, path| {
        common.ancestors().find(|ancestor| path.starts_with(ancestor)).unwrap_or(Path::new("/")).to_owned()
    })
}

/// The option string, with paths relative to `base`.
fn options(plan: &OverlayPlan, base: &Path) -> Result<Vec<u8>> {
    let relative = |path: &Path| -> Result<Vec<u8>> {
        let bytes = path.strip_prefix(base).unwrap_or(path).as_os_str().as_bytes().to_vec();
        if bytes.iter().any(|byte| b":,\\".contains(byte)) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("a layer's path holds ':', ',' or '\\': '{}'", path.display()),
            )
            .with_hint("use a root without them"));
        }
        Ok(bytes)
    };
    let lower: Vec<Vec<u8>> = plan.lower.iter().map(|path| relative(path)).collect::<Result<_>>()?;
    let mut data = [b"lowerdir=".to_vec(), lower.join(&b':')].concat();
    if let Some(upper) = &plan.upper {
        for (key, path) in [(",upperdir=", &upper.directory), (",workdir=", &upper.work)] {
            data.extend(key.as_bytes());
            data.extend(relative(path)?);
        }
        if upper.volatile {
            data.extend(b",volatile");
        }
    }
    for (key, value) in OPTIONS {
        data.extend(format!(",{key}={value}").as_bytes());
    }
    Ok(data)
}
