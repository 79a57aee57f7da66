//! What a backend, and the engine over it, must prove: the means for it.
//!
//! A suite is a list of [`harness::Case`]s. The harness runs each of them on
//! every lane (a kind of place for the root), with a [`fixture::Fixture`] of
//! its own, and fails a case that leaks anything. [`oracle`] compares trees in
//! everything that a file system keeps.

#![expect(clippy::expect_used, reason = "a fixture that cannot be set up must fail the case at once")]

mod call;
mod consistency;
pub mod fixture;
pub mod harness;
pub mod lane;
mod leaks;
pub mod oracle;
mod rootfs;
mod site;
mod tree;
