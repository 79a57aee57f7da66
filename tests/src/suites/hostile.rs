//! S, M: bad names, images made to do harm, full and read-only disks, missing
//! rights: each a clear error, and nothing is lost or touched.

use crate::harness::Case;

mod full;
mod images;
mod names;
mod rights;
mod swapped;
mod words;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for part in [names::cases, words::cases, images::cases, swapped::cases, full::cases, rights::cases] {
        cases.extend(part());
    }
    cases
}
