//! Scripts: the same edits, commits, branches and deletions for a backend and
//! for plain directories, which must come out the same; and calls that a
//! backend must refuse.
//!
//! `player.rs` plays a script on both sides: [`Nodes`](crate::nodes::Nodes) is
//! the backend's, `reference.rs` the plain directories. `text.rs` writes a
//! script down, one step a line, and [`parse`] reads it back.
//!
//! Scripts come from two places, which both know through `world.rs` what is
//! there. `generator.rs` makes long ones out of a seed, in which a tree grows
//! through dozens of layers; `shrink.rs` makes one that fails as short as it
//! can. `machine.rs` is a state machine of proptest: many short scripts, in
//! which most is about the calls, and which proptest makes shorter.
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
mod machine;
mod model;
mod player;
mod reference;
mod shrink;
#[cfg(test)]
mod tests;
mod text;
mod world;

pub use generator::{generate, generate_comparisons};
pub use machine::search;
pub use player::Stage;
pub(crate) use player::during;
pub use shrink::shrink;
pub use text::parse;

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
    /// Drops the backend and opens it again, as the next command does. What is
    /// open for writing stays so, as that of a running container does.
    Reopen,
    /// Makes a call that changes nothing.
    Try(Attempt),
    /// Finds out in what the second of two trees, layers or work areas, differs
    /// from the first, and does that to a copy of the first.
    Compare(Label, Label),
}

/// In which of its ways a work area is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Nobody uses it, and it lives on.
    Idle,
    /// Somebody uses it, and holds still; it lives on.
    Paused,
    /// Somebody uses it, and does not hold still; it lives on.
    Running,
    /// It ends, and another one is made over the layer.
    Consume,
}

/// A call that the contract of the trait refuses, or that has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// `create` under the number that a work area has (L2).
    MakeWork(Label),
    /// `create` under the number that a layer has (L2).
    MakeLayer(Label),
    /// `create` over a layer that is not there (L4).
    MakeOver(Missing),
    /// `rootfs` of a node that is not there (L4).
    Open(Missing),
    /// `usage` of a node that is not there (A4).
    Measure(Missing),
    /// `rootfs` of a layer, for writing (L12).
    WriteTo(Label),
    /// `delete` of a node that is not there, which is no error (K1).
    Delete(Missing),
}

/// A node that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Its number was never in use.
    Never,
    /// It was the last one to be deleted.
    Deleted,
}

impl Step {
    fn edit(&self) -> Option<&Edit> {
        match &self.action {
            Action::Edit(edit) => Some(edit),
            _ => None,
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
    pub reopened: u64,
    pub attempts: u64,
    pub trees_compared: u64,
    pub comparisons: u64,
    pub changes: u64,
    pub retyped: u64,
    pub content_alone: u64,
    pub xattr_alone: u64,
    pub links_alone: u64,
    pub holes_alone: u64,
}

/// A script that fails, as short as it could be made.
#[derive(Debug, Clone)]
pub struct Counterexample {
    /// Its steps.
    pub script: Vec<Step>,
    /// How it fails.
    pub failure: Failure,
}

impl std::ops::Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            edits: self.edits + other.edits,
            refused: self.refused + other.refused,
            renames_across: self.renames_across + other.renames_across,
            links_broken: self.links_broken + other.links_broken,
            commits: self.commits + other.commits,
            branches: self.branches + other.branches,
            reopened: self.reopened + other.reopened,
            attempts: self.attempts + other.attempts,
            trees_compared: self.trees_compared + other.trees_compared,
            comparisons: self.comparisons + other.comparisons,
            changes: self.changes + other.changes,
            retyped: self.retyped + other.retyped,
            content_alone: self.content_alone + other.content_alone,
            xattr_alone: self.xattr_alone + other.xattr_alone,
            links_alone: self.links_alone + other.links_alone,
            holes_alone: self.holes_alone + other.holes_alone,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}
