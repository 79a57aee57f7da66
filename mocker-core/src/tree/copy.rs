//! STUB
#![allow(missing_docs, missing_debug_implementations, unused)]
use crate::error::*;
use std::os::fd::BorrowedFd;
pub trait Progress: Sync {
    fn entries(&self, n: u64);
    fn data(&self, bytes: u64) -> Result<()>;
}
pub struct Copied {
    pub entries: u64,
    pub bytes: u64,
    pub reflinked: u64,
}
pub fn copy_tree(
    source: BorrowedFd<'_>,
    destination: BorrowedFd<'_>,
    progress: &dyn Progress,
) -> Result<Copied> {
    Ok(Copied { entries: 0, bytes: 0, reflinked: 0 })
}
