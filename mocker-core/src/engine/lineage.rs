//! `tree`: which image, version and container came from which.
//!
//! The layers tell: a version comes from the version whose tree lies beneath its
//! topmost layer. Where versions in between are gone it comes from the nearest
//! one that is left, and of versions with one tree the first made is the one
//! that the others, which are tags of it, and all above come from.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use crate::backend::LayerId;
use crate::engine::find::{Found, find};
use crate::engine::{Engine, Status};
use crate::error::Result;
use crate::image::refuse_version;
use crate::store::version::Version;
use crate::store::{container, image, node, version};

/// Images and containers, and where each comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lineage {
    /// The images, the one that has been there for longest first.
    pub images: Vec<ImageLine>,
    /// The containers, the oldest first.
    pub containers: Vec<ContainerLeaf>,
}

/// An image with its line of versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageLine {
    /// `img_…`.
    pub id: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The backend that holds it.
    pub backend: String,
    /// Its versions, the oldest first.
    pub versions: Vec<VersionStep>,
}

/// A version of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionStep {
    /// The number.
    pub version: u32,
    /// Whether the image's name leads to it.
    pub current: bool,
    /// Whether its tree was pruned. Then nothing tells what it came from.
    pub pruned: bool,
    /// When it was made, in nanoseconds since the epoch; RFC 3339 in JSON.
    #[serde(with = "crate::time")]
    pub created: i64,
    /// The command that made the tree, or how it came about.
    pub created_by: String,
    /// Why it was made.
    pub message: Option<String>,
    /// The node of its topmost layer.
    pub layer: Option<u64>,
    /// What it comes from; `None` for a tree that came from outside, and for one
    /// of which nothing is left that it came from.
    pub from: Option<Parent>,
    /// Whether the latter is so.
    pub orphan: bool,
}

/// A version that something comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Parent {
    /// The image, by id.
    pub image: String,
    /// The number of the version.
    pub version: u32,
    /// Whether both are one tree, as after `tag`.
    pub same_tree: bool,
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerLeaf {
    /// `ps_…`.
    pub id: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// What it is doing.
    pub status: Status,
    /// The exit status of its command, once that ended.
    pub exit_code: Option<u8>,
    /// The backend that holds it.
    pub backend: String,
    /// The version that it was made from, or the nearest beneath that is left.
    pub from: Option<Parent>,
}

impl Engine {
    /// The lineage of all images and containers; of some, with all that they
    /// come from and all that comes from them, where words name them.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) and
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for the words.
    pub fn lineage(&self, words: &[String]) -> Result<Lineage> {
        self.store.look(|connection| {
            let mut chosen = HashSet::new();
            for word in words {
                refuse_version(word, "a tree shows images with all their versions", |image, _| {
                    format!("'mocker tree {image}'")
                })?;
                chosen.insert(match find(connection, word, None)? {
                    Found::Image(found) => found.id,
                    Found::Container(found) => found.id,
                });
            }
            let versions = version::all(connection)?;
            let descent = Descent::new(&versions, node::parents(connection)?);
            let mut lines: HashMap<String, Vec<VersionStep>> = HashMap::new();
            for (image, version) in &versions {
                lines.entry(image.clone()).or_default().push(descent.step(image, version));
            }
            let mut images = Vec::new();
            for found in image::list(connection)? {
                let mut versions = lines.remove(&found.id).unwrap_or_default();
                versions.iter_mut().for_each(|step| step.current = step.version == found.version);
                images.push(ImageLine { id: found.id, name: found.name, backend: found.backend, versions });
            }
            images.sort_by_key(|image| image.versions.first().map(|version| version.created));
            let origins = container::origins(connection)?;
            let leaf = |found: crate::engine::ContainerSummary| {
                let origin = origins.get(&found.id).copied();
                let from = descent.of_container(&found.image, found.image_version, origin);
                ContainerLeaf {
                    id: found.id,
                    name: found.name,
                    status: found.status,
                    exit_code: found.exit_code,
                    backend: found.backend,
                    from,
                }
            };
            let containers = container::list(connection)?.into_iter().rev().map(leaf).collect();
            let mut lineage = Lineage { images, containers };
            if !words.is_empty() {
                lineage.keep_kin_of(&chosen);
            }
            Ok(lineage)
        })
    }
}

/// Which version stands on which.
struct Descent {
    /// The layer that each layer was made over; that may be gone.
    beneath: HashMap<LayerId, Option<LayerId>>,
    /// The first version that had a layer on top.
    first: HashMap<LayerId, (String, u32)>,
    present: HashSet<(String, u32)>,
}

impl Descent {
    fn new(versions: &[(String, Version)], beneath: HashMap<LayerId, Option<LayerId>>) -> Self {
        let mut by_age: Vec<_> = versions.iter().filter_map(|of| Some((of, of.1.layer?))).collect();
        by_age.sort_by_key(|((_, version), _)| version.created);
        let present = by_age.iter().map(|((image, version), _)| (image.clone(), version.number)).collect();
        let mut first = HashMap::new();
        for ((image, version), layer) in by_age {
            first.entry(layer).or_insert_with(|| (image.clone(), version.number));
        }
        Self { beneath, first, present }
    }

    fn step(&self, image: &str, version: &Version) -> VersionStep {
        let from = version.layer.and_then(|layer| self.parent(image, version.number, layer));
        let was_made_over = |layer| self.beneath.get(&layer).copied().flatten().is_some();
        VersionStep {
            version: version.number,
            current: false,
            pruned: version.layer.is_none(),
            created: version.created,
            created_by: version.created_by.clone(),
            message: version.message.clone(),
            layer: version.layer.map(|layer| layer.0.0),
            orphan: from.is_none() && version.layer.is_some_and(was_made_over),
            from,
        }
    }

    fn parent(&self, image: &str, number: u32, layer: LayerId) -> Option<Parent> {
        match self.first.get(&layer) {
            Some((first, version)) if (first.as_str(), *version) != (image, number) => {
                Some(Parent { image: first.clone(), version: *version, same_tree: true })
            }
            _ => self.nearest(self.beneath.get(&layer).copied().flatten()),
        }
    }

    /// The version on the nearest layer from this one downwards that has one.
    fn nearest(&self, layer: Option<LayerId>) -> Option<Parent> {
        let mut layers = std::iter::successors(layer, |layer| self.beneath.get(layer).copied().flatten());
        let (image, version) = layers.find_map(|layer| self.first.get(&layer))?;
        Some(Parent { image: image.clone(), version: *version, same_tree: false })
    }

    /// The records say what a container was made from; where that is gone, the
    /// layers do.
    fn of_container(&self, image: &str, version: u32, origin: Option<LayerId>) -> Option<Parent> {
        if self.present.contains(&(image.to_owned(), version)) {
            return Some(Parent { image: image.to_owned(), version, same_tree: false });
        }
        self.nearest(origin)
    }
}

impl Lineage {
    /// Keeps these, what they come from and what comes from them.
    fn keep_kin_of(&mut self, chosen: &HashSet<String>) {
        let edges: Vec<(String, String)> = self.edges();
        let mut kin = reached(chosen, edges.iter().map(|(parent, child)| (&**parent, &**child)));
        kin.extend(reached(chosen, edges.iter().map(|(parent, child)| (&**child, &**parent))));
        self.images.retain(|image| kin.contains(&image.id));
        self.containers.retain(|container| kin.contains(&container.id));
        // A parent that is no kin, such as what a later version of an ancestor was tagged from.
        for image in &mut self.images {
            for version in &mut image.versions {
                version.from.take_if(|from| !kin.contains(&from.image));
            }
        }
    }

    /// What comes from which image, by ids.
    fn edges(&self) -> Vec<(String, String)> {
        let of_images = self.images.iter().flat_map(|image| {
            image.versions.iter().flat_map(|version| &version.from).map(|from| (&from.image, &image.id))
        });
        let of_containers = self
            .containers
            .iter()
            .flat_map(|container| container.from.iter().map(move |from| (&from.image, &container.id)));
        of_images.chain(of_containers).map(|(parent, child)| (parent.clone(), child.clone())).collect()
    }
}

/// What is reached from some places along edges, themselves included.
fn reached<'a>(from: &HashSet<String>, edges: impl Iterator<Item = (&'a str, &'a str)>) -> HashSet<String> {
    let mut next: HashMap<&str, Vec<&str>> = HashMap::new();
    edges.for_each(|(here, there)| next.entry(here).or_default().push(there));
    let mut seen = from.clone();
    let mut todo: Vec<String> = from.iter().cloned().collect();
    while let Some(here) = todo.pop() {
        for there in next.get(here.as_str()).into_iter().flatten() {
            if seen.insert((*there).to_owned()) {
                todo.push((*there).to_owned());
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::NodeId;

    fn layer(number: u64) -> LayerId {
        LayerId(NodeId(number))
    }

    fn version(image: &str, number: u32, on: Option<u64>, created: i64) -> (String, Version) {
        let version = Version {
            number,
            layer: on.map(layer),
            created,
            created_by: String::new(),
            author: None,
            message: None,
        };
        (image.to_owned(), version)
    }

    fn from(image: &str, version: u32, same_tree: bool) -> Option<Parent> {
        Some(Parent { image: image.to_owned(), version, same_tree })
    }

    /// Layers 1 ← 2 ← 3 ← 4, and 5 on the first.
    fn descent(versions: &[(String, Version)]) -> Descent {
        let beneath = [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(3)), (5, Some(1))];
        Descent::new(versions, beneath.map(|(of, under)| (layer(of), under.map(layer))).into())
    }

    #[test]
    fn a_version_comes_from_the_nearest_one_beneath_it() {
        let versions =
            [version("a", 1, Some(1), 1), version("a", 2, Some(2), 2), version("b", 1, Some(4), 3)];
        let descent = descent(&versions);
        let parents: Vec<_> = versions.iter().map(|(image, of)| descent.step(image, of).from).collect();
        assert_eq!(parents, [None, from("a", 1, false), from("a", 2, false)], "nobody has layer 3");
    }

    #[test]
    fn of_one_tree_the_first_version_is_the_parent() {
        let versions =
            [version("tag", 1, Some(2), 9), version("a", 1, Some(1), 1), version("a", 2, Some(2), 2)];
        let descent = descent(&versions);
        assert_eq!(descent.step("tag", &versions[0].1).from, from("a", 2, true));
        assert_eq!(descent.nearest(Some(layer(3))), from("a", 2, false));
    }

    #[test]
    fn a_container_stays_with_its_version_and_goes_to_the_nearest_when_that_is_gone() {
        let versions = [version("a", 1, Some(1), 1), version("a", 2, None, 2), version("tag", 1, Some(1), 3)];
        let descent = descent(&versions);
        assert_eq!(descent.of_container("tag", 1, Some(layer(1))), from("tag", 1, false));
        assert_eq!(descent.of_container("a", 2, Some(layer(2))), from("a", 1, false));
        assert_eq!(descent.of_container("gone", 7, None), None);
        assert_eq!(descent.step("a", &versions[1].1).from, None, "a pruned version stands on nothing");
    }

    #[test]
    fn what_came_from_outside_is_told_from_what_lost_all_that_it_came_from() {
        let versions = [version("a", 1, Some(1), 1), version("a", 2, Some(2), 2)];
        let gone = Descent::new(&versions[1..], [(layer(2), Some(layer(1)))].into());
        let step = gone.step("a", &versions[1].1);
        assert_eq!((step.from, step.orphan), (None, true));
        let step = descent(&versions).step("a", &versions[0].1);
        assert_eq!((step.from, step.orphan), (None, false));
    }
}
