//! D5, D6, D8, D15: where btrfs says that trees may differ, beside two accounts
//! that know nothing of it: every entry of both compared, and the stream of
//! `SEND`.
//!
//! The places must lead to the same list of changes as everything does, and
//! whatever is in the list must have been touched according to the kernel.
//! [`stream`] reads what it says.
//!
//! Each case is a seed: where long runs are asked for (`make soak`) 100 rounds of
//! up to 40 edits of it, otherwise the first tenth of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use fastrand::Rng;
use mocker_core::backend::{
    Access, Candidates, Chain, LayerId, LeaveOut, Look, Node, Observed, Rootfs, Seal, Sealed, WorkId,
    WorkState, complete,
};
use mocker_core::change::{Change, Comparison, compare};
use mocker_core::mount::View;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes::{Nodes, order};
use crate::script::{self, Action, How, Label};

mod edits;
mod stream;

const ROUNDS: usize = 100;
const ROUNDS_USUALLY: usize = ROUNDS / 10;

/// Edits before two trees are compared.
const MOST_EDITS: usize = 40;

/// One case for each seed.
macro_rules! seeds {
    ($($seed:literal),*) => {
        vec![$(Case { name: concat!("random_places_", stringify!($seed)), run: play::<$seed>, alone: false }),*]
    };
}

pub(super) fn cases() -> Vec<Case> {
    seeds![0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
}

fn play<const SEED: u64>(fixture: &Fixture) {
    let rounds = if crate::soaks() { ROUNDS } else { ROUNDS_USUALLY };
    let nodes = fixture.nodes();
    let mut play = Play::new(&nodes, SEED);
    let steps = (rounds * MOST_EDITS) as u64;
    let mut left = play.random.usize(1..=MOST_EDITS);
    for step in script::generate(SEED, steps) {
        if play.told.rounds == rounds {
            break;
        }
        match step.action {
            Action::Edit(edit) => {
                let tree = play.tree();
                let _ = writeln!(play.log, "{edit}: {:?}", edit.apply(tree.top(), step.number));
                if let Some(more) = edits::more(&mut play.random, &tree, step.number, &mut play.held) {
                    let _ = writeln!(play.log, "{more}");
                }
                left = left.saturating_sub(1);
            }
            Action::Commit(how) => play.commit(step.number, how, None),
            Action::Branch(over) => play.branch(step.number, over),
            Action::Switch(work) => play.current = work,
            Action::DeleteWork(work) => play.delete_work(work),
            Action::DeleteLayer(layer) => play.delete_layer(layer),
            Action::Reopen | Action::Try(_) | Action::Compare(..) => {}
        }
        if left == 0 {
            play.round();
            left = play.random.usize(1..=MOST_EDITS);
        }
    }
    let Told { rounds: played, changes, places, searched, .. } = play.told;
    assert_eq!(played, rounds, "seed {SEED} has too few edits");
    // More is allowed, and a search that named everything would prove nothing.
    assert!(searched * 4 > played * 3, "seed {SEED}: {searched} of {played} rounds were searched");
    assert!(changes > 5 * played && places < 3 * changes, "seed {SEED}: {places} places, {changes} changes");
}

/// What was played.
#[derive(Default)]
struct Told {
    rounds: usize,
    searched: usize,
    places: usize,
    changes: usize,
}

struct Work {
    id: WorkId,
    base: Chain,
    /// The layers that were made of it, and that it is not over.
    made: Vec<LayerId>,
}

/// What there is, as a script says it.
struct Play<'a> {
    nodes: &'a Nodes,
    seed: u64,
    random: Rng,
    works: BTreeMap<Label, Work>,
    layers: BTreeMap<Label, Chain>,
    current: Label,
    /// Files that are open, of which the names may be gone.
    held: Vec<OwnedFd>,
    /// What was done since the last round.
    log: String,
    told: Told,
}

impl<'a> Play<'a> {
    fn new(nodes: &'a Nodes, seed: u64) -> Self {
        let first = Work { id: nodes.create(&Chain::EMPTY).unwrap(), base: Chain::EMPTY, made: Vec::new() };
        Self {
            nodes,
            seed,
            random: Rng::with_seed(seed),
            works: BTreeMap::from([(0, first)]),
            layers: BTreeMap::new(),
            current: 0,
            held: Vec::new(),
            log: String::new(),
            told: Told::default(),
        }
    }

    fn tree(&self) -> View {
        let work = &self.works[&self.current];
        self.nodes.view(Node::Work(work.id), &work.base, Access::Write).unwrap()
    }

    /// As the engine does it, with a mount point of its own in the tree, or without.
    fn commit(&mut self, label: Label, how: How, leave_out: Option<LeaveOut>) {
        let work = self.works.get_mut(&self.current).unwrap();
        let spare = self.nodes.fresh();
        let leave_out: Vec<_> = leave_out.into_iter().collect();
        let seal = Seal { leave_out: &leave_out, ..order(work.id, &work.base, how, spare) };
        let Sealed { layer, work: lives } = self.nodes.seal(seal).unwrap();
        let chain = work.base.clone().with(layer);
        if lives.is_none() {
            self.nodes.delete(work.id.0).unwrap();
            let id = self.nodes.create(&chain).unwrap();
            *work = Work { id, base: chain.clone(), made: Vec::new() };
        } else {
            work.made.push(layer);
        }
        self.layers.insert(label, chain);
    }

    fn branch(&mut self, label: Label, over: Option<Label>) {
        let base = over.and_then(|over| self.layers.get(&over)).cloned().unwrap_or(Chain::EMPTY);
        let id = self.nodes.create(&base).unwrap();
        self.works.insert(label, Work { id, base, made: Vec::new() });
        self.current = label;
    }

    fn delete_work(&mut self, label: Label) {
        if let Some(work) = self.works.remove(&label) {
            self.nodes.delete(work.id.0).unwrap();
        }
    }

    fn delete_layer(&mut self, label: Label) {
        let Some(chain) = self.layers.get(&label) else { return };
        let tip = chain.tip().unwrap();
        if self.works.values().all(|work| work.base.tip() != Some(tip)) {
            self.layers.remove(&label);
            self.nodes.delete(tip.0).unwrap();
        }
    }

    /// Compares the tree as it is, or a layer of it, with a layer beneath it or one
    /// that was made of it.
    fn round(&mut self) {
        // No step has a number like that.
        let label = u64::MAX - self.nodes.fresh().0;
        if self.random.u32(0..4) == 0 {
            let how = if self.random.bool() { How::Idle } else { How::Consume };
            let tree = self.tree();
            let target = edits::mount_point(&mut self.random, &tree);
            self.commit(label, how, target);
        }
        let work = &self.works[&self.current];
        let mut older: Vec<LayerId> = work.base.layers().to_vec();
        older.extend(&work.made);
        let (work, over) = (Node::Work(work.id), work.base.clone());
        let (node, base) = match self.layers.get(&label).cloned() {
            Some(chain) => (Node::Layer(chain.tip().unwrap()), chain),
            None => (work, over.clone()),
        };
        if let Node::Layer(made) = node {
            // It lacks the mount point.
            self.look(work, &over, made);
        }
        // Now and then one that was deleted.
        let any = self.random.u32(0..10) == 0;
        let is_there = |layer: &LayerId| self.layers.values().any(|chain| chain.tip() == Some(*layer));
        older.retain(|layer| Node::Layer(*layer) != node && (any || is_there(layer)));
        let lately = older.len().saturating_sub(3);
        let Some(since) = self.random.choice(&older[lately..]).copied() else {
            // The first one.
            return self.commit(label, How::Idle, None);
        };
        self.look(node, &base, since);
        self.told.rounds += 1;
        self.held.clear();
        self.log.clear();
    }

    fn look(&mut self, node: Node, base: &Chain, since: LayerId) {
        let state = if self.random.bool() { WorkState::Idle } else { WorkState::Running };
        let in_place = state == WorkState::Idle && self.random.u32(0..4) == 0;
        let scratch = if in_place { None } else { Some(self.nodes.fresh()) };
        let look = Look { node, base, since: Some(since), state, scratch };
        let observed = complete(self.nodes.backend.observe(look)).unwrap();
        assert!(observed.frozen, "{look:?}");
        let _ = writeln!(self.log, "{look:?}: {:?}", observed.view);
        self.judge(node, since, &observed, in_place);
        if let Some(scratch) = scratch {
            self.nodes.delete(scratch).unwrap();
        }
    }

    fn judge(&mut self, node: Node, since: LayerId, observed: &Observed, in_place: bool) {
        let told = || format!("seed {}, round {}\n{}", self.seed, self.told.rounds, self.log);
        let chain = Chain::EMPTY.with(since);
        // What was deleted since is no help, and then everything is named.
        let Ok(older) = complete(self.nodes.backend.rootfs(Node::Layer(since), &chain, Access::Read)) else {
            assert_eq!(observed.candidates, Candidates::ALL, "{}", told());
            return;
        };
        let Candidates::Paths(places) = &observed.candidates else {
            panic!("nothing was searched: {}", told());
        };
        let (from, to) = (View::open(&older).unwrap(), View::open(&observed.view).unwrap());
        let trees = Comparison { from: Some(from.top()), to: to.top(), holes: true, one_file_system: true };
        let quick = compare(trees, observed.candidates.clone()).unwrap();
        let slow = compare(trees, Candidates::ALL).unwrap();
        assert!(quick == slow, "{}{}", told(), differences(&slow, &quick));
        // Only what is read-only can be sent.
        if !(in_place && matches!(node, Node::Work(_))) {
            let (older, newer) = (directory(&older), directory(&observed.view));
            let touched = stream::touched(&older, &newer);
            for change in &quick {
                assert!(touched.covers(change), "{}\nnot touched: {change:?}\n{touched}", told());
            }
        }
        self.told.searched += 1;
        self.told.places += places.len();
        self.told.changes += quick.len();
    }
}

fn directory(rootfs: &Rootfs) -> PathBuf {
    match rootfs {
        Rootfs::Directory(path) => path.clone(),
        other => panic!("no directory: {other:?}"),
    }
}

fn differences(slow: &[Change], quick: &[Change]) -> String {
    let only = |these: &[Change], those: &[Change]| {
        these.iter().filter(|one| !those.contains(one)).map(|one| format!("\n  {one:?}")).collect::<String>()
    };
    let order = slow.iter().zip(quick).find(|(one, other)| one != other);
    format!(
        "{} and {} changes, from here on differently: {order:?}\nmissed:{}\ninvented:{}",
        slow.len(),
        quick.len(),
        only(slow, quick),
        only(quick, slow)
    )
}
