//! btrfs as a storage backend of mocker: a node is a subvolume, and a layer is
//! a read-only snapshot.
//!
//! Start with [`Btrfs`] in `backend.rs`, which implements the trait. `layout.rs`
//! knows the paths, `subvolume.rs` deletes, `nested.rs` finds subvolumes that a
//! container made, `flatten.rs` turns them into directories, and `observe.rs` names
//! a tree for being compared, with the places that `changes.rs` finds in what was
//! written. `search.rs` reads the trees of the file system, `items.rs` what is in
//! them, `paths.rs` where it lies. `usage.rs` adds up what nodes hold, by extents. `full.rs` tells full data from full metadata.
//! [`pool`] provides a btrfs where the root lies on another file system. Everything is done by ioctl (`sys.rs`); the one
//! program that is run is `mkfs.btrfs`.

mod backend;
mod changes;
mod error;
mod flatten;
mod full;
#[cfg(test)]
mod fuzz;
mod items;
mod layout;
mod nested;
mod observe;
mod paths;
pub mod pool;
mod search;
mod subvolume;
mod sys;
mod usage;

pub use backend::{Btrfs, DRIVER};
