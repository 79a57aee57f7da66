//! Two trees of a backend compared as the engine does it: the backend names
//! places, the core makes the list.

use mocker_core::backend::{
    Access, Candidates, Chain, LayerId, Look, Node, NodeId, Observed, Sparse, WorkState, complete,
};
use mocker_core::change::{self, Change, Comparison, Kind};
use mocker_core::mount::View;

use crate::nodes::Nodes;
use crate::script::during;

/// A tree to be compared.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) node: Node,
    /// What a work area stands on, or the chain that ends in the layer.
    pub(crate) base: Chain,
    pub(crate) state: WorkState,
}

impl Subject {
    /// The last layer of a chain.
    pub(crate) fn tip(chain: &Chain) -> Self {
        let layer = chain.tip().expect("a layer");
        Self { node: Node::Layer(layer), base: chain.clone(), state: WorkState::Idle }
    }
}

/// Two trees that are open, and where they may differ.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) here: View,
    pub(crate) there: View,
    pub(crate) candidates: Candidates,
    pub(crate) holes: bool,
    scratch: Vec<NodeId>,
}

impl Pair {
    /// Asks for two trees, of which the first is where the way begins.
    pub(crate) fn of(nodes: &Nodes, from: &Subject, to: &Subject) -> Result<Self, String> {
        let mut scratch = Vec::new();
        let since = ancestor(&from.base, &to.base);
        let there = nodes.observe(to, since, &mut scratch);
        let here = match since {
            // What the changes are counted from needs no search of its own.
            Some(layer) if Node::Layer(layer) == from.node && from.node != to.node => {
                complete(nodes.backend.rootfs(from.node, &from.base, Access::Read))
                    .map_err(during("ask for a tree"))
                    .map(|view| Observed {
                        view,
                        candidates: Candidates::Paths(Vec::new()),
                        scratch_used: false,
                        frozen: true,
                    })
            }
            _ => nodes.observe(from, since, &mut scratch),
        };
        let (here, there) = (here?, there?);
        let candidates = match since {
            Some(_) => here.candidates.and(there.candidates),
            None => Candidates::ALL,
        };
        let open = |seen| View::open(seen).map_err(during("open a tree"));
        Ok(Self {
            here: open(&here.view)?,
            there: open(&there.view)?,
            candidates,
            holes: nodes.capabilities().sparse == Sparse::Kept,
            scratch,
        })
    }

    /// What differs at the places that are named.
    pub(crate) fn changes(&self) -> Result<Vec<Change>, String> {
        self.compare(self.candidates.clone(), true)
    }

    /// What differs anywhere, by reading all of it.
    pub(crate) fn all_changes(&self) -> Result<Vec<Change>, String> {
        self.compare(Candidates::ALL, false)
    }

    fn compare(&self, candidates: Candidates, one_file_system: bool) -> Result<Vec<Change>, String> {
        let (from, to, holes) = (Some(self.here.top()), self.there.top(), self.holes);
        change::compare(Comparison { from, to, holes, one_file_system }, candidates)
            .map_err(during("compare"))
    }

    /// The same list by both ways, which is what it is.
    pub(crate) fn list(&self) -> Result<Vec<Change>, String> {
        let (changes, all) = (self.changes()?, self.all_changes()?);
        if changes == all {
            return Ok(changes);
        }
        Err(format!(
            "at the places that are named there differs\n{}\nand in the whole trees\n{}\nnamed are {:?}",
            told(&changes),
            told(&all),
            self.candidates
        ))
    }

    /// Gives the trees up, and deletes what was made to look at them.
    pub(crate) fn end(self, nodes: &Nodes) -> Result<(), String> {
        let Self { here, there, scratch, .. } = self;
        drop((here, there));
        scratch.into_iter().try_for_each(|node| nodes.delete(node))
    }
}

impl Nodes {
    /// Asks for a tree and where it differs; a number that is given out for a
    /// frozen copy is added to those to be deleted.
    pub(crate) fn observe(
        &self,
        subject: &Subject,
        since: Option<LayerId>,
        scratch: &mut Vec<NodeId>,
    ) -> Result<Observed, String> {
        let Subject { node, base, state } = subject;
        let spare = (*state != WorkState::Idle).then(|| self.fresh());
        scratch.extend(spare);
        let look = Look { node: *node, base, since, state: *state, scratch: spare };
        let seen = complete(self.backend.observe(look)).map_err(during("observe"))?;
        let nodes = complete(self.backend.list()).map_err(during("list the nodes"))?;
        if spare.is_some_and(|spare| nodes.contains(&spare)) == seen.scratch_used {
            return Ok(seen);
        }
        Err(format!(
            "{subject:?}, seen with {spare:?} to spare, is said to be {seen:?}, and the nodes are {nodes:?}"
        ))
    }

    /// What differs between two trees, each change in a line.
    #[track_caller]
    pub(crate) fn lines(&self, from: &Subject, to: &Subject) -> Vec<String> {
        let pair = Pair::of(self, from, to).unwrap_or_else(|why| panic!("{why}"));
        let changes = pair.list().unwrap_or_else(|why| panic!("{why}"));
        pair.end(self).unwrap_or_else(|why| panic!("{why}"));
        changes.iter().map(line).collect()
    }
}

/// The topmost layer that both stand on.
fn ancestor(one: &Chain, other: &Chain) -> Option<LayerId> {
    one.layers().iter().rev().find(|layer| other.layers().contains(layer)).copied()
}

/// A list, for people.
pub(crate) fn told(changes: &[Change]) -> String {
    changes.iter().map(|change| format!("  {}", line(change))).collect::<Vec<_>>().join("\n")
}

/// `A`, `C` or `D`, the path, in what it differs, and another name of it.
fn line(change: &Change) -> String {
    let path = change.path.to_string_lossy();
    let path = path.escape_debug();
    let link = change.link.as_ref().map(|link| format!(" = {}", link.to_string_lossy().escape_debug()));
    let link = link.unwrap_or_default();
    match change.kind {
        Kind::Deleted => format!("D {path}"),
        Kind::Added => format!("A {path}{link}"),
        Kind::Modified(what) => {
            let aspects: Vec<_> = what.aspects().map(|aspect| aspect.to_string()).collect();
            format!("C {path} {}{link}", aspects.join(","))
        }
    }
}
