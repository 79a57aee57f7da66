//! Since when two trees are no longer known to be equal, by the clock of their
//! file system.
//!
//! A copy has times of last change (`ctime`) of its own, which nobody can set.
//! Beside the tree of a node lies a file that names the node that it was equal
//! to when the file was made: what was changed later is younger than the file.
//! Without such a file nothing is known, and every content has to be compared.

use std::path::PathBuf;

use mocker_core::numbered::Numbered;
use mocker_core::{Error, NodeId, Result};
use rustix::fs::{CWD, Timespec};

/// The name of the file in the directory of a node.
const NAME: &str = "equal";

fn path(nodes: &Numbered, node: NodeId) -> PathBuf {
    nodes.path(node).join(NAME)
}

/// Records that a node equals another one at this moment.
pub(crate) fn mark(nodes: &Numbered, node: NodeId, to: NodeId) -> Result<()> {
    let path = path(nodes, node);
    std::fs::write(&path, to.to_string())
        .map_err(|error| Error::io(format_args!("cannot write '{}'", path.display()), error))
}

/// When one of two nodes was last known to equal the other; `None` where that is
/// not recorded. It does not matter which of them was copied.
pub(crate) fn since(nodes: &Numbered, one: NodeId, other: NodeId) -> Result<Option<Timespec>> {
    for (node, to) in [(one, other), (other, one)] {
        let path = path(nodes, node);
        let failed = |error| Error::io(format_args!("cannot read '{}'", path.display()), error);
        match std::fs::read_to_string(&path) {
            Ok(text) if text == to.to_string() => {}
            Ok(_) => continue,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        }
        let stat = rustix::fs::statat(CWD, &path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| failed(errno.into()))?;
        let Ok(tv_nsec) = stat.st_ctime_nsec.try_into() else { continue };
        return Ok(Some(Timespec { tv_sec: stat.st_ctime, tv_nsec }));
    }
    Ok(None)
}
