//! What sets of subvolumes occupy, by the extents that their items name.
//!
//! A tree is not read whole where it need not be. btrfs never writes over a
//! block, so what a work area still has in common with the layer that it was
//! made over lies in blocks that are no newer than that; a search from there on
//! finds what was written since and passes by the rest. `plan.rs` says which trees
//! have to be read from where on, `extents.rs` reads one, and `ledger.rs` knows who
//! has what, and so the answers. `elsewhere.rs` finds what others than nodes hold.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mocker_core::backend::{Measure, NodeId, NodeSet};
use mocker_core::trace::kernel_call;
use rustix::io::Errno;

use crate::backend::Btrfs;
use crate::error::{During, Failure};
use crate::items::{LAST, TOP};
use crate::{nested, sys};

mod elsewhere;
mod extents;
mod ledger;
mod plan;

use ledger::Ledger;
use plan::{Known, Plan};

/// Inodes that are closer to each other than this are looked up by one search: to
/// pass by the items between them costs less than another call.
const CLOSE: u64 = 32;

impl Btrfs {
    pub(crate) fn usage_now(&self, sets: &[NodeSet]) -> Result<Vec<Option<u64>>, Failure> {
        let nodes = self.layout.open_nodes()?;
        let path = self.layout.nodes();
        // What waits in the page cache has no extents yet.
        kernel_call("ioctl(BTRFS_IOC_SYNC)", path.display(), || sys::sync(nodes.as_fd()))
            .during("sync", path)?;
        let known = self.known_nodes(&nodes)?;
        let plan = Plan::of(known, sets);
        let mut reading = Reading { on: nodes.as_fd(), gone: vec![false; plan.known.len()], plan: &plan };
        let ledger = reading.read_all()?;
        let gone = reading.gone;
        let ours = plan.known.iter().flat_map(|known| known.trees.iter().copied()).collect();
        let elsewhere = elsewhere::find(nodes.as_fd(), &ledger.alone(&plan), &ours)?;
        let is_there = |set: usize| !plan.missing[set] && !plan.members[set].iter().any(|node| gone[*node]);
        let figures = ledger.answers(&plan, &elsewhere).into_iter().enumerate();
        Ok(figures.map(|(set, figure)| is_there(set).then_some(figure)).collect())
    }

    /// What there is to know of all nodes, those that are only being made aside.
    fn known_nodes(&self, nodes: &OwnedFd) -> Result<Vec<Known>, Failure> {
        let mut known = Vec::new();
        for node in self.layout.list()? {
            match self.known(nodes, node) {
                Ok(found) => known.push(found),
                Err(Failure::Missing(_)) => {}
                Err(failure) if is_gone(&failure) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(known)
    }

    fn known(&self, nodes: &OwnedFd, node: NodeId) -> Result<Known, Failure> {
        let path = self.layout.subvolume(node);
        let top = self.layout.open_subvolume(node)?;
        let info = sys::subvolume_info(top.as_fd()).during("look at", &path)?;
        let inner = nested::find(nodes.as_fd(), info.id)?.into_iter().map(|inner| inner.id);
        let trees = std::iter::once(info.id).chain(inner).collect();
        Ok(Known { node, trees, info, top: extents::top(&nodes.as_fd(), info.id)? })
    }
}

/// Whether what was asked for was deleted.
fn is_gone(failure: &Failure) -> bool {
    matches!(failure, Failure::Kernel { source, .. } if source.raw_os_error() == Some(Errno::NOENT.raw_os_error()))
}

/// The trees are read into a ledger, in the order that needs the least.
struct Reading<'a> {
    on: BorrowedFd<'a>,
    plan: &'a Plan,
    /// Those that were deleted meanwhile.
    gone: Vec<bool>,
}

impl Reading<'_> {
    fn read_all(&mut self) -> Result<Ledger, Failure> {
        let mut ledger = Ledger::default();
        let plan = self.plan;
        let asked: Vec<_> = (0..plan.known.len()).filter(|node| plan.is_asked(*node)).collect();
        for &node in &asked {
            self.read(node, (TOP, LAST), plan.from(node), |key, extent| ledger.enter(node, key, extent))?;
        }
        for &node in &asked {
            self.look_up_old(node, &mut ledger)?;
        }
        // Whoever else holds an extent refers to it from a block that is no older than the extent.
        let Some(oldest) = ledger.oldest_alone(plan) else { return Ok(ledger) };
        for node in (0..plan.known.len()).filter(|node| !plan.is_asked(*node)) {
            let from = plan.from(node).max(oldest);
            self.read(node, (TOP, LAST), from, |key, _| ledger.join(node, key))?;
        }
        Ok(ledger)
    }

    /// Blocks that were written since a node was made hold older items too, which
    /// the layer beneath has as a rule: that is found out by asking for them, so
    /// that nothing else has to be searched for what is as old.
    fn look_up_old(&mut self, node: usize, ledger: &mut Ledger) -> Result<(), Failure> {
        let plan = self.plan;
        let Some(beneath) = plan.beneath(node).filter(|beneath| !plan.is_asked(*beneath)) else {
            return Ok(());
        };
        let inodes = ledger.inodes_of_older(node, plan.from(node));
        for close in inodes.chunk_by(|one, next| next - one < CLOSE) {
            if let [first, .., last] | [first @ last] = close {
                self.read(beneath, (*first, *last), 0, |key, _| ledger.join(beneath, key))?;
            }
        }
        Ok(())
    }

    /// Hands on the extents in the inodes of a node, from the blocks that were
    /// written in the transaction `from` or later.
    fn read(
        &mut self,
        node: usize,
        inodes: (u64, u64),
        from: u64,
        mut each: impl FnMut(ledger::Key, &extents::Extent),
    ) -> Result<(), Failure> {
        let known = &self.plan.known[node];
        for (place, tree) in known.trees.iter().enumerate() {
            // One that is nested was made in this node, and is read whole.
            let (inodes, from) = if place == 0 { (inodes, from) } else { ((TOP, LAST), 0) };
            let read = extents::each(&self.on, *tree, inodes, from, |extent| {
                let writer = if place == 0 { self.plan.writer(node, extent.made) } else { (*tree).into() };
                each(ledger::Key::of(extent, writer), extent);
            });
            match read {
                Err(failure) if is_gone(&failure) => self.gone[node] |= place == 0,
                done => done?,
            }
        }
        Ok(())
    }
}

/// The members of each set, as places in a list of nodes; `None` where one is
/// not there.
fn places(sets: &[NodeSet], known: &[Known]) -> Vec<Option<Vec<usize>>> {
    let at: HashMap<NodeId, usize> = known.iter().enumerate().map(|(at, known)| (known.node, at)).collect();
    let place = |set: &NodeSet| set.members.iter().map(|member| at.get(&member.node).copied()).collect();
    sets.iter().map(place).collect()
}

fn is_alone(set: &NodeSet) -> bool {
    set.measure == Measure::Alone
}
