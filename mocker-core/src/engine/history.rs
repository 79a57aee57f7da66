//! `history`: the versions of an image, and how each came about.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use crate::backend::{Chain, LayerId, Layers, Measure, Member, NodeSet, SnapshotBackend};
use crate::engine::Engine;
use crate::error::Result;
use crate::image::refuse_version;
use crate::store::{image, node, version};

/// One version of an image as `history` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionSummary {
    /// The image, by id.
    pub image: String,
    /// The number.
    pub version: u32,
    /// Whether the image's name leads to it.
    pub current: bool,
    /// Whether its tree was pruned, and only this entry is left.
    pub pruned: bool,
    /// When it was made, in nanoseconds since the epoch; RFC 3339 in JSON.
    #[serde(with = "crate::time")]
    pub created: i64,
    /// The command that made the tree, or how it came about.
    pub created_by: String,
    /// Who made it.
    pub author: Option<String>,
    /// Why.
    pub message: Option<String>,
    /// The node of its topmost layer; `None` where it was pruned.
    pub layer: Option<u64>,
    /// How many layers it stands on, that one included.
    pub layers: usize,
    /// What is stored of its tree, in bytes, whoever else has a part of it.
    /// `None` where nobody asked, or the tree is gone.
    pub size: Option<u64>,
}

impl Engine {
    /// The versions of an image, the newest first; with their sizes where
    /// `measured`, which looks at each of their layers.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for the image; those of measuring.
    pub async fn history(&self, image: &str, measured: bool) -> Result<Vec<VersionSummary>> {
        refuse_version(image, "a history is that of a whole image", |image, version| {
            format!("'mocker history {image}', or 'mocker inspect {image}@{version}' for that version")
        })?;
        let (found, versions) = self.store.look(|connection| {
            let found = image::find(connection, image)?;
            let versions = version::list(connection, &found.id)?.into_iter().map(|version| {
                let chain = version.layer.map(|tip| node::chain(connection, tip)).transpose()?;
                Ok((version, chain.unwrap_or(Chain::EMPTY)))
            });
            let versions = versions.collect::<Result<Vec<_>>>()?;
            Ok((found, versions))
        })?;
        let mut sizes = if measured { Some(Sizes::new(self.backend(&found.backend).await?)) } else { None };
        let mut summaries = Vec::with_capacity(versions.len());
        for (version, chain) in versions {
            let size = match &mut sizes {
                Some(sizes) => sizes.of(&chain).await?,
                None => None,
            };
            summaries.push(VersionSummary {
                image: found.id.clone(),
                version: version.number,
                current: version.number == found.head,
                pruned: version.layer.is_none(),
                created: version.created,
                created_by: version.created_by,
                author: version.author,
                message: version.message,
                layer: version.layer.map(|layer| layer.0.0),
                layers: chain.depth(),
                size,
            });
        }
        Ok(summaries)
    }
}

/// Measures trees, each layer once.
#[derive(Debug)]
pub(super) struct Sizes {
    backend: Arc<dyn SnapshotBackend>,
    layers: HashMap<LayerId, Option<u64>>,
}

impl Sizes {
    pub(super) fn new(backend: Arc<dyn SnapshotBackend>) -> Self {
        Self { backend, layers: HashMap::new() }
    }

    /// What is stored of the tree of a chain, in bytes, whoever else has a part
    /// of it; `None` where something of it has just gone.
    pub(super) async fn of(&mut self, chain: &Chain) -> Result<Option<u64>> {
        let layers = chain.layers();
        let first = match self.backend.capabilities().layers {
            Layers::Whole => layers.len().saturating_sub(1),
            Layers::Delta => 0,
        };
        let mut sum = 0;
        for place in first..layers.len() {
            match self.of_layer(layers[place], &layers[..place]).await? {
                Some(bytes) => sum += bytes,
                None => return Ok(None),
            }
        }
        Ok((!layers.is_empty()).then_some(sum))
    }

    async fn of_layer(&mut self, layer: LayerId, beneath: &[LayerId]) -> Result<Option<u64>> {
        if let Some(known) = self.layers.get(&layer) {
            return Ok(*known);
        }
        let member = Member { node: layer.0, over: beneath.last().copied() };
        let set = NodeSet { members: vec![member], measure: Measure::All };
        let found = self.backend.usage(&[set]).await?.first().copied().flatten();
        self.layers.insert(layer, found);
        Ok(found)
    }
}
