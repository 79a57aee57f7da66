//! `run` and `start`: what a command meets inside, and what is left outside.
//! R7, R10, S4, S5.

use crate::harness::Case;

mod cycles;
mod directory;
mod forced;
mod inherited;
mod inside;
mod isolation;
mod leftovers;
mod settings;
mod signals;
mod status;
mod streams;

pub(crate) fn cases() -> Vec<Case> {
    let parts = [
        directory::cases,
        status::cases,
        streams::cases,
        signals::cases,
        settings::cases,
        inherited::cases,
        inside::cases,
        isolation::cases,
        leftovers::cases,
        cycles::cases,
        forced::cases,
    ];
    parts.iter().flat_map(|part| part()).collect()
}
