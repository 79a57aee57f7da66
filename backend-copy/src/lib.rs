//! Plain copies as a storage backend of mocker: every node is a directory with
//! a whole tree in it, and a work area or a layer is made by copying, with the
//! data shared by reflink where the file system can.
//!
//! It works on any file system and is the reference that the others are held
//! against. Start with [`Copies`] in `backend.rs`, which implements the trait; the
//! paths, `<root>/copy/nodes/<number>/fs`, are those of
//! [`Numbered`](mocker_core::numbered::Numbered).
#![forbid(unsafe_code)]

mod backend;
mod equal;

pub use backend::{Copies, DRIVER};
