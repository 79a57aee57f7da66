//! Makes what a [`Rootfs`] describes reachable, by descriptor.
//!
//! An overlay is mounted **detached**: the mount has no place in any mount
//! namespace, nobody else can see it, and it goes when its last descriptor is
//! closed, so a killed process leaves none behind. `overlay.rs` makes such
//! mounts, in one of three ways, and `legacy.rs` is the third.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use crate::backend::Rootfs;
use crate::error::{Error, Result};
use crate::sandbox::sys;
use crate::trace::kernel_call;

mod legacy;
mod overlay;

pub use overlay::{MOST_LAYERS, Method, is_held, mount as mount_overlay, mount_by};

/// A tree that can be reached. Dropping it gives up an overlay's mount.
#[derive(Debug)]
pub struct View {
    mount: Option<OwnedFd>,
    top: OwnedFd,
}

impl View {
    /// Opens a tree.
    ///
    /// # Errors
    /// Those of opening a directory, or of mounting an overlay:
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where it has
    /// more layers than the kernel takes,
    /// [`ErrorKind::Busy`](crate::ErrorKind::Busy) where its upper directory
    /// is in use.
    pub fn open(rootfs: &Rootfs) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rootfs {
            Rootfs::Directory(path) => {
                let top = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
                    Error::io(format_args!("cannot open the directory '{}'", path.display()), errno)
                })?;
                Ok(Self { mount: None, top })
            }
            Rootfs::Overlay(plan) => {
                let mount = mount_overlay(plan)?;
                let top = openat(&mount, ".", flags, Mode::empty())
                    .map_err(|errno| Error::io("cannot open the top of an overlay", errno))?;
                Ok(Self { mount: Some(mount), top })
            }
        }
    }

    /// The top of the tree, open for reading and for `openat`.
    pub fn top(&self) -> BorrowedFd<'_> {
        self.top.as_fd()
    }

    /// The tree as a detached mount, to be given to a container.
    ///
    /// # Errors
    /// Those of cloning a mount: without root,
    /// [`ErrorKind::PermissionDenied`](crate::ErrorKind::PermissionDenied).
    pub fn detached(&self) -> Result<OwnedFd> {
        match &self.mount {
            Some(mount) => {
                mount.try_clone().map_err(|error| Error::io("cannot hand over the mount of a tree", error))
            }
            None => clone_mount(self.top.as_fd(), Path::new("")),
        }
    }
}

/// The same directory, with what is mounted beneath it, through a detached mount
/// on which reading leaves no access times: a symlink has no descriptor by which
/// it could be read quietly. `None`, and a word in the trace, where the kernel
/// does not give one.
pub(crate) fn quietly(directory: BorrowedFd<'_>) -> Option<OwnedFd> {
    let open = || -> std::io::Result<OwnedFd> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE
            | OpenTreeFlags::AT_EMPTY_PATH;
        let mount = open_tree(directory, "", flags)?;
        sys::mount_setattr_recursively(mount.as_fd(), MountAttrFlags::MOUNT_ATTR_NOATIME)?;
        Ok(mount)
    };
    match open() {
        Ok(mount) => Some(mount),
        Err(error) => {
            crate::story!("reading the source may set access times of its symlinks: {error}");
            None
        }
    }
}

/// Makes a detached mount of a directory, and of nothing mounted beneath it.
fn clone_mount(directory: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    kernel_call("open_tree(2)", "the container's tree, OPEN_TREE_CLONE", || open_tree(directory, path, flags))
        .map_err(|errno| {
            let error = Error::io("cannot make a mount of the container's tree", errno);
            match errno {
                rustix::io::Errno::PERM => error.with_hint("run it as root, for example with sudo"),
                rustix::io::Errno::NOSYS => error.with_hint("Linux 5.12 or newer is needed"),
                _ => error,
            }
        })
}

#[cfg(test)]
mod tests;
