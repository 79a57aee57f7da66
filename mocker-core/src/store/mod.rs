//! The records of a root: images, containers, nodes and the journal.
//!
//! One SQLite database in WAL mode, so that many processes work at once and a
//! killed one leaves it whole. Every change is one short `BEGIN IMMEDIATE`
//! transaction with no file-system work inside. An intent commits without a
//! flush ([`Durability::Quick`]: it survives `kill -9`); a commit point is
//! flushed ([`Durability::Flushed`]: it survives a power cut).
//!
//! The functions in [`container`], [`image`], [`journal`] and [`node`] take a
//! connection, or a transaction where they must be part of one.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, config::DbConfig};

use crate::error::{Error, ErrorKind, Result};

pub mod container;
pub mod image;
pub mod journal;
pub mod lease;
pub mod node;
mod schema;

/// How long a writer waits for the others. Each holds the lock for about a
/// millisecond, so this is only met when something is badly wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pages in the write-ahead log before it is folded back (1 MiB). The log is
/// read whole by the first process that opens the database, so it stays short.
const LOG_PAGES: u32 = 256;

/// What a transaction has survived once it returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The death of any process; a power cut may take it back whole.
    Quick,
    /// A power cut too. Costs a flush of the disk.
    Flushed,
}

/// The open database of a root.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
}

impl Store {
    /// Opens the database at `path`, making it where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`] or [`ErrorKind::PermissionDenied`] where the
    /// root cannot be written, [`ErrorKind::Corrupt`] where the file is no
    /// database, [`ErrorKind::Unsupported`] where a newer program made it.
    pub fn open(path: &Path) -> Result<Self> {
        let open = || -> Result<Connection> {
            let mut connection = Connection::open(path).map_err(sql)?;
            connection.busy_timeout(PATIENCE).map_err(sql)?;
            let mode: String =
                connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(sql)?;
            if mode != "wal" {
                enable_wal(&connection)?;
            }
            connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES).map_err(sql)?;
            connection.pragma_update(None, "foreign_keys", true).map_err(sql)?;
            // The last process to close would otherwise fold the log back, with two flushes, at the
            // end of nearly every command.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(sql)?;
            schema::prepare(&mut connection)?;
            Ok(connection)
        };
        open().map(|connection| Self { connection }).map_err(|error| error.context("cannot open the store"))
    }

    /// The connection, for reading.
    pub fn read(&self) -> &Connection {
        &self.connection
    }

    /// Runs `change` in one transaction: all of it, or on an error nothing.
    ///
    /// # Errors
    /// Whatever `change` returns, and those of the database.
    pub fn write<T>(
        &self,
        durability: Durability,
        change: impl FnOnce(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let level = match durability {
            Durability::Quick => "NORMAL",
            Durability::Flushed => "FULL",
        };
        self.connection.pragma_update(None, "synchronous", level).map_err(sql)?;
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate).map_err(sql)?;
        let value = change(&transaction)?;
        transaction.commit().map_err(sql)?;
        Ok(value)
    }
}

/// Switches a new database to write-ahead logging. Another process that does
/// the same at this moment makes SQLite answer "busy" without waiting.
fn enable_wal(connection: &Connection) -> Result<()> {
    let started = std::time::Instant::now();
    loop {
        match connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("SQLite stays in journal mode '{mode}'"),
                )
                .with_hint("the root must lie on a local file system with shared memory maps"));
            }
            Err(error) if is_busy(&error) && started.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(sql(error)),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}

/// Translates a database error, so that no user meets SQLite's own words alone.
pub(crate) fn sql(error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    let (kind, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Busy,
            "another mocker process holds the records for very long; try again when it is done",
        ),
        Some(ErrorCode::ReadOnly) => {
            (ErrorKind::ReadOnly, "the root must be writable; choose another one with --root")
        }
        Some(ErrorCode::DiskFull) => (ErrorKind::NoSpace, "free some space on the file system of the root"),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            (ErrorKind::PermissionDenied, "the root must be writable by you; choose another one with --root")
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            (ErrorKind::Corrupt, "restore mocker.db from a backup, or move the root aside and start anew")
        }
        _ => (ErrorKind::Io, "this should not happen; please report it"),
    };
    Error::new(kind, format!("the records of the root: {error}")).with_hint(hint).with_source(error)
}

/// Nanoseconds since the epoch.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_sqlite_is_newer_than_the_wal_reset_bug() {
        // Before 3.51.3 a database that several processes write and checkpoint at once can be corrupted.
        assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    }

    #[test]
    fn a_failed_change_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("db")).unwrap();
        let outcome: Result<()> = store.write(Durability::Quick, |tx| {
            tx.execute("INSERT INTO backend (name) VALUES ('x')", []).map_err(sql)?;
            Err(Error::new(ErrorKind::Conflict, "no"))
        });
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Conflict);
        let rows: i64 = store.read().query_row("SELECT count(*) FROM backend", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 0);
    }

    #[test]
    fn many_openers_of_a_new_store_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        std::thread::scope(|scope| {
            let open = || scope.spawn(|| Store::open(&path).map(drop));
            let opened: Vec<_> = (0..8).map(|_| open()).collect();
            for thread in opened {
                thread.join().unwrap().unwrap();
            }
        });
    }

    #[test]
    fn a_file_that_is_no_database_is_named_corrupt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        std::fs::write(&path, "this is no database, and long enough for SQLite to notice that it is not")
            .unwrap();
        assert_eq!(Store::open(&path).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
