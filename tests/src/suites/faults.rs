//! K2: the power goes, the disk forgets what was not flushed, the disk fails.
//! What had returned before is there after, and what was under way is there
//! whole or not at all.
//!
//! `workload.rs` is what goes on meanwhile, `reopened.rs` looks at what is left.
//! They run alone: clones of one file system have one identity, and a second one
//! would be taken for the first.

use crate::faults::{Attached, Record, Supply};
use crate::fixture::Fixture;
use crate::harness::Case;

mod broken;
mod cut;
mod lost;
mod reopened;
mod workload;

pub(crate) fn cases() -> Vec<Case> {
    let parts = [cut::cases, lost::cases, broken::cases];
    parts.into_iter().flat_map(|part| part()).collect()
}

/// Says which of many rounds it was, where one fails.
struct Told(String);

impl Drop for Told {
    #[expect(clippy::print_stderr, reason = "the panic is told there too")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

/// A supply that has a root with one image in it.
fn prepared(fixture: &Fixture) -> Supply {
    let supply = Supply::new(fixture);
    let mounted = Attached::at(&supply.file(), &supply.path("mount"));
    let there = fixture.with_root(&mounted.path().join("root"));
    workload::begin(&there, &Record::new()).unwrap();
    mounted.detach();
    supply
}
