//! Everything at once: which image, version and container stands on which nodes,
//! as it is at one moment.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use crate::backend::{Chain, LayerId, NodeId};
use crate::error::Result;
use crate::image::Reference;
use crate::store::{sql, version};

/// What the records say of nodes, and of what stands on them.
#[derive(Debug)]
pub struct Survey {
    /// Every layer and work area.
    pub nodes: HashMap<NodeId, SurveyedNode>,
    /// All images, by id.
    pub images: Vec<SurveyedImage>,
    /// All containers, by id.
    pub containers: Vec<SurveyedContainer>,
    /// Nodes that verbs under way read or write.
    pub pinned: HashSet<NodeId>,
}

impl Survey {
    /// The chain that ends in a layer, as far as its layers still exist.
    pub fn chain(&self, tip: LayerId) -> Chain {
        let mut layers = Vec::new();
        let mut next = Some(tip);
        while let Some(layer) = next {
            let Some(node) = self.nodes.get(&layer.0) else { break };
            layers.push(layer);
            next = node.parent;
        }
        layers.reverse();
        Chain::new(layers)
    }
}

/// A node.
#[derive(Debug)]
pub struct SurveyedNode {
    /// The backend that holds it.
    pub backend: String,
    /// The layer that a layer was made over, which may be gone.
    pub parent: Option<LayerId>,
}

/// An image.
#[derive(Debug)]
pub struct SurveyedImage {
    /// `img_…`.
    pub id: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The backend that holds it.
    pub backend: String,
    /// The number of the current version.
    pub head: u32,
    /// The number of each version and its layer, if that was not pruned, the
    /// newest first.
    pub versions: Vec<(u32, Option<LayerId>)>,
}

/// A container.
#[derive(Debug)]
pub struct SurveyedContainer {
    /// `ps_…`.
    pub id: String,
    /// The image that it was made from, which may be gone, and the version.
    pub image: String,
    /// The version of that image.
    pub image_version: u32,
    /// The backend that holds it.
    pub backend: String,
    /// Its work area.
    pub work: NodeId,
    /// The layer that the work area stands on, and the one that it was made over.
    pub base: LayerId,
    /// The layer that it was made over at first.
    pub origin: LayerId,
    /// Whether somebody runs it.
    pub held: bool,
    /// Whether it goes when its command ends.
    pub auto_remove: bool,
}

/// Reads it. To be called where nothing changes meanwhile: in a transaction.
///
/// # Errors
/// Those of the database.
pub fn survey(connection: &Connection) -> Result<Survey> {
    fn rows<T>(
        connection: &Connection,
        query: &str,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = connection.prepare_cached(query).map_err(sql)?;
        let rows = statement.query_map([], read).map_err(sql)?;
        rows.collect::<rusqlite::Result<_>>().map_err(sql)
    }
    let node = |row: &rusqlite::Row<'_>, column| row.get(column).map(NodeId);
    let nodes =
        rows(connection, "SELECT id, backend, parent FROM node WHERE role IN ('layer', 'work')", |row| {
            let parent = version::layer(row, 2)?;
            Ok((node(row, 0)?, SurveyedNode { backend: row.get(1)?, parent }))
        })?;
    let mut images = rows(connection, "SELECT id, name, tag, backend, head FROM image ORDER BY id", |row| {
        let name: Option<String> = row.get(1)?;
        let tag: Option<String> = row.get(2)?;
        let name = name.zip(tag).map(|(name, tag)| Reference { name, tag }.to_string());
        let (id, backend, head) = (row.get(0)?, row.get(3)?, row.get(4)?);
        Ok(SurveyedImage { id, name, backend, head, versions: Vec::new() })
    })?;
    let versions =
        rows(connection, "SELECT image, number, layer FROM version ORDER BY number DESC", |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, version::layer(row, 2)?))
        })?;
    let at: HashMap<String, usize> =
        images.iter().enumerate().map(|(at, image)| (image.id.clone(), at)).collect();
    for (image, number, layer) in versions {
        if let Some(image) = at.get(&image) {
            images[*image].versions.push((number, layer));
        }
    }
    let containers = rows(
        connection,
        "SELECT id, image, image_version, backend, work, base, origin, lease IS NOT NULL, auto_remove \
         FROM container ORDER BY id",
        |row| {
            Ok(SurveyedContainer {
                id: row.get(0)?,
                image: row.get(1)?,
                image_version: row.get(2)?,
                backend: row.get(3)?,
                work: node(row, 4)?,
                base: LayerId(node(row, 5)?),
                origin: LayerId(node(row, 6)?),
                held: row.get(7)?,
                auto_remove: row.get(8)?,
            })
        },
    )?;
    let pinned = rows(connection, "SELECT DISTINCT node FROM intent_node", |row| node(row, 0))?;
    Ok(Survey {
        nodes: nodes.into_iter().collect(),
        images,
        containers,
        pinned: pinned.into_iter().collect(),
    })
}
