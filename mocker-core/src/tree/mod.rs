//! Work on whole trees: the faithful copy, the removal, and the engine's own
//! mount points. Every path is reached through a directory descriptor, because
//! the names in a tree are chosen by whoever made the image.

pub(crate) mod attributes;
pub(crate) mod contents;
pub mod copy;
pub(crate) mod failure;
pub mod in_root;
pub mod leave_out;
mod protection;
mod remove;
pub(crate) mod shared;
mod sys;
pub(crate) mod tasks;
mod usage;
mod visit;

pub use protection::{is_protected, unprotect, unprotect_entry};
pub use remove::remove_tree;
pub use usage::allocated;
pub use visit::{Visited, visit};
