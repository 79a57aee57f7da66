//! Turning nested subvolumes into directories, in a snapshot of their tree.
//!
//! The work area itself is not touched, so nothing is lost if this stops half
//! way: the new layer is simply thrown away. In the snapshot each nested
//! subvolume is an empty directory that cannot be written to; it is replaced by
//! a directory into which the content is copied by reflink.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use mocker_core::Result;
use mocker_core::tree::copy::{Unwatched, copy_tree};
use rustix::fs::{AtFlags, Gid, Mode, Timestamps, Uid};
use rustix::io::Errno;

use crate::error::{During, Failure};
use crate::layout::DIRECTORY;
use crate::nested::Nested;
use crate::sys;

/// Copies what is nested in the work area `top` into its snapshot `layer`. Only
/// the outermost subvolumes are gone through: a copy takes along what is nested
/// in them.
pub(crate) fn flatten(work: &OwnedFd, top: u64, layer: &OwnedFd, nested: &[Nested]) -> Result<()> {
    const DOING: &str = "flatten the nested subvolume";
    let layer_id = sys::subvolume_info(layer.as_fd()).during("look at the layer", Path::new("/"))?.id;
    for inner in nested.iter().filter(|inner| inner.parent.0 == top) {
        let on = |error: std::io::Error| Failure::kernel(DOING, &inner.path, error);
        let directory = inner.parent.1;
        // A snapshot keeps the numbers of directories.
        let beside = sys::open_directory_inode(work.as_fd(), top, directory).map_err(on)?;
        let parent = sys::open_directory_inode(layer.as_fd(), layer_id, directory).map_err(on)?;
        let source =
            rustix::fs::openat(&beside, &inner.name, DIRECTORY, Mode::empty()).during(DOING, &inner.path)?;

        let times = rustix::fs::fstat(&parent).during(DOING, &inner.path)?;
        match rustix::fs::unlinkat(&parent, &inner.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(Failure::kernel(DOING, &inner.path, errno).into()),
        }
        let destination = make_plain(&parent, &inner.name).during(DOING, &inner.path)?;
        let copied = copy_tree(source.as_fd(), destination.as_fd(), &Unwatched)
            .map_err(|error| error.context(format_args!("cannot flatten '/{}'", inner.path.display())))?;
        rustix::fs::futimens(&parent, &stamps(&times)).during(DOING, &inner.path)?;
        mocker_core::story!(
            "flattened the nested subvolume /{}: {} entries, {} bytes shared by reflink, {} copied",
            inner.path.display(),
            copied.entries,
            copied.reflinked,
            copied.bytes
        );
    }
    Ok(())
}

/// Makes a directory that takes over nothing from its parent: a subvolume did
/// not have its default ACL or its group either.
fn make_plain(parent: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::mkdirat(parent, name, Mode::RWXU)?;
    let made = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())?;
    for inherited in ["system.posix_acl_access", "system.posix_acl_default"] {
        match rustix::fs::fremovexattr(&made, inherited) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
    }
    rustix::fs::fchown(&made, Some(Uid::ROOT), Some(Gid::ROOT))?;
    rustix::fs::fchmod(&made, Mode::RWXU)?;
    Ok(made)
}

fn stamps(stat: &rustix::fs::Stat) -> Timestamps {
    let stamp = |seconds, nanoseconds: u64| rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or_default(),
    };
    Timestamps {
        last_access: stamp(stat.st_atime, stat.st_atime_nsec),
        last_modification: stamp(stat.st_mtime, stat.st_mtime_nsec),
    }
}
