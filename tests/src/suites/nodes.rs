//! L, C1, D10, R, M, A: the backend alone, in this process, held to what the
//! statements of its trait say.
//!
//! Each statement of `mocker_core::backend` ends with an id; the cases here begin
//! with the same one. What needs the layout of the backends of this project is
//! an area of its own, [`half_made`].

use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use mocker_core::ErrorKind;
use mocker_core::backend::{Access, Chain, Node, NodeId, Sealed, WorkId, complete};
use mocker_core::mount::View;

use crate::harness::Case;
use crate::nodes::{Nodes, look, order};
use crate::oracle::{self, Tree};
use crate::script::How;

mod accounting;
pub(crate) mod half_made;
mod isolation;
mod lifecycle;
mod limits;
mod refusals;
mod removal;
pub(crate) mod watch;

pub(crate) use limits::play;
pub(crate) use limits::{a_bit_of_everything, play_at};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for part in [
        lifecycle::cases,
        refusals::cases,
        isolation::cases,
        removal::cases,
        limits::cases,
        accounting::cases,
    ] {
        cases.extend(part());
    }
    cases
}

/// A case that runs while no other does.
fn alone(name: &'static str, run: fn(&crate::fixture::Fixture)) -> Case {
    Case { name, run, alone: true }
}

/// The ways to freeze a work area.
const HOWS: [How; 3] = [How::Idle, How::Paused, How::Consume];

/// Where a tree is reached, as long as its view is open.
pub(crate) fn top(view: &View) -> PathBuf {
    format!("/proc/self/fd/{}", view.top().as_raw_fd()).into()
}

/// Runs a script of bash in a directory, for what std cannot make.
#[track_caller]
pub(crate) fn bash(directory: &Path, script: &str) {
    let output =
        Command::new("bash").args(["-euc", script]).current_dir(directory.join(".")).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Something of every kind, in all that a tree can hold.
const EVERYTHING: &str = "
    mkdir -p dir/inner empty; echo content > dir/file; ln dir/file link; ln -s ../dir/file dir/symbolic
    mkfifo fifo; mknod null c 1 3; truncate -s 1M hole; printf data >> hole
    printf '#!/bin/sh' > program; chown 70000:80000 program dir; chmod 4751 program; chmod 2770 dir
    setfattr -n user.mark -v value dir/file; setfacl -m u:7:rw dir/file; setfacl -d -m g:9:rx dir/inner
    touch -h -d '2001-02-03 04:05:06.123456789' dir/symbolic dir/file hole dir/inner dir .";

/// Makes a layer over a chain, of what a script of bash does there; answers the
/// chain that ends in it.
#[track_caller]
pub(crate) fn layer(nodes: &Nodes, base: &Chain, script: &str) -> Chain {
    let work = nodes.create(base).unwrap();
    write(nodes, work, base, script);
    let sealed = nodes.snapshot(work, base, How::Consume).unwrap();
    base.clone().with(sealed.layer)
}

/// Does to a work area what a script of bash says.
#[track_caller]
pub(crate) fn write(nodes: &Nodes, work: WorkId, base: &Chain, script: &str) {
    let view = nodes.view(Node::Work(work), base, Access::Write).unwrap();
    // The child does not have the descriptor, but this process has, for as long as it runs.
    let path = format!("/proc/{}/fd/{}", std::process::id(), view.top().as_raw_fd());
    bash(Path::new(&path), script);
}

/// The tree of a work area.
#[track_caller]
pub(crate) fn tree_of(nodes: &Nodes, work: WorkId, base: &Chain) -> Tree {
    look(&nodes.view(Node::Work(work), base, Access::Read).unwrap())
}

/// The tree of the last layer of a chain.
#[track_caller]
pub(crate) fn tip_of(nodes: &Nodes, chain: &Chain) -> Tree {
    look(&nodes.view(Node::Layer(chain.tip().unwrap()), chain, Access::Read).unwrap())
}

/// Asserts that a tree is what it should be.
#[track_caller]
pub(crate) fn same(what: &str, expected: &Tree, found: &Tree) {
    let differences = oracle::differences(expected, found);
    assert!(differences.is_empty(), "{what} is not as it should be:\n{}", differences.join("\n"));
}

/// Freezes a work area as the engine does it, and deletes nothing.
pub(crate) fn seal(
    nodes: &Nodes,
    work: WorkId,
    base: &Chain,
    spare: NodeId,
    how: How,
) -> mocker_core::Result<Sealed> {
    nodes.seal(order(work, base, how, spare))
}

/// What a work area stands on after it was frozen.
fn base_after(work: WorkId, base: &Chain, sealed: Sealed) -> Chain {
    if sealed.layer.0 == work.0 { base.clone().with(sealed.layer) } else { base.clone() }
}

/// The numbers of all nodes.
#[track_caller]
pub(crate) fn numbers(nodes: &Nodes) -> Vec<NodeId> {
    complete(nodes.backend.list()).unwrap()
}

/// Asserts that a call is refused with one of these kinds, in words that name a
/// subject.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(
    what: &str,
    outcome: mocker_core::Result<T>,
    kinds: &[ErrorKind],
) -> String {
    let error = match outcome {
        Ok(done) => panic!("{what} was not refused: {done:?}"),
        Err(error) => error,
    };
    assert!(kinds.contains(&error.kind()), "{what}: {kinds:?} was expected, not {:?}: {error}", error.kind());
    assert!(!error.to_string().is_empty(), "{what}: nothing is said");
    format!("{error} ({})", error.hint().unwrap_or_default())
}
