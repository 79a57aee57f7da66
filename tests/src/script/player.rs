//! Plays a script on both sides, and says where they part.
//!
//! Compared are the outcome of each edit, down to the error; after each step the
//! numbers of all nodes; after each commit the new layer and the work area that
//! lives on, and a work area that was just made; and every layer once more when
//! it is deleted or the script is over, because nothing that came later may have
//! reached it.
//!
//! `edits.rs` changes trees, `life.rs` makes and deletes them, `compare.rs`
//! looks at them, `changes.rs` has two of them compared by the backend and the
//! core, and `attempts.rs` makes the calls that change nothing.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use mocker_core::backend::{
    Access, Capabilities, Chain, LayerId, Node, NodeId, SnapshotBackend, WorkId, complete,
};
use mocker_core::mount::View;

use super::model::Model;
use super::reference::{Deed, Plain};
use super::{Action, Failure, Label, Step, Tally};
use crate::nodes::Nodes;
use crate::oracle::Tree;

mod attempts;
mod changes;
mod compare;
mod edits;
mod life;

/// How a backend is opened.
type Open = dyn Fn() -> mocker_core::Result<Arc<dyn SnapshotBackend>>;

/// A backend and a place for plain directories.
pub struct Stage {
    open: Box<Open>,
    /// No number is used in two scripts.
    next: Cell<u64>,
    place: PathBuf,
}

impl Stage {
    /// A stage for a backend without nodes, which is opened once for each
    /// script and whenever that says so; `place` is made.
    pub fn new(
        open: impl Fn() -> mocker_core::Result<Arc<dyn SnapshotBackend>> + 'static,
        place: PathBuf,
    ) -> Self {
        std::fs::create_dir(&place).expect("make a place for plain directories");
        Self { open: Box::new(open), next: Cell::new(1), place }
    }

    /// Plays a script. Whatever it made is deleted again.
    ///
    /// # Errors
    /// The first difference.
    pub fn play(&self, script: &[Step]) -> Result<Tally, Failure> {
        let at = |steps| move |what| Failure { steps, what };
        let mut play = Play::begin(self, script).map_err(at(0))?;
        let mut outcome = play.make_work(0, None).map_err(at(0));
        for (place, step) in script.iter().enumerate() {
            if outcome.is_err() {
                break;
            }
            if step.action == Action::Reopen {
                play = play.reopen().map_err(at(place + 1))?;
            }
            outcome = play.perform(place, step).and_then(|()| play.compare_numbers()).map_err(at(place + 1));
        }
        outcome = outcome.and_then(|()| play.compare_all().map_err(at(script.len())));
        let deleted = play.delete_all();
        self.next.set(play.nodes.fresh().0);
        match (outcome, deleted) {
            (Ok(()), Ok(())) => Ok(play.tally),
            (Ok(()), Err(what)) => Err(at(script.len())(what)),
            (Err(failure), Ok(())) => Err(failure),
            (Err(mut failure), Err(what)) => {
                failure.what = format!("{}\nand then: {what}", failure.what);
                Err(failure)
            }
        }
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("place", &self.place).finish_non_exhaustive()
    }
}

struct Work {
    id: WorkId,
    base: Chain,
    /// Open for writing, as a container has it.
    view: Option<View>,
    plain: Plain,
    deeds: Vec<Deed>,
    model: Model,
}

struct Layer {
    id: LayerId,
    /// It, and what it stands on.
    chain: Chain,
    expected: Tree,
    deeds: Vec<Deed>,
    model: Model,
}

struct Play<'a> {
    stage: &'a Stage,
    script: &'a [Step],
    nodes: Nodes,
    capabilities: Capabilities,
    works: BTreeMap<Label, Work>,
    layers: BTreeMap<Label, Layer>,
    current: Label,
    /// The node that was deleted last.
    deleted: Option<NodeId>,
    /// What a script that failed has left, and cannot be deleted.
    strangers: BTreeSet<NodeId>,
    tally: Tally,
}

impl<'a> Play<'a> {
    fn begin(stage: &'a Stage, script: &'a [Step]) -> Result<Self, String> {
        let backend = (stage.open)().map_err(during("open the backend"))?;
        let nodes = Nodes::numbered_after(backend, stage.next.get());
        let list = || complete(nodes.backend.list()).map_err(during("list the nodes"));
        for node in list()? {
            // What it is that cannot be deleted was told when it was to be.
            let _stays = nodes.delete(node);
        }
        Ok(Self {
            strangers: list()?.into_iter().collect(),
            stage,
            script,
            capabilities: nodes.capabilities(),
            nodes,
            works: BTreeMap::new(),
            layers: BTreeMap::new(),
            current: 0,
            deleted: None,
            tally: Tally::default(),
        })
    }

    fn reopen(self) -> Result<Self, String> {
        // Should that fail, the numbers are used nevertheless.
        self.stage.next.set(self.nodes.fresh().0);
        let nodes = self.nodes.reopen(&self.stage.open)?;
        let mut play = Self { nodes, ..self };
        play.tally.reopened += 1;
        if play.nodes.capabilities() == play.capabilities {
            return Ok(play);
        }
        Err(format!("it declares {:?} now, after {:?}", play.nodes.capabilities(), play.capabilities))
    }

    fn perform(&mut self, place: usize, step: &Step) -> Result<(), String> {
        match &step.action {
            Action::Edit(edit) => self.edit(place, step.number, edit),
            Action::Commit(_) if self.is_full() => Ok(()),
            Action::Commit(how) => self.commit(step.number, *how),
            Action::Branch(over) if over.is_none_or(|layer| self.layers.contains_key(&layer)) => {
                self.tally.branches += 1;
                self.make_work(step.number, *over)
            }
            Action::Switch(work) if self.works.contains_key(work) => {
                self.current = *work;
                Ok(())
            }
            Action::DeleteWork(work) if *work != self.current => self.delete_work(*work),
            Action::DeleteLayer(layer) => self.delete_layer(*layer),
            Action::Try(attempt) => self.attempt(*attempt),
            Action::Compare(from, to) => self.compare_two(step.number, *from, *to),
            Action::Branch(_) | Action::Switch(_) | Action::DeleteWork(_) | Action::Reopen => Ok(()),
        }
    }

    /// Whether a chain is as long as the backend takes it.
    fn is_full(&self) -> bool {
        let depth = self.works.get(&self.current).map_or(0, |work| work.base.depth());
        self.capabilities.max_depth.is_some_and(|most| depth >= most)
    }
}

impl Work {
    fn open(&mut self, nodes: &Nodes) -> Result<(), String> {
        if self.view.is_none() {
            self.view = Some(nodes.view(Node::Work(self.id), &self.base, Access::Write)?);
        }
        Ok(())
    }
}

/// Says at what something failed.
pub(crate) fn during<E: fmt::Display>(doing: &'static str) -> impl Fn(E) -> String {
    move |error| format!("cannot {doing}: {error}")
}
