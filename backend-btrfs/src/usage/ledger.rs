//! Who has which extents, and what sets of nodes have alone or together.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};

use super::extents::Extent;
use super::plan::Plan;

/// What an extent is known by, whichever node refers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// Its place on the file system.
    Disk(u64),
    /// Of what lies in a tree: the work area in which it was written, and where in
    /// that, and when.
    Tree { writer: u128, inode: u64, offset: u64, made: u64 },
}

impl Key {
    pub(super) fn of(extent: &Extent, writer: u128) -> Self {
        let Extent { inode, offset, made, .. } = *extent;
        extent.start.map_or(Self::Tree { writer, inode, offset, made }, Self::Disk)
    }
}

#[derive(Debug, Clone)]
struct Held {
    bytes: u64,
    made: u64,
    inode: u64,
    owners: Vec<u32>,
}

/// All extents of some nodes, each with those nodes that have it.
#[derive(Debug, Default)]
pub(super) struct Ledger(HashMap<Key, Held>);

impl Ledger {
    /// Notes that a node has an extent.
    pub(super) fn enter(&mut self, node: usize, key: Key, extent: &Extent) {
        match self.0.entry(key) {
            Entry::Occupied(mut held) => held.get_mut().join(node),
            Entry::Vacant(free) => {
                let Extent { bytes, made, inode, .. } = *extent;
                free.insert(Held { bytes, made, inode, owners: vec![number(node)] });
            }
        }
    }

    /// Notes that a node too has an extent, if anybody has it.
    pub(super) fn join(&mut self, node: usize, key: Key) {
        if let Some(held) = self.0.get_mut(&key) {
            held.join(node);
        }
    }

    /// The inodes of a node that refer to extents which are older than `made`, in
    /// order.
    pub(super) fn inodes_of_older(&self, node: usize, made: u64) -> Vec<u64> {
        let old = self.0.values().filter(|held| held.made < made && held.owners.contains(&number(node)));
        let mut inodes: Vec<u64> = old.map(|held| held.inode).collect();
        inodes.sort_unstable();
        inodes
    }

    /// The oldest of the extents that some set has alone, as far as is known.
    pub(super) fn oldest_alone(&self, plan: &Plan) -> Option<u64> {
        let mut counter = Counter::new(plan.members.len());
        let alone = self.0.values().filter(|held| !counter.alone(&held.owners, plan).is_empty());
        alone.map(|held| held.made).min()
    }

    /// The places of all extents that some set has alone, in order.
    pub(super) fn alone(&self, plan: &Plan) -> Vec<u64> {
        let mut counter = Counter::new(plan.members.len());
        let of = |(key, held): (&Key, &Held)| match *key {
            Key::Disk(start) if !counter.alone(&held.owners, plan).is_empty() => Some(start),
            _ => None,
        };
        let mut places: Vec<u64> = self.0.iter().filter_map(of).collect();
        places.sort_unstable();
        places
    }

    /// What each set has; `elsewhere` are the places of extents that something
    /// holds which is no node.
    pub(super) fn answers(&self, plan: &Plan, elsewhere: &HashSet<u64>) -> Vec<u64> {
        let mut figures = vec![0; plan.members.len()];
        let mut counter = Counter::new(plan.members.len());
        for (key, held) in &self.0 {
            counter.any(&held.owners, plan).iter().for_each(|set| figures[*set] += held.bytes);
            if !matches!(key, Key::Disk(start) if elsewhere.contains(start)) {
                counter.alone(&held.owners, plan).iter().for_each(|set| figures[*set] += held.bytes);
            }
        }
        figures
    }
}

impl Held {
    fn join(&mut self, node: usize) {
        if self.owners.last() != Some(&number(node)) {
            self.owners.push(number(node));
        }
    }
}

/// Nodes are numbered by their places in a list, which is not that long.
fn number(node: usize) -> u32 {
    u32::try_from(node).unwrap_or(u32::MAX)
}

/// Finds the sets that nodes are in, in room that is used again.
struct Counter {
    hits: Vec<usize>,
    touched: Vec<usize>,
    found: Vec<usize>,
}

impl Counter {
    fn new(sets: usize) -> Self {
        Self { hits: vec![0; sets], touched: Vec::new(), found: Vec::new() }
    }

    /// The sets that want all of their nodes, and have one of these.
    fn any(&mut self, nodes: &[u32], plan: &Plan) -> &[usize] {
        self.count(nodes, &plan.all_of, |_| true)
    }

    /// The sets that want what is theirs alone, and have all of these.
    fn alone(&mut self, nodes: &[u32], plan: &Plan) -> &[usize] {
        self.count(nodes, &plan.alone_of, |hits| hits == nodes.len())
    }

    fn count(&mut self, nodes: &[u32], sets_of: &[Vec<usize>], wanted: impl Fn(usize) -> bool) -> &[usize] {
        for set in nodes.iter().flat_map(|node| &sets_of[*node as usize]) {
            if self.hits[*set] == 0 {
                self.touched.push(*set);
            }
            self.hits[*set] += 1;
        }
        self.found.clear();
        for set in self.touched.drain(..) {
            if wanted(std::mem::take(&mut self.hits[set])) {
                self.found.push(set);
            }
        }
        &self.found
    }
}
