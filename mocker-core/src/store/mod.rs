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

use std::cell::{Cell, OnceCell};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, config::DbConfig};
use rustix::fs::IFlags;

use crate::error::{Error, ErrorKind, Result};
use crate::store::manifest::Manifests;

mod ballast;
pub mod container;
mod failure;
pub mod image;
pub mod journal;
pub mod lease;
pub mod manifest;
pub mod node;
mod schema;
pub mod survey;
pub mod version;

use failure::{is_busy, lost};

pub(crate) use failure::sql;

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
    /// The last transaction of ours that is on the disk, as [`Store::serial`] counts.
    flushed: Cell<u64>,
    /// Whether the manifests were kept when it was opened.
    kept: bool,
    /// What this boot of the machine is called, once that was asked for.
    boot: OnceCell<String>,
}

/// The key in `meta` under which transactions are counted.
const SERIAL: &str = "serial";

impl Store {
    /// Opens the database at `path`, making it where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::ReadOnly`] or [`ErrorKind::PermissionDenied`] where the
    /// root cannot be written, [`ErrorKind::Corrupt`] where the file is no
    /// database, or is gone or lacks something that was in it,
    /// [`ErrorKind::Unsupported`] where a newer program made it.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_beside(path, Some(&Manifests::at(path.parent().unwrap_or(Path::new("/")))))
    }

    /// Makes a database at `path`, where there is none, that is to take the place of
    /// another.
    pub(crate) fn make(path: &Path) -> Result<Self> {
        Self::open_beside(path, None)
    }

    fn open_beside(path: &Path, manifests: Option<&Manifests>) -> Result<Self> {
        let root = path.parent().unwrap_or(Path::new("/")).to_owned();
        // In this order: whoever makes a database makes the manifests after it.
        let used_before = manifests.is_some_and(Manifests::exist);
        let witness = manifests.and_then(Manifests::witness);
        let kept = witness.as_ref().is_some_and(|witness| witness.format == schema::FORMAT);
        let boot = OnceCell::new();
        let open = || -> Result<Connection> {
            // SQLite would make a new one of either.
            match std::fs::metadata(path) {
                Ok(file) if file.len() == 0 && used_before => {
                    return Err(lost(format_args!("'{}' is empty", path.display())));
                }
                Ok(_) => {}
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io(format_args!("cannot look at '{}'", path.display()), error));
                }
                Err(_) if used_before => return Err(lost(format_args!("'{}' is gone", path.display()))),
                Err(_) => prepare_files(path)?,
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
            schema::prepare(&mut connection, used_before)?;
            if let Some(witness) = &witness
                && witness.misses(serial(&connection)?, this_boot(&boot)?)
            {
                return Err(lost("what was recorded last is missing"));
            }
            if let Some(manifests) = manifests
                && !used_before
            {
                manifests.make_directory()?;
            }
            Ok(connection)
        };
        match ballast::with_reserve(&root, open) {
            Ok(connection) => {
                Ok(Self { connection, root, told: Cell::new(None), flushed: Cell::default(), kept, boot })
            }
            Err(error) => Err(error.context("cannot open the store")),
        }
    }

    /// Whether somebody has seen to it, before this was opened, that everything has
    /// a manifest in the format of this program.
    pub fn has_manifests(&self) -> bool {
        self.kept
    }

    /// The manifests beside the database.
    pub fn manifests(&self) -> Manifests {
        Manifests::at(&self.root)
    }

    /// How many transactions there have been.
    ///
    /// # Errors
    /// Those of the database.
    pub fn serial(&self) -> Result<u64> {
        serial(&self.connection)
    }

    /// The same, and the greatest number of a node that was given out.
    ///
    /// # Errors
    /// Those of the database.
    pub fn progress(&self) -> Result<(u64, u64)> {
        Ok((self.serial()?, node::greatest(&self.connection)?))
    }

    /// Folds the log back into the database and closes it: one file is left.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn close(self) -> Result<()> {
        let checkpoint = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        if checkpoint.map_err(sql)? {
            return Err(Error::new(ErrorKind::Busy, "somebody else uses the database that is being made"));
        }
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).map_err(sql)?;
        self.connection.close().map_err(|(_, error)| sql(error))
    }

    /// What this boot of the machine is called.
    ///
    /// # Errors
    /// Those of reading `/proc`.
    pub fn boot(&self) -> Result<&str> {
        this_boot(&self.boot)
    }

    /// The last transaction of ours that is on the disk.
    pub fn flushed(&self) -> u64 {
        self.flushed.get()
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
        let serial = count(&transaction)?;
        transaction.commit().map_err(sql)?;
        if durability == Durability::Flushed {
            self.flushed.set(serial);
        }
        Ok(value)
    }
}

/// Counts a transaction; answers its number.
fn count(tx: &Transaction<'_>) -> Result<u64> {
    tx.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, '1') \
         ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1 RETURNING CAST(value AS INTEGER)",
    )
    .map_err(sql)?
    .query_row([SERIAL], |row| row.get(0))
    .map_err(sql)
}

fn serial(connection: &Connection) -> Result<u64> {
    let found: Option<u64> = connection
        .prepare_cached("SELECT CAST(value AS INTEGER) FROM meta WHERE key = ?1")
        .map_err(sql)?
        .query_row([SERIAL], |row| row.get(0))
        .optional()
        .map_err(sql)?;
    Ok(found.unwrap_or(0))
}

fn this_boot(known: &OnceCell<String>) -> Result<&str> {
    if let Some(boot) = known.get() {
        return Ok(boot);
    }
    let boot = boot_id()?;
    Ok(known.get_or_init(|| boot))
}

/// What this boot of the machine is called.
///
/// # Errors
/// Those of reading `/proc`.
pub fn boot_id() -> Result<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .map_err(|error| Error::io("cannot read the boot id", error))
}

/// Makes the files of a new database, so that SQLite finds them empty. Where the
/// file system copies on write they are exempt from that: a page of the shared
/// index that is mapped could not be written to on a full one, which ends the
/// process by a signal.
pub(crate) fn prepare_files(path: &Path) -> Result<()> {
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
