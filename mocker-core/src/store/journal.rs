//! The journal: what a verb is about to do, written down before it does it.
//!
//! An intent names the objects that nobody else may change meanwhile and every
//! node that the verb reads or writes. It begins in the same transaction that
//! reads what the verb will act on, and ends with the commit point, or, where
//! nodes are left to delete, after that. Of an intent whose process died, the
//! nodes that are still `pending` or already `condemned` are rubbish, and
//! nothing else is.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::backend::NodeId;
use crate::error::{Error, ErrorKind, Result};
use crate::store::sql;

/// Who begins an intent.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    /// The token of its lease.
    pub lease: &'a str,
    /// The verb, for naming the holder to others.
    pub verb: &'a str,
}

/// Begins an intent that holds `objects`, such as `container ps_1`.
///
/// # Errors
/// [`ErrorKind::Busy`], naming the holder, if another intent has one of them.
pub fn begin(tx: &Transaction<'_>, actor: Actor<'_>, objects: &[String]) -> Result<i64> {
    tx.prepare_cached("INSERT INTO intent (lease, verb, pid) VALUES (?1, ?2, ?3)")
        .map_err(sql)?
        .execute(params![actor.lease, actor.verb, std::process::id()])
        .map_err(sql)?;
    let intent = tx.last_insert_rowid();
    objects.iter().try_for_each(|object| hold(tx, intent, object))?;
    Ok(intent)
}

/// Makes an intent hold one object more.
///
/// # Errors
/// [`ErrorKind::Busy`], naming the holder, if another intent has it.
pub fn hold(tx: &Transaction<'_>, intent: i64, object: &str) -> Result<()> {
    let holder: Option<(String, i64)> = tx
        .prepare_cached(
            "SELECT verb, pid FROM intent JOIN intent_object ON intent.id = intent_object.intent WHERE object = ?1",
        )
        .map_err(sql)?
        .query_row([object], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(sql)?;
    if let Some((verb, pid)) = holder {
        return Err(Error::new(
            ErrorKind::Busy,
            format!("{object} is held by 'mocker {verb}' (process {pid})"),
        )
        .with_hint("try again when it is done"));
    }
    tx.prepare_cached("INSERT INTO intent_object (object, intent) VALUES (?1, ?2)")
        .map_err(sql)?
        .execute(params![object, intent])
        .map_err(sql)?;
    Ok(())
}

/// Ends an intent. Its nodes must be in use or gone.
///
/// # Errors
/// Those of the database.
pub fn end(tx: &Transaction<'_>, intent: i64) -> Result<()> {
    tx.prepare_cached("DELETE FROM intent WHERE id = ?1").map_err(sql)?.execute([intent]).map_err(sql)?;
    Ok(())
}

/// The nodes of an intent that are to be deleted, each with its backend.
///
/// # Errors
/// Those of the database.
pub fn rubbish(connection: &Connection, intent: i64) -> Result<Vec<(NodeId, String)>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT node.id, node.backend FROM node JOIN intent_node ON node.id = intent_node.node \
             WHERE intent_node.intent = ?1 AND node.role IN ('pending', 'condemned') ORDER BY node.id",
        )
        .map_err(sql)?;
    let rows = statement.query_map([intent], |row| Ok((NodeId(row.get(0)?), row.get(1)?))).map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}

/// The backends of the layers that an intent reads.
///
/// # Errors
/// Those of the database.
pub fn backends_read(connection: &Connection, intent: i64) -> Result<Vec<String>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT DISTINCT node.backend FROM node JOIN intent_node ON node.id = intent_node.node \
             WHERE intent_node.intent = ?1 AND node.role = 'layer'",
        )
        .map_err(sql)?;
    let rows = statement.query_map([intent], |row| row.get(0)).map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}

/// Forgets a node that was deleted.
///
/// # Errors
/// Those of the database.
pub fn forget(tx: &Transaction<'_>, node: NodeId) -> Result<()> {
    tx.prepare_cached("DELETE FROM intent_node WHERE node = ?1")
        .map_err(sql)?
        .execute([node.0])
        .map_err(sql)?;
    tx.prepare_cached("DELETE FROM node WHERE id = ?1").map_err(sql)?.execute([node.0]).map_err(sql)?;
    Ok(())
}

/// The leases that any intent or running container carries.
///
/// # Errors
/// Those of the database.
pub fn leases(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection
        .prepare_cached("SELECT lease FROM intent UNION SELECT lease FROM container WHERE lease IS NOT NULL")
        .map_err(sql)?;
    let rows = statement.query_map([], |row| row.get(0)).map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}

/// The intents that carry this lease.
///
/// # Errors
/// Those of the database.
pub fn intents_of(connection: &Connection, lease: &str) -> Result<Vec<i64>> {
    let mut statement =
        connection.prepare_cached("SELECT id FROM intent WHERE lease = ?1 ORDER BY id").map_err(sql)?;
    let rows = statement.query_map([lease], |row| row.get(0)).map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}

/// Some intent that is under way: its verb, and its process.
///
/// # Errors
/// Those of the database.
pub fn any(connection: &Connection) -> Result<Option<(String, i64)>> {
    connection
        .prepare_cached("SELECT verb, pid FROM intent LIMIT 1")
        .map_err(sql)?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .map_err(sql)
}

/// The lease of whoever holds an object now.
///
/// # Errors
/// Those of the database.
pub fn holder_of(connection: &Connection, object: &str) -> Result<Option<String>> {
    connection
        .prepare_cached(
            "SELECT lease FROM intent JOIN intent_object ON intent.id = intent_object.intent WHERE object = ?1",
        )
        .map_err(sql)?
        .query_row([object], |row| row.get(0))
        .optional()
        .map_err(sql)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{LayerId, Layers};
    use crate::store::{Durability, Store, node};

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("db")).unwrap();
        (folder, store)
    }

    fn write<T>(store: &Store, change: impl FnMut(&Transaction<'_>) -> Result<T>) -> Result<T> {
        store.write(Durability::Quick, change)
    }

    const ALICE: Actor<'static> = Actor { lease: "a", verb: "commit" };
    const BOB: Actor<'static> = Actor { lease: "b", verb: "rm" };

    #[test]
    fn n1_of_two_who_want_one_object_the_second_is_told_who_has_it() {
        let (_folder, store) = store();
        let object = ["container ps_1".to_owned()];
        let first = write(&store, |tx| begin(tx, ALICE, &object)).unwrap();
        let refused = write(&store, |tx| begin(tx, BOB, &object)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Busy);
        let pid = std::process::id().to_string();
        assert!(
            refused.to_string().contains("mocker commit") && refused.to_string().contains(&pid),
            "{refused}"
        );
        assert!(intents_of(store.read(), "b").unwrap().is_empty(), "the refused intent left something");
        write(&store, |tx| end(tx, first)).unwrap();
        write(&store, |tx| begin(tx, BOB, &object)).unwrap();
    }

    #[test]
    fn k1_only_unfinished_and_condemned_nodes_of_an_intent_are_rubbish() {
        let (_folder, store) = store();
        let (intent, nodes) = write(&store, |tx| {
            let intent = begin(tx, ALICE, &[])?;
            let nodes = [(); 4].map(|()| node::allocate(tx, intent, "btrfs"));
            let [pending, layer, work, condemned] = nodes.map(Result::unwrap);
            node::becomes_layer(tx, LayerId(layer), None)?;
            node::becomes_work(tx, work)?;
            node::condemn(tx, intent, condemned)?;
            Ok((intent, [pending, condemned]))
        })
        .unwrap();
        let found = rubbish(store.read(), intent).unwrap();
        assert_eq!(found, nodes.map(|node| (node, "btrfs".to_owned())));
    }

    #[test]
    fn a_number_is_never_given_out_twice() {
        let (_folder, store) = store();
        let allocate = || {
            write(&store, |tx| {
                let intent = begin(tx, ALICE, &[])?;
                let node = node::allocate(tx, intent, "btrfs")?;
                forget(tx, node)?;
                end(tx, intent)?;
                Ok(node)
            })
            .unwrap()
        };
        let first = allocate();
        assert!(allocate() > first);
    }

    #[test]
    fn n2_a_layer_that_an_intent_reads_is_not_condemned_and_delta_layers_keep_their_base() {
        for (layers, base_stays) in [(Layers::Whole, false), (Layers::Delta, true)] {
            let (_folder, store) = store();
            let (base, tip, stray, gone) = write(&store, |tx| {
                let maker = begin(tx, ALICE, &[])?;
                let [base, tip, stray] = [(); 3].map(|()| LayerId(node::allocate(tx, maker, "x").unwrap()));
                node::becomes_layer(tx, base, None)?;
                node::becomes_layer(tx, tip, Some(base))?;
                node::becomes_layer(tx, stray, None)?;
                end(tx, maker)?;
                let reader = begin(tx, ALICE, &[])?;
                node::pin(tx, reader, tip.0)?;
                let remover = begin(tx, BOB, &[])?;
                node::condemn_unreferenced(tx, remover, "x", layers)?;
                let gone: Vec<_> = rubbish(tx, remover)?.into_iter().map(|(node, _)| LayerId(node)).collect();
                Ok((base, tip, stray, gone))
            })
            .unwrap();
            assert!(gone.contains(&stray) && !gone.contains(&tip), "{layers:?}: {gone:?}");
            assert_eq!(!gone.contains(&base), base_stays, "{layers:?}");
            let chain = node::chain(store.read(), tip).unwrap();
            let expected = if base_stays { vec![base, tip] } else { vec![tip] };
            assert_eq!(chain.layers(), expected, "{layers:?}");
        }
    }
}
