//! Faults of what lies beneath a root: the power goes, a disk forgets what was
//! not flushed, a disk cannot write or read any more.
//!
//! `attached.rs` mounts a file system that lies in a file. `supply.rs` keeps such
//! a file where it can be cloned in an instant, as a power cut would leave it;
//! `disk.rs` serves one through FUSE, and fails as it is told to. `record.rs` is
//! what a workload was promised: what had returned before the fault, and what was
//! under way. Neither needs device-mapper, which many kernels lack.

mod attached;
mod blocks;
mod disk;
mod record;
mod serve;
mod supply;

pub(crate) use attached::Attached;
pub(crate) use disk::{Disk, Fault};
pub(crate) use record::{Possible, Record};
pub use serve::serve_if_asked;
pub(crate) use supply::Supply;
