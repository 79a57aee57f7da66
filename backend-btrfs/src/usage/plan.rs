//! Which trees have to be read, and from which transaction on.
//!
//! A node that was made over a layer, and has not lost it, has in blocks that are
//! older than itself nothing but what the layer has too. So for what nodes hold
//! together it is enough to read the layer, and of the node what is newer. That
//! is not enough where the layer alone is in a set and the node is not, or the
//! other way round: the node may have lost some of what the layer has.

use std::collections::HashMap;

use mocker_core::backend::{LayerId, NodeId, NodeSet};

use super::{is_alone, places};
use crate::items::Inode;
use crate::sys::SubvolumeInfo;

/// What is known of a node before its tree is read.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) node: NodeId,
    /// Its tree, and those of the subvolumes nested in it.
    pub(super) trees: Vec<u64>,
    pub(super) info: SubvolumeInfo,
    /// Its top directory.
    pub(super) top: Option<Inode>,
}

impl Known {
    /// What all snapshots of snapshots of one first tree have in common.
    fn origin(&self) -> Option<(u64, (u64, u32))> {
        self.top.map(|top| (top.generation, top.made))
    }
}

/// What is to be read, for which sets.
pub(super) struct Plan {
    pub(super) known: Vec<Known>,
    /// The members of each set, as places in `known`; none where one is missing.
    pub(super) members: Vec<Vec<usize>>,
    pub(super) missing: Vec<bool>,
    /// Which sets a node is in: those that want all, and those that want what is
    /// theirs alone.
    pub(super) all_of: Vec<Vec<usize>>,
    pub(super) alone_of: Vec<Vec<usize>>,
    /// The layer that a node was made over, and the transaction behind the last
    /// one in which they could have blocks in common.
    beneath: Vec<Option<(usize, u64)>>,
    /// Nodes that are read whole although there is a layer beneath.
    whole: Vec<bool>,
}

impl Plan {
    pub(super) fn of(known: Vec<Known>, sets: &[NodeSet]) -> Self {
        let places = places(sets, &known);
        let missing = places.iter().map(Option::is_none).collect();
        let members: Vec<Vec<usize>> = places.into_iter().map(Option::unwrap_or_default).collect();
        let beneath = beneath(&known, sets);
        let (mut all_of, mut alone_of) = (vec![Vec::new(); known.len()], vec![Vec::new(); known.len()]);
        let mut whole = vec![false; known.len()];
        for (number, set) in sets.iter().enumerate() {
            let mut inside = vec![false; known.len()];
            let sets_of = if is_alone(set) { &mut alone_of } else { &mut all_of };
            for &node in &members[number] {
                if !std::mem::replace(&mut inside[node], true) {
                    sets_of[node].push(number);
                }
            }
            for (node, over) in beneath.iter().enumerate() {
                let Some((layer, _)) = *over else { continue };
                whole[node] |= inside[node] != inside[layer] && inside[node] != is_alone(set);
            }
        }
        Self { known, members, missing, all_of, alone_of, beneath, whole }
    }

    /// Whether a node is in any set.
    pub(super) fn is_asked(&self, node: usize) -> bool {
        !self.all_of[node].is_empty() || !self.alone_of[node].is_empty()
    }

    /// The layer beneath a node that is not read whole.
    pub(super) fn beneath(&self, node: usize) -> Option<usize> {
        self.beneath[node].filter(|_| !self.whole[node]).map(|(layer, _)| layer)
    }

    /// The transaction from which on the blocks of a node are read.
    pub(super) fn from(&self, node: usize) -> u64 {
        self.beneath[node].filter(|_| !self.whole[node]).map_or(0, |(_, since)| since)
    }

    /// The work area in which something was written that a node has: its own, the
    /// one that it was taken of, or one beneath.
    pub(super) fn writer(&self, mut node: usize, made: u64) -> u128 {
        while let Some((layer, since)) = self.beneath[node]
            && made < since
        {
            node = layer;
        }
        let SubvolumeInfo { uuid, parent_uuid, read_only, .. } = self.known[node].info;
        u128::from_ne_bytes(if read_only && parent_uuid != [0; 16] { parent_uuid } else { uuid })
    }
}

/// Finds the layer that each node was made over: what the engine says, or what
/// the kernel does of a work area.
fn beneath(known: &[Known], sets: &[NodeSet]) -> Vec<Option<(usize, u64)>> {
    let members = sets.iter().flat_map(|set| &set.members);
    let said: HashMap<NodeId, LayerId> =
        members.filter_map(|member| member.over.map(|over| (member.node, over))).collect();
    let by_number: HashMap<NodeId, usize> =
        known.iter().enumerate().map(|(at, known)| (known.node, at)).collect();
    let by_uuid: HashMap<[u8; 16], usize> =
        known.iter().enumerate().map(|(at, known)| (known.info.uuid, at)).collect();
    let find = |node: &Known| {
        let parent = by_uuid.get(&node.info.parent_uuid).copied();
        let parent = parent.filter(|parent| known[*parent].info.read_only);
        let said = said.get(&node.node).and_then(|layer| by_number.get(&layer.0)).copied();
        let layer = parent.or(said)?;
        let other = &known[layer];
        // A layer is older than what was made over it, so that nobody is beneath itself.
        let is_older = other.info.read_only && other.info.otransid < node.info.otransid;
        if !is_older || node.origin().is_none() || node.origin() != other.origin() {
            return None;
        }
        let made = if parent == Some(layer) { node.info.otransid } else { other.info.otransid };
        Some((layer, made + 1))
    };
    known.iter().map(find).collect()
}
