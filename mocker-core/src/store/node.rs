//! Records of nodes: which numbers exist, and which of them anything needs.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::backend::{Chain, LayerId, Layers, NodeId};
use crate::error::Result;
use crate::store::sql;

/// Gives out a new number for a node that the intent is about to make.
///
/// # Errors
/// Those of the database.
pub fn allocate(tx: &Transaction<'_>, intent: i64, backend: &str) -> Result<NodeId> {
    know_backend(tx, backend)?;
    tx.prepare_cached("INSERT INTO node (backend, role) VALUES (?1, 'pending')")
        .map_err(sql)?
        .execute([backend])
        .map_err(sql)?;
    let node = NodeId(tx.last_insert_rowid().unsigned_abs());
    pin(tx, intent, node)?;
    Ok(node)
}

/// The greatest number that was ever given out.
///
/// # Errors
/// Those of the database.
pub fn greatest(connection: &Connection) -> Result<u64> {
    let found: Option<u64> = connection
        .prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'node'")
        .map_err(sql)?
        .query_row([], |row| row.get(0))
        .optional()
        .map_err(sql)?;
    Ok(found.unwrap_or(0))
}

/// Records a node that was found and that no record knows, to be deleted by the
/// intent.
///
/// # Errors
/// Those of the database.
pub fn adopt(tx: &Transaction<'_>, intent: i64, backend: &str, node: NodeId) -> Result<()> {
    tx.prepare_cached("INSERT INTO node (id, backend, role) VALUES (?1, ?2, 'condemned')")
        .map_err(sql)?
        .execute(params![node.0, backend])
        .map_err(sql)?;
    pin(tx, intent, node)
}

/// Records that a backend is used. To be on the disk before its first node: an
/// open after a power cut looks only at backends that it knows.
///
/// # Errors
/// Those of the database.
pub fn know_backend(tx: &Transaction<'_>, backend: &str) -> Result<()> {
    tx.prepare_cached("INSERT OR IGNORE INTO backend (name) VALUES (?1)")
        .map_err(sql)?
        .execute([backend])
        .map_err(sql)?;
    Ok(())
}

/// Makes a node count as referenced for as long as the intent lasts.
///
/// # Errors
/// Those of the database.
pub fn pin(tx: &Transaction<'_>, intent: i64, node: NodeId) -> Result<()> {
    tx.prepare_cached("INSERT OR IGNORE INTO intent_node (node, intent) VALUES (?1, ?2)")
        .map_err(sql)?
        .execute(params![node.0, intent])
        .map_err(sql)?;
    Ok(())
}

/// Records that a node is a layer over `parent` now.
///
/// # Errors
/// Those of the database.
pub fn becomes_layer(tx: &Transaction<'_>, layer: LayerId, parent: Option<LayerId>) -> Result<()> {
    tx.prepare_cached("UPDATE node SET role = 'layer', parent = ?2 WHERE id = ?1")
        .map_err(sql)?
        .execute(params![layer.0.0, parent.map(|parent| parent.0.0)])
        .map_err(sql)?;
    Ok(())
}

/// Records that a node is a work area now.
///
/// # Errors
/// Those of the database.
pub fn becomes_work(tx: &Transaction<'_>, node: NodeId) -> Result<()> {
    tx.prepare_cached("UPDATE node SET role = 'work', parent = NULL WHERE id = ?1")
        .map_err(sql)?
        .execute([node.0])
        .map_err(sql)?;
    Ok(())
}

/// Records that nothing refers to a node any more, and that the intent is to
/// delete it.
///
/// # Errors
/// Those of the database.
pub fn condemn(tx: &Transaction<'_>, intent: i64, node: NodeId) -> Result<()> {
    tx.prepare_cached("UPDATE node SET role = 'condemned' WHERE id = ?1")
        .map_err(sql)?
        .execute([node.0])
        .map_err(sql)?;
    pin(tx, intent, node)
}

/// Condemns every layer of a backend that no version, container or other intent
/// needs. Where layers are whole, only the tip of a chain is needed.
///
/// # Errors
/// Those of the database.
pub fn condemn_unreferenced(tx: &Transaction<'_>, intent: i64, backend: &str, layers: Layers) -> Result<()> {
    // A pruned version has none; one NULL among the needed ones would make everything needed.
    const ROOTS: &str = "SELECT layer FROM version WHERE layer IS NOT NULL UNION SELECT base FROM container \
                         UNION SELECT node FROM intent_node WHERE intent != ?2";
    let needed = match layers {
        Layers::Whole => format!("WITH needed (id) AS ({ROOTS})"),
        Layers::Delta => format!(
            "WITH RECURSIVE needed (id) AS ({ROOTS} UNION SELECT node.parent FROM node JOIN needed USING (id) \
             WHERE node.parent IS NOT NULL)"
        ),
    };
    let query = format!(
        "{needed} SELECT id FROM node WHERE backend = ?1 AND role = 'layer' AND id NOT IN (SELECT id FROM needed)"
    );
    let unneeded: Vec<u64> = {
        let mut statement = tx.prepare_cached(&query).map_err(sql)?;
        let rows = statement.query_map(params![backend, intent], |row| row.get(0)).map_err(sql)?;
        rows.collect::<Result<_, _>>().map_err(sql)?
    };
    unneeded.into_iter().try_for_each(|node| condemn(tx, intent, NodeId(node)))
}

/// Whether a version, a container or an intent names this node.
///
/// # Errors
/// Those of the database.
pub fn is_needed(connection: &Connection, node: NodeId) -> Result<bool> {
    connection
        .prepare_cached(
            "SELECT ?1 IN (SELECT layer FROM version WHERE layer IS NOT NULL UNION SELECT base FROM container \
             UNION SELECT work FROM container UNION SELECT node FROM intent_node)",
        )
        .map_err(sql)?
        .query_row([node.0], |row| row.get(0))
        .map_err(sql)
}

/// The chain that ends in `tip`, as far as its layers still exist.
///
/// # Errors
/// Those of the database.
pub fn chain(connection: &Connection, tip: LayerId) -> Result<Chain> {
    let mut statement = connection
        .prepare_cached(
            "WITH RECURSIVE below (id, depth) AS (SELECT ?1, 0 UNION ALL \
             SELECT node.parent, below.depth + 1 FROM node JOIN below USING (id) WHERE node.parent IS NOT NULL) \
             SELECT node.id FROM below JOIN node USING (id) WHERE node.role = 'layer' ORDER BY depth DESC",
        )
        .map_err(sql)?;
    let rows = statement.query_map([tip.0.0], |row| row.get(0)).map_err(sql)?;
    let layers: Vec<u64> = rows.collect::<Result<_, _>>().map_err(sql)?;
    Ok(Chain::new(layers.into_iter().map(|id| LayerId(NodeId(id))).collect()))
}

/// All layers, each with the one that it was made over, which may be gone.
///
/// # Errors
/// Those of the database.
pub fn parents(connection: &Connection) -> Result<HashMap<LayerId, Option<LayerId>>> {
    let mut statement =
        connection.prepare_cached("SELECT id, parent FROM node WHERE role = 'layer'").map_err(sql)?;
    let layer = |node| LayerId(NodeId(node));
    let rows = statement
        .query_map([], |row| Ok((layer(row.get(0)?), row.get::<_, Option<u64>>(1)?.map(layer))))
        .map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}

/// Whether the store knows this number, in whatever role.
///
/// # Errors
/// Those of the database.
pub fn is_known(connection: &Connection, node: NodeId) -> Result<bool> {
    let found: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM node WHERE id = ?1")
        .map_err(sql)?
        .query_row([node.0], |row| row.get(0))
        .optional()
        .map_err(sql)?;
    Ok(found.is_some())
}

/// Removes every image, container and node of a backend from the records.
/// No intent may be under way.
///
/// # Errors
/// Those of the database.
pub fn forget_backend(tx: &Transaction<'_>, backend: &str) -> Result<()> {
    // Versions go with their images; all three before the nodes that they refer to.
    for table in ["container", "image", "node"] {
        tx.execute(&format!("DELETE FROM {table} WHERE backend = ?1"), [backend]).map_err(sql)?;
    }
    // Nobody needs to open it any more, which would set it up anew.
    tx.execute("DELETE FROM backend WHERE name = ?1", [backend]).map_err(sql)?;
    Ok(())
}

/// The backends that ever held a node of this root.
///
/// # Errors
/// Those of the database.
pub fn backends(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT name FROM backend ORDER BY name").map_err(sql)?;
    let rows = statement.query_map([], |row| row.get(0)).map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}
