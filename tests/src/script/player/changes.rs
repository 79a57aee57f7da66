//! Has two trees compared as the engine does it: the backend names the places,
//! the core makes the list. The list must be the one that looking at everything
//! makes, must say of each entry in what it differs, and must turn a plain
//! directory like the first tree into one like the second.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mocker_core::backend::{Node, WorkState};
use mocker_core::change::{Aspect, Change, Kind, What};

use super::Play;
use crate::apply::apply;
use crate::comparison::{Pair, Subject, told};
use crate::oracle::{self, Tree};
use crate::script::Label;
use crate::script::reference::{Deed, Plain};

/// A tree, and what it should be.
struct Side {
    subject: Subject,
    expected: Tree,
    deeds: Vec<Deed>,
}

impl Play<'_> {
    /// Compares two trees, whichever are there, and carries the list out.
    pub(super) fn compare_two(&mut self, number: Label, from: Label, to: Label) -> Result<(), String> {
        // In every other step nobody has the work areas open.
        let idle = number.is_multiple_of(2);
        let (Some(from), Some(to)) = (self.side(from, idle)?, self.side(to, idle)?) else { return Ok(()) };
        let pair = Pair::of(&self.nodes, &from.subject, &to.subject)?;
        let compared = self.compare_sides(number, &pair, &from, &to);
        match (compared, pair.end(&self.nodes)) {
            (Ok(()), ended) => ended,
            (Err(why), Ok(())) => Err(why),
            (Err(why), Err(also)) => Err(format!("{why}\nand then: {also}")),
        }
    }

    fn side(&mut self, label: Label, idle: bool) -> Result<Option<Side>, String> {
        if let Some(layer) = self.layers.get(&label) {
            let subject = Subject::tip(&layer.chain);
            return Ok(Some(Side { subject, expected: layer.expected.clone(), deeds: layer.deeds.clone() }));
        }
        let Some(work) = self.works.get_mut(&label) else { return Ok(None) };
        // Whoever has it open writes nothing meanwhile.
        let state = if idle { WorkState::Idle } else { WorkState::Paused };
        match state {
            WorkState::Idle => work.view = None,
            _ => work.open(&self.nodes)?,
        }
        let subject = Subject { node: Node::Work(work.id), base: work.base.clone(), state };
        Ok(Some(Side { subject, expected: work.plain.look(), deeds: work.deeds.clone() }))
    }

    fn compare_sides(&mut self, number: Label, pair: &Pair, from: &Side, to: &Side) -> Result<(), String> {
        let changes = pair.list()?;
        judge(&changes, &from.expected, &to.expected, pair.holes)?;
        let by_list = |why| format!("{why}\nby the list\n{}", told(&changes));
        let copy = Plain::new(self.stage.place.join(format!("changed-{number}")))?;
        copy.stamp()?;
        copy.repeat(self.script, &from.deeds)?;
        let bytes = apply(&changes, copy.top(), pair.there.top()).map_err(by_list)?;
        self.differ("what the list makes of a copy", &to.expected, copy.look()).map_err(by_list)?;
        let is_copied = |change: &&Change| change.kind != Kind::Deleted && change.link.is_none();
        let listed: u64 = changes.iter().filter(is_copied).map(|change| change.size).sum();
        if bytes != listed {
            return Err(by_list(format!("{bytes} bytes were copied, and {listed} are told")));
        }
        self.count(&changes);
        Ok(())
    }

    /// Counts what is hard to find.
    fn count(&mut self, changes: &[Change]) {
        let alone = |wanted| {
            let only = |change: &&Change| change.kind == Kind::Modified(What::NOTHING.and(wanted));
            changes.iter().filter(only).count() as u64
        };
        let tally = &mut self.tally;
        tally.comparisons += 1;
        tally.changes += changes.len() as u64;
        tally.retyped += changes.windows(2).filter(|pair| pair[0].path == pair[1].path).count() as u64;
        tally.content_alone += alone(Aspect::Content);
        tally.xattr_alone += alone(Aspect::Xattr);
        tally.links_alone += alone(Aspect::Links);
        tally.holes_alone += alone(Aspect::Holes);
    }
}

/// Whether a list says of two trees what is so.
fn judge(changes: &[Change], from: &Tree, to: &Tree, holes: bool) -> Result<(), String> {
    let mut found: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for change in changes {
        let path = Path::new("/").join(&change.path);
        let words: Vec<String> = match change.kind {
            Kind::Deleted => vec!["deleted".to_owned()],
            Kind::Added => vec!["added".to_owned()],
            Kind::Modified(what) => what
                .aspects()
                .filter(|aspect| *aspect != Aspect::Links)
                .map(|aspect| aspect.to_string())
                .collect(),
        };
        let size = |tree: &Tree| tree.file_size(&path);
        let sizes = match change.kind {
            Kind::Deleted => (size(from), 0),
            Kind::Added => (size(to), 0),
            Kind::Modified(_) => (size(to), size(from)),
        };
        if (change.size, change.size_before) != sizes {
            return Err(format!("its sizes are {sizes:?}: {change:?}"));
        }
        if !words.is_empty() {
            found.entry(path).or_default().extend(words);
        }
    }
    let expected = oracle::changes(from, to, holes);
    if expected == found {
        return Ok(());
    }
    Err(format!("the list is\n{}\nand there differs {expected:#?}", told(changes)))
}
