//! What differs between two trees.
//!
//! A backend names **candidates**: places that may differ, found by whatever it
//! keeps of what was written ([`Observed`]). One comparison, here, looks at each
//! of them on both sides and makes the list of changes, so that no two backends
//! can disagree about what a change is. `walk.rs` and `cursor.rs` reach the
//! places, `entry.rs` compares what is found there, `links.rs` sorts out hard links.

use std::fmt;
use std::path::PathBuf;

use rustix::fs::{FileType, Timespec};
use serde::Serialize;

use crate::backend::{Chain, LayerId, Node, NodeId, Rootfs, WorkState};

mod cursor;
mod entry;
mod links;
mod walk;

pub use walk::{Comparison, compare};

/// What `observe` is asked to look at.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// The node whose tree is looked at.
    pub node: Node,
    /// As for `rootfs`: what a work area was made over, or the chain that ends
    /// in the layer.
    pub base: &'a Chain,
    /// The layer of `base` since which changes are wanted; `None` where there
    /// is none that both sides stand on.
    pub since: Option<LayerId>,
    /// What the engine's lease says about the container.
    pub state: WorkState,
    /// A fresh number, in case the tree must be frozen to be looked at; every
    /// work area gets one. The engine deletes the node when it is done, whether it
    /// was made or not.
    pub scratch: Option<NodeId>,
}

/// A tree to be compared, and where to look in it.
#[derive(Debug)]
pub struct Observed {
    /// The tree itself. Contents are read from it, and candidates are about it.
    pub view: Rootfs,
    /// Where it may differ from the layer that it is compared with.
    pub candidates: Candidates,
    /// Whether [`Look::scratch`] was made into a node.
    pub scratch_used: bool,
    /// Whether nothing can change the view any more while it is read.
    pub frozen: bool,
}

/// Places in a tree that may differ from another one: all that do, and perhaps
/// more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidates {
    /// Every place. A backend that knows when its tree was made can say that an
    /// entry whose status was last changed (`ctime`) before that is the same as
    /// in the layer, unless it was moved as part of a directory.
    Everything {
        /// The time, by the clock of the tree's own file system.
        unchanged_before: Option<Timespec>,
    },
    /// These places, in any order.
    Paths(Vec<Candidate>),
}

impl Candidates {
    /// Every place, and nothing is known about any.
    pub const ALL: Self = Self::Everything { unchanged_before: None };

    /// The places of two trees that are to be compared, of the first one and of
    /// the second, where both are about the same layer beneath.
    #[must_use]
    pub fn and(self, second: Self) -> Self {
        match (self, second) {
            (Self::Paths(mut first), Self::Paths(second)) => {
                first.extend(second);
                Self::Paths(first)
            }
            // The first is the layer itself. (Of the second, the time would be about the wrong tree.)
            (Self::Paths(none), everything) if none.is_empty() => everything,
            // It may be either tree that changed.
            _ => Self::ALL,
        }
    }
}

/// A place that may differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The path from the top of the tree, without a slash at its start; empty
    /// for the top.
    pub path: PathBuf,
    /// Whether everything beneath it may differ too. What is beneath a directory
    /// that only one of the two trees has is looked at in any case.
    pub beneath: bool,
}

impl Candidate {
    /// This place alone.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), beneath: false }
    }

    /// This place and everything beneath it.
    pub fn beneath(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), beneath: true }
    }
}

/// One difference between two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path from the top of the tree, without a slash at its start; empty
    /// for the top.
    pub path: PathBuf,
    /// Whether it came, went or changed.
    pub kind: Kind,
    /// What it is; where it went, what it was.
    pub file_type: FileType,
    /// Its length in bytes where it is a file, in the tree that has it.
    pub size: u64,
    /// Its length before, where it is a file that changed.
    pub size_before: u64,
    /// Another name of the same inode in the second tree, which comes earlier
    /// in the list or did not change.
    pub link: Option<Box<std::path::Path>>,
}

/// What became of an entry. An entry whose type changed went and came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Only the first tree has it, and with it whatever is beneath it.
    Deleted,
    /// Only the second tree has it.
    Added,
    /// Both have it, and it differs in this.
    Modified(What),
}

/// In what an entry differs: a set of [`Aspect`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct What(u8);

/// Something in which an entry can differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Aspect {
    /// What a file holds, where a symlink leads, which device it is.
    Content = 1,
    /// Permissions, with set-id bits and the sticky bit.
    Mode = 1 << 1,
    /// The owner or the group.
    Owner = 1 << 2,
    /// The time of the last change of its content, in nanoseconds.
    Mtime = 1 << 3,
    /// Extended attributes, with access control lists and file capabilities.
    Xattr = 1 << 4,
    /// Which other names it has.
    Links = 1 << 5,
    /// Where a file has holes.
    Holes = 1 << 6,
}

impl What {
    /// In nothing.
    pub const NOTHING: Self = Self(0);

    /// All aspects, in the order in which they are told.
    const ASPECTS: [Aspect; 7] = [
        Aspect::Content,
        Aspect::Mode,
        Aspect::Owner,
        Aspect::Mtime,
        Aspect::Xattr,
        Aspect::Links,
        Aspect::Holes,
    ];

    /// The set with one aspect more.
    #[must_use]
    pub fn and(self, aspect: Aspect) -> Self {
        Self(self.0 | aspect as u8)
    }

    /// The set with one aspect more, if `differs`.
    #[must_use]
    pub fn and_if(self, aspect: Aspect, differs: bool) -> Self {
        if differs { self.and(aspect) } else { self }
    }

    /// Whether it differs in this.
    pub fn has(self, aspect: Aspect) -> bool {
        self.0 & aspect as u8 != 0
    }

    /// Whether it differs in nothing.
    pub fn is_nothing(self) -> bool {
        self == Self::NOTHING
    }

    /// Whether its content is the same.
    pub fn is_metadata_only(self) -> bool {
        !self.has(Aspect::Content)
    }

    /// The aspects.
    pub fn aspects(self) -> impl Iterator<Item = Aspect> {
        Self::ASPECTS.into_iter().filter(move |aspect| self.has(*aspect))
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Content => "content",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Mtime => "mtime",
            Self::Xattr => "xattr",
            Self::Links => "links",
            Self::Holes => "holes",
        })
    }
}

#[cfg(test)]
mod tests;
