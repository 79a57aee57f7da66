//! STUB
#![allow(missing_docs, missing_debug_implementations, unused)]
use crate::error::*;
use serde::{Deserialize, Serialize};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
/// A mount point that was missing in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveOut {
    pub path: PathBuf,
}
pub enum TargetKind {
    File,
    Directory,
}
pub fn plan(root: BorrowedFd<'_>, wanted: &[(PathBuf, TargetKind)]) -> Result<Vec<LeaveOut>> {
    Ok(vec![])
}
pub fn make(root: BorrowedFd<'_>, w: &[LeaveOut]) -> Result<()> {
    Ok(())
}
pub fn remove_if_empty(root: BorrowedFd<'_>, w: &[LeaveOut]) -> Result<Vec<PathBuf>> {
    Ok(vec![])
}
