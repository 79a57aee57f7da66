//! Plain copies as a storage backend of mocker: every node is a directory with
//! a whole tree in it, and a work area or a layer is made by copying, with the
//! data shared by reflink where the file system can.
//!
//! It works on any file system and is the reference that the others are held
//! against. Start with [`Copies`] in `backend.rs`, which implements the trait;
//! `layout.rs` knows the paths.
#![forbid(unsafe_code)]

mod backend;
mod layout;

pub use backend::{Copies, DRIVER};
