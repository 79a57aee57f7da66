//! Where a tree may differ from a layer beneath: at what the layers above that
//! one hold, which is what was written since. What is beneath is never listed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use mocker_core::backend::{Candidate, Candidates, Look, Node, NodeId};
use mocker_core::{Error, Result, tree};
use rustix::io::Errno;

use crate::layout::Layout;

/// The mark of a directory that hides what is beneath it, and its value
/// (`ovl_get_opaquedir_val` of fs/overlayfs/util.c). One that a container set
/// through its overlay has another name.
const OPAQUE: &str = "trusted.overlay.opaque";
const IS_OPAQUE: &[u8] = b"y";

/// What the layers hold at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// A directory, or several that are shown as one.
    Directory,
    /// A file or a whiteout.
    Other,
    /// A directory that hides what is beneath, by a mark or by what it lies over.
    /// In each layer alone it may look like one of those that are shown as one.
    Hiding,
}

/// The nodes that hold what was changed since a layer, the lowest first; `None`
/// where that is none of those that the tree stands on.
pub(crate) fn nodes_since(look: &Look<'_>) -> Option<Vec<NodeId>> {
    let layers = look.base.layers();
    let since = layers.iter().position(|layer| Some(*layer) == look.since)?;
    let own = if let Node::Work(work) = look.node { Some(work.0) } else { None };
    Some(layers[since + 1..].iter().map(|layer| layer.0).chain(own).collect())
}

impl Layout {
    /// The places at which these nodes, the lowest first, change a tree.
    pub(crate) fn candidates(&self, nodes: &[NodeId]) -> Result<Candidates> {
        let mut held: BTreeMap<PathBuf, Held> = BTreeMap::new();
        for node in nodes {
            let top = self.numbered.open_tree(*node)?;
            tree::visit(top.as_fd(), |visited| {
                let this = match visited.directory {
                    Some(directory) if is_opaque(directory, visited.path)? => Held::Hiding,
                    Some(_) => Held::Directory,
                    // A whiteout is a device 0:0, and what else it may be is no directory either.
                    None => Held::Other,
                };
                match held.entry(visited.path.to_owned()) {
                    Entry::Vacant(free) => drop(free.insert(this)),
                    // A directory over something else hides what that hid.
                    Entry::Occupied(mut taken) if *taken.get() != this => drop(taken.insert(Held::Hiding)),
                    Entry::Occupied(_) => {}
                }
                Ok(())
            })
            .map_err(|error| error.context(format_args!("cannot list the changes in node {node}")))?;
        }
        mocker_core::story!("the layers above hold {} entries; what is beneath is not looked at", held.len());
        let candidate = |(path, held)| Candidate { path, beneath: held == Held::Hiding };
        Ok(Candidates::Paths(held.into_iter().map(candidate).collect()))
    }
}

fn is_opaque(directory: BorrowedFd<'_>, path: &Path) -> Result<bool> {
    let mut value = [0; IS_OPAQUE.len() + 1];
    match rustix::fs::fgetxattr(directory, OPAQUE, &mut value) {
        Ok(length) => Ok(value[..length] == *IS_OPAQUE),
        // There is none, or a longer one, which has no meaning.
        Err(Errno::NODATA | Errno::RANGE) => Ok(false),
        Err(errno) => {
            let shown = mocker_core::image::printable(&path.to_string_lossy()).to_string();
            Err(Error::io(format_args!("cannot read whether '/{shown}' hides what is beneath"), errno))
        }
    }
}
