//! The records of a root: images, containers, nodes and the journal.
//!
//! One SQLite database in WAL mode, so that many processes work at once and a
//! killed one leaves it whole. Every change is one short `BEGIN IMMEDIATE`
//! transaction with no file-system work inside. An intent commits without a
//! flush ([`Durability::Quick`]: it survives `kill -9`); a commit point is
//! flushed ([`Durability::Flushed`]: it survives a power cut).
//!
//! The functions in [`container`], [`image`], [`version`], [`journal`] and
//! [`node`] take a connection, or a transaction where they must be part of one.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, config::DbConfig};
use rustix::fs::IFlags;

use crate::error::{DEVICE, Error, ErrorKind, Result};

mod ballast;
pub mod container;
pub mod image;
pub mod journal;
pub mod lease;
pub mod node;
mod schema;
pub mod survey;
pub mod version;

/// How long a writer waits for the others. Each holds the lock for about a
/// millisecond, so this is only met when something is badly wrong.
const PATIENCE: Duration = Duration::from_secs(60);

/// The size of a page, in bytes. Every transaction writes whole pages to the
/// log, and ours change a few short rows in each.
const PAGE: u32 = 1024;

/// Pages in the write-ahead log before it is folded back (256 KiB). The log is
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
    /// The directory of the database.
    root: PathBuf,
    /// What the connection has been told last; telling it costs a statement.
    told: Cell<Option<Durability>>,
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
            if !path.exists() {
                prepare_files(path)?;
            }
            let mut connection = Connection::open(path).map_err(sql)?;
            connection.busy_timeout(PATIENCE).map_err(sql)?;
            let mode: String =
                connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(sql)?;
            if mode != "wal" {
                // Takes effect in a database that has no page yet.
                connection.pragma_update(None, "page_size", PAGE).map_err(sql)?;
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
        let root = path.parent().unwrap_or(Path::new("/")).to_owned();
        match ballast::with_reserve(&root, open) {
            Ok(connection) => Ok(Self { connection, root, told: Cell::new(None) }),
            Err(error) => Err(error.context("cannot open the store")),
        }
    }

    /// The connection, for reading.
    pub fn read(&self) -> &Connection {
        &self.connection
    }

    /// Reads several things as they are at one moment, whatever others write
    /// meanwhile.
    ///
    /// # Errors
    /// Whatever `look` returns, and those of the database.
    pub fn look<T>(&self, look: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let moment =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Deferred).map_err(sql)?;
        look(&moment)
    }

    /// Makes the reserve for a full file system, where it is missing and there
    /// is room.
    ///
    /// # Errors
    /// Those of writing a file.
    pub fn take_in_ballast(&self) -> Result<()> {
        ballast::take_in(&self.root)
    }

    /// Tries something that needs a little room in the root, and where there is
    /// none once more without the reserve.
    ///
    /// # Errors
    /// Those of the last try.
    pub fn with_reserve<T>(&self, attempt: impl FnMut() -> Result<T>) -> Result<T> {
        ballast::with_reserve(&self.root, attempt)
    }

    /// Runs `change` in one transaction: all of it, or on an error nothing.
    /// Where the disk is full it is run a second time, without the reserve.
    ///
    /// # Errors
    /// Whatever `change` returns, and those of the database.
    pub fn write<T>(
        &self,
        durability: Durability,
        mut change: impl FnMut(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        ballast::with_reserve(&self.root, || self.write_once(durability, &mut change))
    }

    fn write_once<T>(
        &self,
        durability: Durability,
        change: &mut impl FnMut(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let level = match durability {
            Durability::Quick => "NORMAL",
            Durability::Flushed => "FULL",
        };
        if self.told.replace(None) != Some(durability) {
            self.connection.pragma_update(None, "synchronous", level).map_err(sql)?;
        }
        self.told.set(Some(durability));
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate).map_err(sql)?;
        let value = change(&transaction)?;
        transaction.commit().map_err(sql)?;
        Ok(value)
    }
}

/// Makes the files of a new database, so that SQLite finds them empty. Where the
/// file system copies on write they are exempt from that: a page of the shared
/// index that is mapped could not be written to on a full one, which ends the
/// process by a signal.
fn prepare_files(path: &Path) -> Result<()> {
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let make = || {
            let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&name)?;
            if file.metadata()?.len() == 0 {
                let flags = rustix::fs::ioctl_getflags(&file).unwrap_or(IFlags::empty());
                // Other file systems do not know the flag, and do not need it.
                let _unknown = rustix::fs::ioctl_setflags(&file, flags | IFlags::NOCOW);
            }
            Ok::<_, std::io::Error>(())
        };
        make().map_err(|error| Error::io(format_args!("cannot make '{}'", name.display()), error))?;
    }
    Ok(())
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
        Some(ErrorCode::DiskFull) => (ErrorKind::NoSpace, FULL),
        // The index that processes share cannot grow.
        Some(ErrorCode::SystemIoFailure)
            if error
                .sqlite_error()
                .is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE) =>
        {
            (ErrorKind::NoSpace, FULL)
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            (ErrorKind::PermissionDenied, "the root must be writable by you; choose another one with --root")
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            (ErrorKind::Corrupt, "restore mocker.db from a backup, or move the root aside and start anew")
        }
        Some(ErrorCode::SystemIoFailure) => (ErrorKind::Io, DEVICE),
        _ => (ErrorKind::Io, "this should not happen; please report it"),
    };
    let what = match kind {
        // SQLite's own words, "database is locked", say nothing to a user.
        ErrorKind::Busy => "they are in use".to_owned(),
        _ => error.to_string(),
    };
    Error::new(kind, format!("cannot use the records of the root: {what}")).with_hint(hint).with_source(error)
}

const FULL: &str = "the file system of the root is full: free some space there";

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
