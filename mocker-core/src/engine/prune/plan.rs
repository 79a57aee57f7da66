//! What goes, and what is as old and stays.

use std::collections::{BTreeMap, HashSet};

use super::{Because, Pruned, PrunedVersion, StayingVersion};
use crate::backend::{LayerId, Layers, Measure, NodeId, NodeSet};
use crate::engine::needs::{Needs, Nodes, Users};
use crate::store::survey::{Survey, SurveyedContainer, SurveyedImage};

/// What is asked for, in the engine's words.
pub(super) struct Choice {
    /// The ids of images; all where there is no list.
    pub(super) images: Option<Vec<String>>,
    pub(super) keep: u32,
    pub(super) containers: bool,
    pub(super) backends: Vec<Layered>,
}

/// A backend, and what its layers are.
pub(super) struct Layered {
    pub(super) backend: String,
    pub(super) layers: Layers,
}

impl Choice {
    fn has(&self, image: &str) -> bool {
        self.images.as_ref().is_none_or(|chosen| chosen.iter().any(|id| id == image))
    }
}

/// What goes, and what stays.
pub(super) struct Plan<'a> {
    backends: Vec<(&'a Layered, Needs<'a>)>,
    survey: &'a Survey,
    containers: Vec<&'a SurveyedContainer>,
    versions: Vec<Old<'a>>,
    stay: Vec<(Old<'a>, Because)>,
}

/// A version that is older than those that are kept.
#[derive(Clone, Copy)]
struct Old<'a> {
    image: &'a SurveyedImage,
    number: u32,
    tip: LayerId,
}

impl Old<'_> {
    fn told(&self) -> PrunedVersion {
        PrunedVersion { image: self.image.id.clone(), name: self.image.name.clone(), version: self.number }
    }
}

impl<'a> Plan<'a> {
    /// `busy` are images that somebody else works on.
    pub(super) fn of(survey: &'a Survey, choice: &'a Choice, busy: &[(String, String)]) -> Self {
        let backends = choice.backends.iter().map(|layered| (layered, Needs::new(survey, layered.layers)));
        let mut plan = Self {
            backends: backends.collect(),
            survey,
            containers: Vec::new(),
            versions: Vec::new(),
            stay: Vec::new(),
        };
        let goes = |container: &&SurveyedContainer| {
            choice.containers && !container.held && choice.has(&container.image)
        };
        let (containers, remaining): (Vec<_>, Vec<_>) = survey.containers.iter().partition(goes);
        plan.containers = containers;
        // What is kept needs these; where a verb under way has one, it may too.
        let mut needed: HashSet<NodeId> = survey.pinned.clone();
        for container in &remaining {
            needed.extend(plan.needs(&container.backend, |needs| needs.of_container(container)));
        }
        for image in &survey.images {
            let is_chosen = choice.has(&image.id) && !busy.iter().any(|(id, _)| *id == image.id);
            // The current version counts as one of those that are kept, wherever it stands.
            let mut left = choice.keep.saturating_sub(1);
            for &(number, tip) in &image.versions {
                let Some(tip) = tip else { continue };
                let old = Old { image, number, tip };
                let is_newest = number != image.head && left > 0;
                left -= u32::from(is_newest);
                if is_chosen && !is_newest && number != image.head {
                    match remaining.iter().find(|container| old.is_under(container)) {
                        None => {
                            plan.versions.push(old);
                            continue;
                        }
                        Some(container) => plan.stay.push((old, Because::Container(container.id.clone()))),
                    }
                }
                needed.extend(plan.needs(&image.backend, |needs| needs.of_layer(tip)));
            }
        }
        for old in std::mem::take(&mut plan.versions) {
            match needed.contains(&old.tip.0) {
                true => plan.stay.push((old, Because::Layer)),
                false => plan.versions.push(old),
            }
        }
        plan
    }

    fn needs(&self, backend: &str, of: impl FnOnce(&Needs<'a>) -> Nodes) -> Nodes {
        let known = self.backends.iter().find(|(layered, _)| layered.backend == backend);
        known.map(|(_, needs)| of(needs)).unwrap_or_default()
    }

    /// The images of which versions go, by id.
    pub(super) fn images(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.versions.iter().map(|old| old.image.id.clone()).collect();
        ids.dedup();
        ids
    }

    /// The versions that go.
    pub(super) fn versions(&self) -> impl Iterator<Item = PrunedVersion> {
        self.versions.iter().map(Old::told)
    }

    /// The nodes that go, on each backend.
    pub(super) fn gone(&self, measure: Measure) -> BTreeMap<&str, NodeSet> {
        let mut gone = BTreeMap::new();
        for (layered, needs) in &self.backends {
            let name = layered.backend.as_str();
            let mut users = Users::new(self.survey);
            for container in self.survey.containers.iter().filter(|container| container.backend == name) {
                users.add(&needs.of_container(container));
            }
            for image in self.survey.images.iter().filter(|image| image.backend == name) {
                for tip in image.versions.iter().filter_map(|(_, tip)| *tip) {
                    users.add(&needs.of_layer(tip));
                }
            }
            let containers = self.containers.iter().filter(|container| container.backend == name);
            let versions = self.versions.iter().filter(|old| old.image.backend == name);
            let objects: Vec<Nodes> = containers
                .map(|container| needs.of_container(container))
                .chain(versions.map(|old| needs.of_layer(old.tip)))
                .collect();
            let nodes = users.only(&objects);
            if !nodes.is_empty() {
                gone.insert(name, needs.set(&nodes, measure));
            }
        }
        gone
    }

    /// This, as it is told; `busy` are images that somebody else works on.
    pub(super) fn told(&self, busy: Vec<(String, String)>) -> Pruned {
        let stay = self
            .stay
            .iter()
            .map(|(old, because)| StayingVersion { version: old.told(), because: because.clone() });
        Pruned {
            versions: self.versions().collect(),
            stay: stay.collect(),
            containers: self.containers.iter().map(|container| container.id.clone()).collect(),
            strays: 0,
            bytes: None,
            waited_ms: None,
            notes: busy
                .into_iter()
                .map(|(_, holder)| format!("nothing of it was pruned: {holder}"))
                .collect(),
        }
    }
}

impl Old<'_> {
    /// Whether a container was made from this version, or stands on its layer.
    fn is_under(&self, container: &SurveyedContainer) -> bool {
        container.image == self.image.id && container.image_version == self.number
            || [container.base, container.origin].contains(&self.tip)
    }
}
