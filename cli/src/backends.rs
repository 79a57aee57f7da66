//! The storage drivers of this program, the preferred ones first. A new
//! backend adds its line here, and nothing else changes.

use mocker_core::backend::Driver;

/// The drivers of this project.
pub static DRIVERS: &[Driver] =
    &[mocker_backend_btrfs::DRIVER, mocker_backend_overlay::DRIVER, mocker_backend_copy::DRIVER];
