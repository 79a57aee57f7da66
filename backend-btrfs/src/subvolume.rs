//! Deleting a subvolume with everything nested in it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use mocker_core::trace::kernel_call;
use mocker_core::tree;
use rustix::fs::Mode;
use rustix::io::Errno;

use crate::error::{During, Failure};
use crate::layout::DIRECTORY;
use crate::{nested, sys};

/// How often nested subvolumes are looked for again when the kernel still
/// finds one; more are needed only while somebody goes on making them.
const ROUNDS: usize = 16;

/// Deletes the subvolume `name` in `directory`, nested ones first, deepest
/// first, read-only ones too, and those of which the top is immutable or
/// append-only. Nothing is walked; the space comes back later.
pub(crate) fn destroy(directory: BorrowedFd<'_>, name: &OsStr, shown: &Path) -> Result<(), Failure> {
    const DOING: &str = "delete the subvolume";
    for _ in 0..ROUNDS {
        let delete = kernel_call("ioctl(BTRFS_IOC_SNAP_DESTROY_V2)", shown.display(), || {
            sys::destroy_subvolume(directory, name)
        });
        match delete {
            Ok(()) => return Ok(()),
            Err(error) if is(&error, Errno::NOENT) => return Ok(()),
            Err(error) if is(&error, Errno::NOTEMPTY) => {}
            Err(error)
                if is(&error, Errno::PERM) && unprotect_top(directory, name).during(DOING, shown)? =>
            {
                continue;
            }
            Err(error) => return Err(Failure::kernel(DOING, shown, error)),
        }
        let top = rustix::fs::openat(directory, name, DIRECTORY, Mode::empty()).during(DOING, shown)?;
        destroy_nested(&top)?;
    }
    Err(Failure::kernel(DOING, shown, Errno::NOTEMPTY))
}

fn destroy_nested(top: &OwnedFd) -> Result<(), Failure> {
    let info = sys::subvolume_info(top.as_fd()).map_err(|source| Failure::Kernel {
        operation: "look at the subvolume",
        path: "of the node".into(),
        source,
    })?;
    let found = nested::find(top.as_fd(), info.id)?;
    for inner in found.iter().rev() {
        mocker_core::story!("deleting the nested subvolume /{}", inner.path.display());
        const DOING: &str = "delete the nested subvolume";
        let (holder, directory) = inner.parent;
        let parent = match sys::open_directory_inode(top.as_fd(), holder, directory) {
            Ok(parent) => parent,
            // Its directory is gone, and so is it.
            Err(error) if is(&error, Errno::STALE) || is(&error, Errno::NOENT) => continue,
            Err(error) => return Err(Failure::kernel(DOING, &inner.path, error)),
        };
        let delete = || {
            kernel_call("ioctl(BTRFS_IOC_SNAP_DESTROY_V2)", format_args!("subvolume id {}", inner.id), || {
                sys::destroy_subvolume(parent.as_fd(), &inner.name)
            })
        };
        match delete() {
            Ok(()) => {}
            Err(error) if is(&error, Errno::NOENT) => {}
            // The subvolume that holds it is read-only.
            Err(error) if is(&error, Errno::ROFS) || is(&error, Errno::PERM) || is(&error, Errno::ACCESS) => {
                make_writable(top, holder).during(DOING, &inner.path)?;
                tree::unprotect(&parent).during(DOING, &inner.path)?;
                unprotect_top(parent.as_fd(), &inner.name).during(DOING, &inner.path)?;
                delete().during(DOING, &inner.path)?;
            }
            Err(error) => return Err(Failure::kernel(DOING, &inner.path, error)),
        }
    }
    Ok(())
}

/// Clears the read-only flag of a subvolume, which is set on its top.
fn make_writable(on: &OwnedFd, tree: u64) -> std::io::Result<()> {
    let top =
        sys::open_directory_inode(on.as_fd(), tree, linux_raw_sys::btrfs::BTRFS_FIRST_FREE_OBJECTID.into())?;
    sys::set_read_only(top.as_fd(), false)
}

/// Takes off what keeps a subvolume from being deleted: flags of its top. Those of
/// anything beneath do not matter.
fn unprotect_top(directory: BorrowedFd<'_>, name: &OsStr) -> std::io::Result<bool> {
    let top = rustix::fs::openat(directory, name, DIRECTORY, Mode::empty())?;
    if !tree::is_protected(&top)? {
        return Ok(false);
    }
    mocker_core::story!("taking the flags off '{}' that forbid to delete it", name.display());
    // A snapshot has the flags of what it was made of.
    sys::set_read_only(top.as_fd(), false)?;
    Ok(tree::unprotect(&top)?)
}

fn is(error: &std::io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}
