//! What the trees in numbered directories occupy, by the blocks of their files.

use std::collections::hash_map::{Entry, HashMap};
use std::os::fd::AsFd;

use super::{Numbered, failed};
use crate::backend::NodeSet;
use crate::error::{ErrorKind, Result};
use crate::id::NodeId;
use crate::tree::allocated;

/// `EXT4_SUPER_MAGIC`, of ext2 and ext3 too, and `TMPFS_MAGIC` of linux/magic.h.
const EXT4_SUPER_MAGIC: u32 = 0xEF53;
const TMPFS_MAGIC: u32 = 0x0102_1994;

impl Numbered {
    /// Answers [`usage`](crate::SnapshotBackend::usage) with the blocks of each
    /// tree, as if no two had any in common.
    ///
    /// # Errors
    /// Those of looking at directories.
    pub fn usage(&self, sets: &[NodeSet]) -> Result<Vec<Option<u64>>> {
        let mut known: HashMap<NodeId, Option<u64>> = HashMap::new();
        for member in sets.iter().flat_map(|set| &set.members) {
            if let Entry::Vacant(entry) = known.entry(member.node) {
                entry.insert(self.blocks_of(member.node)?);
            }
        }
        let sum = |set: &NodeSet| {
            let figure = |node| known.get(&node).copied().flatten();
            set.members.iter().map(|member| figure(member.node)).sum()
        };
        Ok(sets.iter().map(sum).collect())
    }

    /// Whether [`Numbered::usage`] is right that trees have no blocks in common:
    /// on file systems of which it is known that files never share any.
    pub fn usage_exact(&self) -> bool {
        let kind = rustix::fs::statfs(self.nodes()).map(|found| u32::try_from(found.f_type));
        matches!(kind, Ok(Ok(EXT4_SUPER_MAGIC | TMPFS_MAGIC)))
    }

    fn blocks_of(&self, node: NodeId) -> Result<Option<u64>> {
        let there = || match self.open_tree(node) {
            Ok(tree) => Ok(Some(tree)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let Some(tree) = there()? else { return Ok(None) };
        let bytes = allocated(tree.as_fd()).map_err(|errno| failed("measure", &self.tree(node), errno))?;
        // Of one that was deleted meanwhile some may be missing.
        Ok(there()?.map(|_| bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Measure, Member};

    #[test]
    fn a4_each_tree_counts_once_in_a_set_and_a_missing_one_takes_its_sets_alone() {
        let folder = tempfile::tempdir().unwrap();
        let numbered = Numbered::open(&folder.path().join("x")).unwrap();
        for (node, kib) in [(1, 64), (2, 256)] {
            numbered.make_tree(NodeId(node), |_| Ok(())).unwrap();
            std::fs::write(numbered.tree(NodeId(node)).join("file"), vec![1; kib << 10]).unwrap();
        }
        let set = |nodes: &[u64]| NodeSet {
            members: nodes.iter().map(|node| Member { node: NodeId(*node), over: None }).collect(),
            measure: Measure::All,
        };
        let sets = [set(&[1]), set(&[2]), set(&[2, 1]), set(&[1, 3]), set(&[])];
        let figures = numbered.usage(&sets).unwrap();
        let (one, two) = (figures[0].unwrap(), figures[1].unwrap());
        assert!((64 << 10..96 << 10).contains(&one) && (256 << 10..320 << 10).contains(&two), "{figures:?}");
        assert_eq!(figures[2..], [Some(one + two), None, Some(0)]);
    }
}
