//! S, M: bad names, images made to do harm, full and read-only disks, missing
//! rights: each a clear error, and nothing is lost or touched.

use crate::harness::Case;

mod full;
mod images;
mod inert;
mod names;
mod outside;
mod rights;
mod subvolumes;
mod swapped;
mod words;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let parts = [
        names::cases,
        words::cases,
        images::cases,
        inert::cases,
        outside::cases,
        subvolumes::cases,
        swapped::cases,
        full::cases,
        rights::cases,
    ];
    cases.extend(parts.iter().flat_map(|part| part()));
    cases
}
