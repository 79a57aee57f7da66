//! Paths that the engine made in a tree for its own ends.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A mount point that was missing in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveOut {
    /// Path below the root.
    pub path: PathBuf,
}
