//! The writable side of an overlay: making it, and turning it into a layer.

use std::os::fd::AsFd;

use mocker_core::backend::{Chain, LayerId, NodeId, WorkId};
use mocker_core::tree::copy::{Unwatched, copy_directory_metadata, copy_tree};
use mocker_core::tree::leave_out::{self, LeaveOut};
use mocker_core::{Error, ErrorKind, Result, mount};
use rustix::fs::{CWD, Gid, Mode, Uid};

use crate::layout::{DIRECTORY, Layout, failed};

/// Whether overlayfs keeps what it knows of a directory in the attribute of this
/// name. One of that kind that was set through an overlay has the prefix twice:
/// it belongs to whoever set it (`ovl_xattr_escape_name` of fs/overlayfs/xattrs.c,
/// since Linux 6.7).
fn is_private(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"trusted.overlay.";
    name.strip_prefix(PREFIX).is_some_and(|rest| !rest.starts_with(b"overlay."))
}

impl Layout {
    /// Makes the two directories of a new work area. An overlay shows the
    /// owner, mode, attributes and times of its upper as those of `/`, so the
    /// upper takes them over from what is beneath.
    pub(crate) fn make_upper(&self, node: NodeId, base: &Chain) -> Result<()> {
        self.require(base)?;
        self.numbered.make(node, |_| self.fill_upper(node, base.tip()))
    }

    fn fill_upper(&self, node: NodeId, tip: Option<LayerId>) -> Result<()> {
        let (changes, work) = (self.numbered.tree(node), self.work(node));
        for directory in [&changes, &work] {
            rustix::fs::mkdir(directory, Mode::RWXU).map_err(|errno| failed("make", directory, errno))?;
        }
        let top = rustix::fs::openat(CWD, &changes, DIRECTORY, Mode::empty())
            .map_err(|errno| failed("open", &changes, errno))?;
        if let Some(tip) = tip {
            return copy_directory_metadata(&self.numbered.open_tree(tip.0)?, &top, is_private);
        }
        rustix::fs::fchown(&top, Some(Uid::ROOT), Some(Gid::ROOT))
            .and_then(|()| rustix::fs::fchmod(&top, Mode::from_raw_mode(0o755)))
            .map_err(|errno| failed("set the mode of", &changes, errno))
    }

    /// Turns the upper of a stopped container into a layer, and the spare into
    /// its next upper. Nothing is copied or moved, and nothing existing is
    /// changed but for the engine's own empty mount points.
    pub(crate) fn flip(&self, work: WorkId, spare: NodeId, targets: &[LeaveOut]) -> Result<()> {
        let upper = self.numbered.open_tree(work.0)?;
        self.numbered.make(spare, |scratch| {
            self.refuse_held(work, scratch)?;
            leave_out::remove_if_empty(upper.as_fd(), targets)?;
            self.fill_upper(spare, Some(LayerId(work.0)))
        })
    }

    /// Turns the upper of an import, whose work area ends, into a layer.
    pub(crate) fn consume(&self, work: WorkId, spare: NodeId, targets: &[LeaveOut]) -> Result<()> {
        let upper = self.numbered.open_tree(work.0)?;
        self.numbered.make(spare, |scratch| {
            self.refuse_held(work, scratch)?;
            leave_out::remove_if_empty(upper.as_fd(), targets).map(drop)
        })
    }

    /// Copies the upper of a paused container into the spare, which is the
    /// layer then. Whiteouts and the overlay's own attributes come along as
    /// what they are to the file system.
    pub(crate) fn copy_upper(&self, work: WorkId, spare: NodeId, targets: &[LeaveOut]) -> Result<()> {
        let source = self.numbered.open_tree(work.0)?;
        self.numbered.make(spare, |_| {
            let changes = self.numbered.tree(spare);
            rustix::fs::mkdir(&changes, Mode::RWXU).map_err(|errno| failed("make", &changes, errno))?;
            let layer = self.numbered.open_tree(spare)?;
            let copied = copy_tree(source.as_fd(), layer.as_fd(), &Unwatched)
                .map_err(|error| error.context("cannot copy the changes"))?;
            mocker_core::story!(
                "copied the changes of work area {work} to node {spare}: {} entries, {} bytes shared by \
                 reflink, {} bytes copied",
                copied.entries,
                copied.reflinked,
                copied.bytes
            );
            leave_out::remove_if_empty(layer.as_fd(), targets).map(drop)
        })
    }

    /// A layer must never be written to again, so nothing may hold its overlay
    /// any more: no mount in any namespace, and no descriptor.
    fn refuse_held(&self, work: WorkId, scratch: &std::path::Path) -> Result<()> {
        if !mount::is_held(&self.numbered.tree(work.0), scratch)? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Busy,
            format!("work area {work} is still in use: somebody holds its overlay, or a file from it"),
        )
        .with_hint("a process that got a descriptor from the container may hold it; end it, then try again"))
    }
}

#[cfg(test)]
mod tests {
    use super::is_private;

    #[test]
    fn what_a_container_set_is_not_the_overlays() {
        assert!(is_private(b"trusted.overlay.opaque"));
        assert!(is_private(b"trusted.overlay.overlayed"));
        assert!(!is_private(b"trusted.overlay.overlay.opaque"));
        assert!(!is_private(b"trusted.overlays"));
        assert!(!is_private(b"user.overlay.opaque"));
    }
}
