//! Random scripts: the same edits, commits, branches and deletions for a
//! backend and for plain directories, which must come out the same.
//!
//! `generator.rs` makes a script out of a seed, knowing through `model.rs` what
//! is there. `player.rs` plays it on both sides: `nodes.rs` is the backend's,
//! `reference.rs` the plain directories. `shrink.rs` makes a script that fails
//! as short as it can.
//!
//! A script does not depend on the backend. Where one declares a difference
//! ([`RenameDir`](mocker_core::RenameDir),
//! [`HardlinkCopyup`](mocker_core::HardlinkCopyup)), the player expects just
//! that: a rename that is refused is not made on the plain side either, a link
//! that is to break is broken there first. Two more differences are left out: a
//! character device 0:0, and attributes that begin with `trusted.overlay.`,
//! mean something to an overlay.
//!
//! **Holes.** Where [`Sparse::Kept`](mocker_core::Sparse) is declared, each
//! block of 4 KiB must be a hole on both sides or on neither; the plain
//! directories lie on the same file system then, because file systems differ in
//! which blocks they fill. Elsewhere a hole reads as zeros, and equals them.

use std::fmt;

use crate::edit::Edit;

mod generator;
mod model;
mod player;
mod reference;
mod shrink;
#[cfg(test)]
mod tests;

pub use generator::generate;
pub use player::Stage;
pub(crate) use player::during;
pub use shrink::shrink;

/// Names a layer or a work area by the step that made it; the work area that is
/// there from the start is 0.
pub type Label = u64;

/// A step, with its number. It keeps that when others are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What labels, times and contents follow from.
    pub number: u64,
    /// What is done.
    pub action: Action,
}

/// What a step does. Whatever names something that is not there does nothing, so
/// that a script still means something when steps are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Changes the current work area.
    Edit(Edit),
    /// Makes a layer of the current work area.
    Commit(How),
    /// Makes a work area over a layer, or over nothing, and goes on there.
    Branch(Option<Label>),
    /// Goes on in another work area.
    Switch(Label),
    /// Deletes a work area that is not the current one.
    DeleteWork(Label),
    /// Deletes a layer, unless something needs it.
    DeleteLayer(Label),
}

/// In which of its ways a work area is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Nobody uses it, and it lives on.
    Idle,
    /// Somebody uses it, and holds still; it lives on.
    Paused,
    /// It ends, and another one is made over the layer.
    Consume,
}

impl Step {
    fn edit(&self) -> Option<&Edit> {
        match &self.action {
            Action::Edit(edit) => Some(edit),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, action } = self;
        write!(f, "{number:5}  ")?;
        match action {
            Action::Edit(edit) => edit.fmt(f),
            Action::Commit(how) => write!(f, "commit as layer {number} ({how:?})"),
            Action::Branch(Some(layer)) => write!(f, "make work area {number} over layer {layer}"),
            Action::Branch(None) => write!(f, "make work area {number} over nothing"),
            Action::Switch(work) => write!(f, "go on in work area {work}"),
            Action::DeleteWork(work) => write!(f, "delete work area {work}"),
            Action::DeleteLayer(layer) => write!(f, "delete layer {layer}"),
        }
    }
}

/// Where the sides part, and how.
#[derive(Debug, Clone)]
pub struct Failure {
    /// How many steps of the script it took.
    pub steps: usize,
    /// What is different, or what the backend cannot do.
    pub what: String,
}

/// What a script came to, for people.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Tally {
    pub edits: u64,
    pub refused: u64,
    pub renames_across: u64,
    pub links_broken: u64,
    pub commits: u64,
    pub branches: u64,
    pub trees_compared: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}
