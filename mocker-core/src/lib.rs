//! The storage-backend seam of mocker and the engine that stands on it.
//!
//! Start with [`backend`]: it holds the words and the one trait that a storage
//! driver implements. [`engine`] gives those bytes their meaning (names,
//! versions, containers) and has one file per verb; it keeps its records in
//! [`store`], fills and cleans trees with [`tree`] and runs commands with
//! [`sandbox`].
//!
//! The library never prints, never reads the environment and never asks a
//! question. What it does it tells as `tracing` events (see [`trace`]).

pub mod backend;
mod blocking;
mod capability;
pub mod change;
pub mod crash;
pub mod engine;
mod error;
mod id;
pub mod image;
pub mod mount;
pub mod numbered;
pub mod sandbox;
pub mod store;
pub mod time;
pub mod trace;
pub mod tree;

pub use backend::SnapshotBackend;
pub use capability::{
    Capabilities, CommitConsistency, CommitCost, CopyupUnit, DiffCost, FdCoherence, HardlinkCopyup, Layers,
    Nested, OverlayMarks, Reclaim, RenameDir, Sparse, Views,
};
pub use error::{Error, ErrorKind, Result, kind_of};
pub use id::{Chain, LayerId, Node, NodeId, WorkId};
