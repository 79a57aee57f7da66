//! Kernel overlayfs as a storage backend of mocker: a layer is the difference
//! to the layers beneath, a work area is an upper directory over them, and
//! committing a stopped container turns the one into the other.
//!
//! Start with [`Overlay`] in `backend.rs`, which implements the trait.
//! `layout.rs` knows the paths, `upper.rs` makes and freezes the writable side,
//! `changes.rs` finds what was written since, `probe.rs` finds out by a trial
//! whether overlayfs works at a place, `kernel.rs` what it does there. Mounts are
//! made by mocker-core alone.
#![forbid(unsafe_code)]

mod backend;
mod changes;
mod kernel;
mod layout;
mod probe;
mod upper;

pub use backend::{DRIVER, Overlay};
