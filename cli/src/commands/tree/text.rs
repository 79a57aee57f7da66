//! The tree as text: images, their versions, and what came from each.

use std::collections::HashMap;

use mocker_core::engine::{ContainerLeaf, ImageLine, Lineage, Parent, VersionStep};
use mocker_core::image::escaped;

use super::{Names, about, doing, state};

/// A line, and what hangs below it.
struct Item {
    line: String,
    below: Vec<Item>,
}

pub(super) fn draw(lineage: &Lineage) -> String {
    let plan = Plan::of(lineage);
    let images = lineage.images.iter().filter(|image| !plan.places.contains_key(image.id.as_str()));
    let strays = lineage.containers.iter().filter(|container| container.from.is_none());
    let mut out = String::new();
    for item in images.map(|image| plan.image(image)).chain(strays.map(container)) {
        out += &(item.line + "\n");
        hang(&item.below, "", &mut out);
    }
    out
}

fn hang(items: &[Item], indent: &str, out: &mut String) {
    for (place, item) in items.iter().enumerate() {
        let (branch, under) =
            if place + 1 == items.len() { ("└── ", "    ") } else { ("├── ", "│   ") };
        *out += &format!("{indent}{branch}{}\n", item.line);
        hang(&item.below, &format!("{indent}{under}"), out);
    }
}

/// Where each image hangs: below the version that its first tree came from.
struct Plan<'a> {
    lineage: &'a Lineage,
    names: Names<'a>,
    places: HashMap<&'a str, &'a Parent>,
}

impl<'a> Plan<'a> {
    fn of(lineage: &'a Lineage) -> Self {
        let mut places: HashMap<&str, &Parent> = HashMap::new();
        for image in &lineage.images {
            let first = image.versions.iter().find(|version| !version.pruned);
            let Some(from) = first.and_then(|version| version.from.as_ref()) else { continue };
            // Versions can come from each other's images, to and fro: then one of the two is at the top.
            let above = std::iter::successors(Some(from.image.as_str()), |image| {
                places.get(image).map(|place| place.image.as_str())
            });
            if !above.into_iter().any(|above| above == image.id) {
                places.insert(&image.id, from);
            }
        }
        Self { lineage, names: Names::of(lineage), places }
    }

    fn image(&self, image: &ImageLine) -> Item {
        let name = image.name.iter().map(|name| format!("{name}  ")).collect::<String>();
        let line = escaped(&format!("{name}{}  {}", image.id, image.backend));
        let mut before =
            self.places.get(image.id.as_str()).map(|place| (place.image.as_str(), place.version));
        let mut below = Vec::new();
        for version in &image.versions {
            below.push(self.version(image, version, before));
            before = Some((&image.id, version.version));
        }
        Item { line, below }
    }

    /// `before` is what a reader takes a version to come from where it says
    /// nothing.
    fn version(&self, image: &ImageLine, version: &VersionStep, before: Option<(&str, u32)>) -> Item {
        let here = |from: Option<&Parent>| {
            from.is_some_and(|from| from.image == image.id && from.version == version.version)
        };
        let origin = match &version.from {
            Some(from) if from.same_tree => format!("same tree as {}", self.names.parent(from)),
            Some(from) if Some((from.image.as_str(), from.version)) != before => {
                format!("from {}", self.names.parent(from))
            }
            None if version.orphan => "what it came from is gone".to_owned(),
            // The first one of a line came from outside anyway.
            None if before.is_some() && !version.pruned => "from outside".to_owned(),
            _ => String::new(),
        };
        let words = [
            format!("@{}", version.version),
            state(version).unwrap_or_default().to_owned(),
            about(version),
            origin,
        ];
        let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("  ");
        let containers = self.lineage.containers.iter().filter(|found| here(found.from.as_ref()));
        let images =
            self.lineage.images.iter().filter(|found| here(self.places.get(found.id.as_str()).copied()));
        let below = containers.map(container).chain(images.map(|image| self.image(image))).collect();
        Item { line: escaped(&line), below }
    }
}

fn container(container: &ContainerLeaf) -> Item {
    let name = container.name.iter().map(|name| format!("{name}  ")).collect::<String>();
    let line = escaped(&format!("{name}{}  {}", container.id, doing(container)));
    Item { line, below: Vec::new() }
}
