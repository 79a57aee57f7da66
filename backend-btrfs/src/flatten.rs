//! Turning nested subvolumes into directories, in a snapshot of their tree.
//!
//! The work area itself is not touched, so nothing is lost if this stops half
//! way: the new layer is simply thrown away. In the snapshot each nested
//! subvolume is an empty directory that cannot be written to; it is replaced by
//! a directory into which the content is copied by reflink.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use mocker_core::tree::copy::{Unwatched, copy_tree};
use mocker_core::{Error, Result};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, Timestamps};

use crate::error::{During, Failure};
use crate::layout::DIRECTORY;
use crate::nested::Nested;

/// Copies what is nested in `work` into `snapshot`, outer subvolumes first.
pub(crate) fn flatten(work: &OwnedFd, snapshot: &OwnedFd, nested: &[Nested]) -> Result<()> {
    for inner in nested {
        const DOING: &str = "flatten the nested subvolume";
        let source = open_beneath(work, &inner.path).during(DOING, &inner.path)?;
        let parent = inner.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = open_beneath(snapshot, parent.unwrap_or(Path::new("."))).during(DOING, &inner.path)?;
        let Some(name) = inner.path.file_name() else { continue };

        let times = rustix::fs::fstat(&parent).during(DOING, &inner.path)?;
        // An outer subvolume that was copied just now brought a copy of the placeholder along.
        match rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(Failure::kernel(DOING, &inner.path, errno).into()),
        }
        rustix::fs::mkdirat(&parent, name, Mode::RWXU).during(DOING, &inner.path)?;
        let destination =
            rustix::fs::openat(&parent, name, DIRECTORY, Mode::empty()).during(DOING, &inner.path)?;
        let copied = copy_tree(source.as_fd(), destination.as_fd(), &Unwatched).map_err(|error: Error| {
            error.context(format_args!("cannot flatten '/{}'", inner.path.display()))
        })?;
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

fn open_beneath(top: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(top, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
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
