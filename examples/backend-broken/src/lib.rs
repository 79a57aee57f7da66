//! A storage backend with faults, to see what the conformance kit says of them:
//!
//! ```text
//! cargo run -p mocker-backend-broken -- conformance --filter nodes
//! ```
//!
//! It copies with `cp --recursive --preserve=mode,ownership,timestamps`, which
//! looks right and forgets extended attributes and hard links (1). It gets the
//! engine's mount points into a layer (2), makes room for a new node by deleting
//! what has its number (3), and tells a figure for what does not exist (4). Of
//! the cases about the backend alone, the area `nodes`, exactly these fail:
//!
//! - `l1_what_was_written_is_what_the_layer_and_all_above_it_show`
//! - `m4_the_place_of_a_store_can_have_any_name`
//! - `d10_paths_of_the_engine_are_not_in_the_layer_unless_something_is_in_them`
//! - `l2_a_number_in_use_is_refused_and_what_has_it_is_unchanged`
//! - `a4_what_does_not_exist_is_not_found`
//! - `a4_what_vanishes_meanwhile_is_not_found`
//!
//! A test (`tests/fails.rs`) reads this list, and holds the kit and the backend
//! to it.
#![forbid(unsafe_code)]

mod backend;

pub use backend::{Broken, DRIVER};
