//! What a backend, and the engine over it, must prove: the means for it.
//!
//! A suite is a list of [`harness::Case`]s. The harness runs each of them on
//! every lane (a kind of place for the root), with a [`fixture::Fixture`] of
//! its own, and fails a case that leaks anything. [`oracle`] compares trees in
//! everything that a file system keeps. A [`script`] is a random list of [`edit`]s,
//! commits and branches, played on a backend and on plain directories at once.
//! [`suites`] are the cases, [`registry`] is what they are to prove, and
//! [`program`] is a whole mocker with the command that runs them.

#![expect(clippy::expect_used, reason = "a fixture that cannot be set up must fail the case at once")]

mod apply;
mod call;
mod comparison;
mod consistency;
mod driver;
pub mod edit;
mod faults;
pub mod fixture;
pub mod harness;
mod kit;
pub mod lane;
mod leaks;
pub mod mutant;
pub mod nodes;
pub mod oracle;
pub mod registry;
mod rootfs;
pub mod script;
mod site;
#[expect(clippy::unwrap_used, reason = "a case fails by panicking")]
pub mod suites;
pub mod surroundings;
mod sys;
mod traced;
mod tree;

pub use faults::serve_if_asked;
pub use kit::{program, soaks};

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// The compiler says nothing of a file that no `mod` leads to, and its
    /// cases would be missing without a word.
    #[test]
    fn every_file_of_the_suites_is_part_of_them() {
        let suites = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/suites");
        for found in walkdir::WalkDir::new(&suites).into_iter().map(Result::unwrap) {
            let path = found.path();
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let folder = path.parent().unwrap();
            let above = folder.with_extension("rs");
            let line = format!("mod {};", path.file_stem().unwrap().to_str().unwrap());
            let text = std::fs::read_to_string(&above).unwrap();
            let wired = text.lines().any(|found| found.trim_start_matches("pub(crate) ") == line);
            assert!(wired, "{} has no '{line}' for {}", above.display(), path.display());
        }
    }
}
