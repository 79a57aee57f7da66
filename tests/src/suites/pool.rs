//! U6: the pool, a btrfs in a file for roots on other file systems: made,
//! attached and removed without a trace, and never at the cost of anything.
//!
//! The cases make an ext4 of their own, so that they say the same in every
//! lane.

use std::path::Path;

use crate::harness::Case;

use crate::suites::ground::Ground;

mod destroyed;
mod made;
mod mounted;
mod unfinished;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for part in [made::cases, mounted::cases, destroyed::cases, unfinished::cases] {
        cases.extend(part());
    }
    cases
}

fn status(ground: &Ground<'_>) -> serde_json::Value {
    serde_json::from_str(&ground.run(&["pool", "status", "--format", "json"]).ok()).unwrap()
}

/// A fingerprint of a file's content.
fn fingerprint(path: &Path) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(&std::fs::read(path).unwrap());
    hasher.finish()
}
