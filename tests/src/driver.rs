//! The backend of a lane itself, beneath the program: for what it declares, and
//! for calls by the thousand.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use mocker_core::backend::{Capabilities, SnapshotBackend};

use crate::fixture::Fixture;
use crate::nodes::Nodes;
use crate::script::Stage;

impl Fixture {
    /// The backend at the case's root, opened as the program opens it.
    pub fn open_backend(&self) -> Arc<dyn SnapshotBackend> {
        if !self.root().exists() {
            std::fs::DirBuilder::new().mode(0o700).create(self.root()).expect("make the root");
        }
        (self.lane().driver().open)(self.root()).expect("open the backend")
    }

    /// The backend, and numbers for its nodes.
    pub fn nodes(&self) -> Nodes {
        Nodes::of(self.open_backend())
    }

    /// The backend and a place beside its trees, for scripts.
    pub fn stage(&self) -> Stage {
        // It makes what it needs when it is opened first.
        drop(self.open_backend());
        let (open, root) = (self.lane().driver().open, self.root().to_owned());
        Stage::new(move || open(&root), self.beside_the_trees())
    }

    /// What the lane's backend declares about itself.
    pub fn capabilities(&self) -> Capabilities {
        self.open_backend().capabilities()
    }

    /// A directory for anything, on the file system that the backend's trees lie
    /// on.
    pub fn beside_the_trees(&self) -> PathBuf {
        let own = self.root().join(self.lane().backend());
        if own.is_dir() { own.join("beside") } else { self.scratch().join("beside") }
    }
}
