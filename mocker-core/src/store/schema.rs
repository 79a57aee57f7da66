//! The tables of the store, and how a new or older database gets them.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Error, ErrorKind, Result};
use crate::store::sql;

/// The schema that this program writes, as `PRAGMA user_version` has it.
const VERSION: i64 = 1;

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
    layer INTEGER NOT NULL REFERENCES node (id),
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
    pid_start INTEGER
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

/// Makes the tables where there are none; refuses a database from the future.
pub(super) fn prepare(connection: &mut Connection) -> Result<()> {
    let found = version(connection)?;
    if found == VERSION {
        return Ok(());
    }
    // Two processes may come here at once: the second finds the work done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
    match version(&transaction)? {
        VERSION => return Ok(()),
        0 => {}
        other => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("the store has format {other}, and this program knows format {VERSION}"),
            )
            .with_hint("use the newer mocker that made it"));
        }
    }
    transaction.execute_batch(TABLES).map_err(sql)?;
    transaction.pragma_update(None, "user_version", VERSION).map_err(sql)?;
    transaction.commit().map_err(sql)
}

fn version(connection: &Connection) -> Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sql)
}
