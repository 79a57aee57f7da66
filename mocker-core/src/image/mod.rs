//! What an image is besides its layers: its name and its configuration.

mod change;
mod config;
mod name;
mod selector;

pub use change::apply_change;
pub use config::Config;
pub use name::{
    CONTAINER_PREFIX, IMAGE_PREFIX, Reference, check_container_name, escaped, fresh_container_id,
    fresh_image_id, is_id, is_obeyed, printable,
};
pub use selector::{Selector, refuse_version, version_number};
