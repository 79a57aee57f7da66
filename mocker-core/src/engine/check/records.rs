//! What the records say, read in one piece.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Row};

use crate::error::Result;
use crate::image::Config;
use crate::store::sql;
use crate::tree::leave_out::LeaveOut;

/// A row of `node`.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) backend: String,
    pub(super) role: String,
    pub(super) parent: Option<u64>,
}

/// Something that stands on a chain.
#[derive(Debug)]
pub(super) struct Stander {
    /// For people: `version 3 of image img_…`.
    pub(super) subject: String,
    /// The id of the image or container.
    pub(super) id: String,
    /// The number of a version.
    pub(super) number: Option<u32>,
    pub(super) backend: String,
    /// The layer at the end of the chain.
    pub(super) tip: u64,
    /// The work area of a container.
    pub(super) work: Option<u64>,
    /// Who runs it.
    pub(super) lease: Option<String>,
}

/// An intent, or several of one process.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) lease: String,
    pub(super) verb: String,
    pub(super) pid: i64,
}

/// The records of a root at one moment.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) nodes: BTreeMap<u64, Known>,
    pub(super) images: usize,
    pub(super) versions: Vec<Stander>,
    pub(super) containers: Vec<Stander>,
    pub(super) intents: Vec<UnderWay>,
    /// Objects that somebody works on.
    pub(super) held: BTreeSet<String>,
    /// Nodes that somebody works on.
    pub(super) pinned: BTreeSet<u64>,
}

impl Records {
    pub(super) fn read(connection: &Connection) -> Result<Self> {
        // One moment for all tables.
        let moment = connection.unchecked_transaction().map_err(sql)?;
        let read = Self {
            nodes: rows(&moment, "SELECT id, backend, role, parent FROM node", |row| {
                let known = Known { backend: row.get(1)?, role: row.get(2)?, parent: row.get(3)? };
                Ok((row.get(0)?, known))
            })?
            .into_iter()
            .collect(),
            images: rows::<i64>(&moment, "SELECT 1 FROM image", |row| row.get(0))?.len(),
            versions: rows(
                &moment,
                "SELECT image.id, version.number, image.backend, version.layer FROM version JOIN image \
                 ON image.id = version.image WHERE version.layer IS NOT NULL ORDER BY 1, 2",
                |row| {
                    let (id, number): (String, u32) = (row.get(0)?, row.get(1)?);
                    Ok(Stander {
                        subject: format!("version {number} of image {id}"),
                        id,
                        number: Some(number),
                        backend: row.get(2)?,
                        tip: row.get(3)?,
                        work: None,
                        lease: None,
                    })
                },
            )?,
            containers: rows(
                &moment,
                "SELECT id, backend, base, work, lease FROM container ORDER BY id",
                |row| {
                    let id: String = row.get(0)?;
                    Ok(Stander {
                        subject: format!("container {id}"),
                        id,
                        number: None,
                        backend: row.get(1)?,
                        tip: row.get(2)?,
                        work: Some(row.get(3)?),
                        lease: row.get(4)?,
                    })
                },
            )?,
            intents: rows(&moment, "SELECT lease, verb, pid FROM intent ORDER BY id", |row| {
                Ok(UnderWay { lease: row.get(0)?, verb: row.get(1)?, pid: row.get(2)? })
            })?,
            held: rows(&moment, "SELECT object FROM intent_object", |row| row.get(0))?.into_iter().collect(),
            pinned: rows(&moment, "SELECT node FROM intent_node", |row| row.get(0))?.into_iter().collect(),
        };
        moment.commit().map_err(sql)?;
        Ok(read)
    }

    /// Everything that stands on a chain.
    pub(super) fn standers(&self) -> impl Iterator<Item = &Stander> {
        self.versions.iter().chain(&self.containers)
    }

    /// The leases that anything carries.
    pub(super) fn leases(&self) -> BTreeSet<&str> {
        let of_intents = self.intents.iter().map(|intent| intent.lease.as_str());
        of_intents.chain(self.containers.iter().filter_map(|container| container.lease.as_deref())).collect()
    }
}

/// What is wrong with the database in itself; `None` where nothing is.
pub(super) fn fault(connection: &Connection) -> Result<Option<String>> {
    // A few lines tell enough, and a damaged page can make thousands.
    let integrity: Vec<String> = rows(connection, "PRAGMA integrity_check(5)", |row| row.get(0))?;
    if integrity != ["ok"] {
        return Ok(Some(integrity.join("; ")));
    }
    let foreign: Vec<String> = rows(connection, "PRAGMA foreign_key_check", |row| {
        let (table, parent): (String, String) = (row.get(0)?, row.get(2)?);
        Ok(format!("a row of '{table}' refers to nothing in '{parent}'"))
    })?;
    if !foreign.is_empty() {
        return Ok(Some(foreign.join("; ")));
    }
    let mut contradictions: Vec<String> = rows(connection, CONTRADICTIONS, |row| row.get(0))?;
    for (subject, config, leave_out) in rows::<(String, String, String)>(connection, TEXTS, |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })? {
        let read = serde_json::from_str::<Config>(&config).map(drop);
        if let Err(error) = read.and_then(|()| serde_json::from_str::<Vec<LeaveOut>>(&leave_out).map(drop)) {
            contradictions.push(format!("what is recorded of {subject} cannot be read: {error}"));
        }
    }
    Ok((!contradictions.is_empty()).then(|| contradictions.join("; ")))
}

/// What is written as JSON.
const TEXTS: &str = "
SELECT 'version ' || number || ' of image ' || image, config, '[]' FROM version
UNION ALL SELECT 'container ' || id, config, leave_out FROM container";

/// What no verb ever writes.
const CONTRADICTIONS: &str = "
SELECT 'image ' || id || ' has no version ' || head FROM image
    WHERE head NOT IN (SELECT number FROM version WHERE image = image.id)
UNION ALL SELECT 'version ' || number || ' of image ' || image || ' stands on node ' || layer || ', a ' || role
    FROM version JOIN node ON node.id = layer WHERE role != 'layer'
UNION ALL SELECT 'container ' || container.id || ' stands on node ' || base || ', a ' || role
    FROM container JOIN node ON node.id = base WHERE role != 'layer'
UNION ALL SELECT 'container ' || container.id || ' has node ' || work || ', a ' || role
    FROM container JOIN node ON node.id = work WHERE role != 'work'
UNION ALL SELECT 'two containers have node ' || work FROM container GROUP BY work HAVING count(*) > 1";

fn rows<T>(
    connection: &Connection,
    query: &str,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare(query).map_err(sql)?;
    let rows = statement.query_map([], read).map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}
