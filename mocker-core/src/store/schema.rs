//! The tables of the store, and how a new or older database gets them.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, ErrorKind, Result};
use crate::store::{lost, sql};

/// The schema that this program writes, as `PRAGMA user_version` has it.
const VERSION: i64 = 3;

/// The same for manifests.
pub(super) const FORMAT: u64 = VERSION.unsigned_abs();

/// What makes an older schema the next one, from 1 on.
const STEPS: [&str; 2] = [
    // A container that was committed on a backend of deltas has a base above the one it was made over; which
    // one that was is not known any more, and the images that it was made from tell where they are left.
    "ALTER TABLE container ADD COLUMN origin INTEGER NOT NULL DEFAULT 0;
     UPDATE container SET origin = coalesce((SELECT layer FROM version WHERE version.image = container.image
         AND version.number = container.image_version), base);",
    // Each version had a layer, until they could be pruned. Nothing refers to the table, so it can be replaced.
    "ALTER TABLE version RENAME TO former;
     DROP INDEX version_layer;
     CREATE TABLE version (image TEXT NOT NULL REFERENCES image (id) ON DELETE CASCADE, number INTEGER NOT NULL,
         layer INTEGER REFERENCES node (id), config TEXT NOT NULL, created INTEGER NOT NULL,
         created_by TEXT NOT NULL, author TEXT, message TEXT, PRIMARY KEY (image, number)) STRICT, WITHOUT ROWID;
     INSERT INTO version (image, number, layer, config, created, created_by, author, message)
         SELECT image, number, layer, config, created, created_by, author, message FROM former;
     DROP TABLE former;
     CREATE INDEX version_layer ON version (layer);",
];

const TABLES: &str = "
-- Single facts: the boot during which leftovers were last looked for.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

-- Backends that ever held a node of this root.
CREATE TABLE backend (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- One row per directory or subvolume; AUTOINCREMENT never gives a number twice.
-- 'pending': being made by the verb whose intent names it.
-- 'condemned': unreachable, and deleted by the verb whose intent names it.
CREATE TABLE node (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    backend TEXT NOT NULL REFERENCES backend (name),
    role TEXT NOT NULL CHECK (role IN ('pending', 'layer', 'work', 'condemned')),
    parent INTEGER -- the layer beneath a layer; may be gone where layers are whole
) STRICT;

CREATE TABLE image (
    id TEXT PRIMARY KEY,
    name TEXT,
    tag TEXT,
    backend TEXT NOT NULL REFERENCES backend (name),
    source TEXT NOT NULL,
    head INTEGER NOT NULL,
    UNIQUE (name, tag)
) STRICT;

CREATE TABLE version (
    image TEXT NOT NULL REFERENCES image (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    layer INTEGER REFERENCES node (id), -- NULL once the tree was pruned; what else is said stays
    config TEXT NOT NULL,
    created INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    author TEXT,
    message TEXT,
    PRIMARY KEY (image, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX version_layer ON version (layer);

CREATE TABLE container (
    id TEXT PRIMARY KEY,
    name TEXT UNIQUE,
    image TEXT NOT NULL,
    image_version INTEGER NOT NULL,
    backend TEXT NOT NULL REFERENCES backend (name),
    work INTEGER NOT NULL REFERENCES node (id),
    base INTEGER NOT NULL REFERENCES node (id),
    config TEXT NOT NULL,
    argv BLOB NOT NULL, -- arguments, each ended by a NUL byte
    hostname TEXT NOT NULL,
    network TEXT NOT NULL,
    auto_remove INTEGER NOT NULL,
    created INTEGER NOT NULL,
    started INTEGER,
    finished INTEGER,
    exit_status INTEGER,
    failure TEXT,
    leave_out TEXT NOT NULL DEFAULT '[]',
    lease TEXT, -- held while the command runs
    holder INTEGER, -- the process that holds it
    pid INTEGER,
    pid_start INTEGER,
    origin INTEGER NOT NULL DEFAULT 0 -- the layer that it was made over; `base` moves on with commits
) STRICT;
CREATE INDEX container_base ON container (base);
CREATE INDEX container_work ON container (work);
CREATE INDEX container_image ON container (image);
CREATE INDEX container_lease ON container (lease) WHERE lease IS NOT NULL;

-- The journal: what a verb is about to do, until it is done. Its tables hold a row or two at a time,
-- so they need no indexes.
CREATE TABLE intent (
    id INTEGER PRIMARY KEY,
    lease TEXT NOT NULL,
    verb TEXT NOT NULL,
    pid INTEGER NOT NULL
) STRICT;
-- Objects that nobody else may change meanwhile.
CREATE TABLE intent_object (
    object TEXT PRIMARY KEY,
    intent INTEGER NOT NULL REFERENCES intent (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
-- Nodes that it reads or writes; they count as referenced.
CREATE TABLE intent_node (
    node INTEGER NOT NULL,
    intent INTEGER NOT NULL REFERENCES intent (id) ON DELETE CASCADE,
    PRIMARY KEY (node, intent)
) STRICT, WITHOUT ROWID;
";

/// Makes the tables where there are none; refuses a database from the future,
/// and an empty one where there has been another.
pub(super) fn prepare(connection: &mut Connection, used_before: bool) -> Result<()> {
    let found = version(connection)?;
    if found == VERSION {
        return Ok(());
    }
    // Two processes may come here at once: the second finds the work done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
    match version(&transaction)? {
        VERSION => return Ok(()),
        0 if used_before => return Err(lost("the database is empty")),
        0 => transaction.execute_batch(TABLES).map_err(sql)?,
        older @ 1..VERSION => {
            let done = usize::try_from(older - 1).unwrap_or(0);
            STEPS[done..].iter().try_for_each(|step| transaction.execute_batch(step)).map_err(sql)?;
        }
        other => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the store has format {other}, and this program knows format {VERSION}"),
            )
            .with_hint("use the newer mocker that made it"));
        }
    }
    transaction.pragma_update(None, "user_version", VERSION).map_err(sql)?;
    transaction.commit().map_err(sql)
}

fn version(connection: &Connection) -> Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sql)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::backend::{LayerId, NodeId};
    use crate::store::{Durability, Store, container, image, version};

    /// What `sqlite_schema` says, white space and comments aside.
    fn shape(connection: &Connection) -> Vec<String> {
        let mut statement =
            connection.prepare("SELECT type || name || tbl_name FROM sqlite_schema ORDER BY 1").unwrap();
        let mut found: Vec<String> =
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        for table in ["container", "version", "image", "node"] {
            let query =
                format!("SELECT name || ' ' || type || ' ' || \"notnull\" FROM pragma_table_info('{table}')");
            let mut statement = connection.prepare(&query).unwrap();
            found.extend(statement.query_map([], |row| row.get(0)).unwrap().map(Result::<String, _>::unwrap));
        }
        found
    }

    #[test]
    fn a_store_of_the_first_format_becomes_one_of_this() {
        let mut fresh = Connection::open_in_memory().unwrap();
        prepare(&mut fresh, false).unwrap();
        let first = {
            let without = TABLES.lines().filter(|line| !line.trim_start().starts_with("origin "));
            without.collect::<Vec<_>>().join("\n").replace("pid_start INTEGER,", "pid_start INTEGER")
        };
        let mut old = Connection::open_in_memory().unwrap();
        old.execute_batch(&first).unwrap();
        old.execute_batch(
            "PRAGMA user_version = 1; INSERT INTO backend VALUES ('x');
             INSERT INTO node VALUES (3, 'x', 'layer', NULL), (5, 'x', 'layer', 3), (6, 'x', 'work', NULL);
             INSERT INTO image VALUES ('img_a', 'a', 'latest', 'x', '', 1);
             INSERT INTO version VALUES ('img_a', 1, 3, '{}', 0, '', NULL, NULL);
             INSERT INTO container (id, image, image_version, backend, work, base, config, argv, hostname,
                 network, auto_remove, created)
             VALUES ('ps_1', 'img_a', 1, 'x', 6, 5, '{}', x'00', '', '', 0, 0),
                 ('ps_2', 'img_gone', 1, 'x', 6, 5, '{}', x'00', '', '', 0, 0);",
        )
        .unwrap();
        prepare(&mut old, true).unwrap();
        assert_eq!(shape(&old), shape(&fresh));
        let origin = |id: &str| -> u64 {
            old.query_row("SELECT origin FROM container WHERE id = ?1", [id], |row| row.get(0)).unwrap()
        };
        assert_eq!((origin("ps_1"), origin("ps_2")), (3, 5));
        prepare(&mut old, true).unwrap();
        old.pragma_update(None, "user_version", VERSION + 1).unwrap();
        assert_eq!(prepare(&mut old, true).unwrap_err().kind(), ErrorKind::Unsupported);
    }

    /// What a program of format 1 left: an image of three versions, the second
    /// and the third committed from one container, a tag of the third, a container
    /// over it, and an image without a name that was committed from that.
    const FORMAT_1: &[u8] = include_bytes!("schema/format-1.db");

    fn open_format_1(folder: &Path) -> Store {
        let path = folder.join("mocker.db");
        std::fs::write(&path, FORMAT_1).unwrap();
        assert_eq!(super::version(&Connection::open(&path).unwrap()).unwrap(), 1);
        Store::open(&path).unwrap()
    }

    #[test]
    fn a_database_of_format_1_is_taken_over_whole() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_format_1(folder.path());
        assert_eq!(super::version(store.read()).unwrap(), VERSION);
        let images = image::list(store.read()).unwrap();
        let told: Vec<_> = images
            .iter()
            .map(|image| (image.name.as_deref(), image.version, image.versions, image.layer))
            .collect();
        assert_eq!(told, [(None, 1, 1, 7), (Some("web:kept"), 1, 1, 5), (Some("web:latest"), 3, 3, 5)]);
        let layers = [1, 2, 3].map(|number| version::tip(store.read(), &images[2].id, number).unwrap());
        assert_eq!(layers, [1, 4, 5].map(|node| Some(LayerId(NodeId(node)))));
        let config = version::config(store.read(), &images[2].id, 2).unwrap().unwrap();
        assert_eq!(config.cmd, ["sh", "-c", "echo one > /word"]);
        assert_eq!(container::list(store.read()).unwrap().len(), 2);
        let sentence = "SELECT author, message FROM version WHERE number = 2";
        let said = store.read().query_row(sentence, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(said, ("someone".to_owned(), "the first".to_owned()));
        let broken = store.read().query_row("PRAGMA foreign_key_check", [], |_| Ok(()));
        assert_eq!(broken, Err(rusqlite::Error::QueryReturnedNoRows));
        // It is as if it had been made today.
        let fresh = Store::make(&folder.path().join("fresh.db")).unwrap();
        assert_eq!(shape(store.read()), shape(fresh.read()));
        drop(store);
        Store::open(&folder.path().join("mocker.db")).unwrap();
    }

    #[test]
    fn two_that_open_a_database_of_format_1_at_once_both_find_it_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mocker.db");
        std::fs::write(&path, FORMAT_1).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(image::list(Store::open(&path).unwrap().read()).unwrap().len(), 3));
            }
        });
    }

    #[test]
    fn a_version_may_lose_its_layer_and_keeps_what_else_is_said_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = open_format_1(folder.path());
        store
            .write(Durability::Quick, |tx| {
                tx.execute("UPDATE version SET layer = NULL WHERE number = 2", []).map(drop).map_err(sql)
            })
            .unwrap();
        let refused = image::find(store.read(), "web@2").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound);
        assert!(refused.to_string().contains("version 2 of image web:latest was pruned"), "{refused}");
        assert_eq!(image::find(store.read(), "web@3").unwrap().version, 3);
        let found = image::find(store.read(), "web").unwrap();
        assert!(version::config(store.read(), &found.id, 2).unwrap().is_some());
        assert_eq!(version::tip(store.read(), &found.id, 2).unwrap(), None);
    }
}
