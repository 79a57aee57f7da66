//! N: many commands at once on one root.

use crate::harness::Case;

mod at_once;
mod first_use;
mod held;
mod mixed;
mod stopped;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for part in [held::cases, at_once::cases, first_use::cases, mixed::cases] {
        cases.extend(part());
    }
    cases
}
