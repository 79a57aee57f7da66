//! Where things lie: `<root>/overlay/nodes/<number>/{fs,work}`, the changes of
//! a node and the kernel's own directory.
//!
//! All are plain directories of one file system, on btrfs of one subvolume:
//! layers from several subvolumes would show different files with the same
//! device and inode number (measured on Linux 6.18).

use std::path::{Path, PathBuf};

use mocker_core::backend::{Chain, OverlayPlan, Upper};
use mocker_core::numbered::Numbered;
use mocker_core::{Error, LayerId, NodeId, Result, WorkId};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The kernel's own directory beside an upper.
const WORK: &str = "work";

pub(crate) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The directory of all nodes.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) numbered: Numbered,
    empty: PathBuf,
}

impl Layout {
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let base = root.join("overlay");
        let this = Self { numbered: Numbered::open(&base)?, empty: base.join("empty") };
        match rustix::fs::mkdir(&this.empty, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => Ok(this),
            Err(errno) => Err(failed("make", &this.empty, errno)),
        }
    }

    /// The kernel's directory of a work area.
    pub(crate) fn work(&self, node: NodeId) -> PathBuf {
        self.numbered.path(node).join(WORK)
    }

    /// Refuses a chain of which a layer is missing.
    pub(crate) fn require(&self, chain: &Chain) -> Result<()> {
        chain.layers().iter().try_for_each(|layer| self.numbered.existing(layer.0).map(drop))
    }

    /// The mount that shows a work area over its chain. Over the empty chain it
    /// lies over an empty directory, so that the kernel watches over what gets
    /// in: what would mean something to an overlay is refused.
    pub(crate) fn writable(&self, work: WorkId, base: &Chain) -> OverlayPlan {
        OverlayPlan {
            lower: self.lower(base.layers(), 1),
            upper: Some(Upper {
                directory: self.numbered.tree(work.0),
                work: self.work(work.0),
                volatile: false,
            }),
        }
    }

    /// The mount that shows a chain of layers, and perhaps a node's changes on
    /// top, for reading. The kernel wants two directories at least.
    pub(crate) fn readable(&self, layers: &[LayerId]) -> OverlayPlan {
        OverlayPlan { lower: self.lower(layers, 2), upper: None }
    }

    fn lower(&self, layers: &[LayerId], least: usize) -> Vec<PathBuf> {
        let mut lower: Vec<_> = layers.iter().rev().map(|layer| self.numbered.tree(layer.0)).collect();
        while lower.len() < least {
            lower.push(self.empty.clone());
        }
        lower
    }
}

pub(crate) fn failed(operation: &str, path: &Path, errno: Errno) -> Error {
    Error::io(format_args!("cannot {operation} '{}'", path.display()), errno)
}
