//! Records of containers, and how a user's words lead to one.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::backend::{LayerId, NodeId, WorkId};
use crate::engine::{ContainerSummary, Status};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{CONTAINER_PREFIX, Config, IMAGE_PREFIX, check_container_name, printable};
use crate::sandbox::{Network, ProcessIdentity};
use crate::store::image::{config_text, parse_config};
use crate::store::sql;
use crate::tree::leave_out::LeaveOut;

/// A container as the engine acts on it.
#[derive(Debug, Clone)]
pub struct Container {
    /// `ps_…`.
    pub id: String,
    /// The name that the user gave.
    pub name: Option<String>,
    /// The image it was made from.
    pub image: String,
    /// The version of that image.
    pub image_version: u32,
    /// The backend that holds it.
    pub backend: String,
    /// Its work area.
    pub work: WorkId,
    /// The tip of the chain that the work area stands on.
    pub base: LayerId,
    /// The tip of the chain that it was made over: of `base`, or beneath it where a
    /// commit made what had been the work area a layer.
    pub origin: LayerId,
    /// What takes effect when it is run.
    pub config: Config,
    /// The whole argument vector.
    pub argv: Vec<OsString>,
    /// The host name inside.
    pub hostname: String,
    /// The network that it sees.
    pub network: Network,
    /// Whether it goes when its command ends.
    pub auto_remove: bool,
    /// Mount points made in its tree that must not outlive the run.
    pub leave_out: Vec<LeaveOut>,
    /// The lease of whoever runs it now.
    pub lease: Option<String>,
    /// The process that holds that lease.
    pub holder: Option<u32>,
    /// The process on the host, while it runs.
    pub process: Option<ProcessIdentity>,
}

/// How a run ended, as it is recorded.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// The exit status as the shell has it.
    pub status: u8,
    /// Why the command never started, or was ended from outside.
    pub failure: Option<&'a str>,
}

const COLUMNS: &str = "id, name, image, image_version, backend, work, base, config, argv, hostname, network, \
                       auto_remove, leave_out, lease, pid, pid_start, holder, origin";

struct Raw {
    container: Container,
    config: String,
    leave_out: String,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Raw> {
    let argv: Vec<u8> = row.get(8)?;
    let network: String = row.get(10)?;
    let pid: Option<i32> = row.get(14)?;
    let pid_start: Option<u64> = row.get(15)?;
    let container = Container {
        id: row.get(0)?,
        name: row.get(1)?,
        image: row.get(2)?,
        image_version: row.get(3)?,
        backend: row.get(4)?,
        work: WorkId(NodeId(row.get(5)?)),
        base: LayerId(NodeId(row.get(6)?)),
        origin: LayerId(NodeId(row.get(17)?)),
        config: Config::default(),
        argv: split_argv(&argv),
        hostname: row.get(9)?,
        network: if network == "none" { Network::None } else { Network::Host },
        auto_remove: row.get(11)?,
        leave_out: Vec::new(),
        lease: row.get(13)?,
        holder: row.get(16)?,
        process: pid.zip(pid_start).map(|(pid, start_time)| ProcessIdentity { pid, start_time }),
    };
    Ok(Raw { container, config: row.get(7)?, leave_out: row.get(12)? })
}

fn finish_reading(raw: Raw) -> Result<Container> {
    let mut container = raw.container;
    container.config = parse_config(&raw.config, &container.id)?;
    container.leave_out = serde_json::from_str(&raw.leave_out).map_err(|error| {
        Error::new(
            ErrorKind::Corrupt,
            format!("the stored mount points of {} are damaged: {error}", container.id),
        )
    })?;
    Ok(container)
}

fn join_argv(argv: &[OsString]) -> Vec<u8> {
    argv.iter().flat_map(|argument| argument.as_bytes().iter().copied().chain([0])).collect()
}

fn split_argv(bytes: &[u8]) -> Vec<OsString> {
    let ended = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    ended.split(|byte| *byte == 0).map(|argument| OsString::from_vec(argument.to_vec())).collect()
}

/// Finds the container that a user means: an id, a unique prefix, or a name.
///
/// # Errors
/// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidInput`] where the text can be
/// neither, or is a prefix of several ids, which the message lists.
pub fn find(connection: &Connection, text: &str) -> Result<Container> {
    let missing = || {
        Error::new(ErrorKind::NotFound, format!("No container named '{}' exists", printable(text)))
            .with_hint("'mocker ps' lists those that do")
    };
    if !text.starts_with(CONTAINER_PREFIX) {
        check_container_name(text)?;
        return one(connection, "name", text)?.ok_or_else(missing);
    }
    if let Some(found) = one(connection, "id", text)? {
        return Ok(found);
    }
    match ids_with_prefix(connection, "container", text)?.as_slice() {
        [] => Err(missing()),
        [only] => one(connection, "id", only)?.ok_or_else(missing),
        several => Err(ambiguous(text, several)),
    }
}

fn one(connection: &Connection, column: &str, value: &str) -> Result<Option<Container>> {
    let found = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM container WHERE {column} = ?1"))
        .map_err(sql)?
        .query_row([value], read)
        .optional()
        .map_err(sql)?;
    found.map(finish_reading).transpose()
}

/// The ids in `table` that begin with `prefix`; an id that equals it is alone.
pub(super) fn ids_with_prefix(connection: &Connection, table: &str, prefix: &str) -> Result<Vec<String>> {
    // Enough to show what the prefix could mean.
    const SHOWN: usize = 10;
    // What an unset variable of a shell leaves of an id must not mean the only object that there is.
    if [IMAGE_PREFIX, CONTAINER_PREFIX].contains(&prefix) {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("'{prefix}' is only the beginning of an id"),
        )
        .with_hint("give at least one letter more"));
    }
    // '{' is the first letter behind all those of an id: a range, for which there is an index.
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT id FROM {table} WHERE id >= ?1 AND id < ?1 || '{{' ORDER BY id LIMIT {SHOWN}"
        ))
        .map_err(sql)?;
    let rows = statement.query_map([prefix], |row| row.get(0)).map_err(sql)?;
    let found: Vec<String> = rows.collect::<Result<_, _>>().map_err(sql)?;
    match found.iter().find(|id| *id == prefix) {
        Some(exact) => Ok(vec![exact.clone()]),
        None => Ok(found),
    }
}

pub(super) fn ambiguous(text: &str, ids: &[String]) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("'{}' could be {}", printable(text), ids.join(", ")))
        .with_hint("give more of the id")
}

/// The containers that carry this lease.
///
/// # Errors
/// Those of the database.
pub fn with_lease(connection: &Connection, lease: &str) -> Result<Vec<Container>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM container WHERE lease = ?1 ORDER BY id"))
        .map_err(sql)?;
    let rows = statement.query_map([lease], read).map_err(sql)?;
    rows.map(|raw| finish_reading(raw.map_err(sql)?)).collect()
}

/// The containers on a backend: each id, and whether somebody runs it.
///
/// # Errors
/// Those of the database.
pub fn on_backend(connection: &Connection, backend: &str) -> Result<Vec<(String, bool)>> {
    let mut statement = connection
        .prepare_cached("SELECT id, lease IS NOT NULL FROM container WHERE backend = ?1 ORDER BY id")
        .map_err(sql)?;
    let rows = statement.query_map([backend], |row| Ok((row.get(0)?, row.get(1)?))).map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}

/// How many containers were made from an image.
///
/// # Errors
/// Those of the database.
pub fn count_of_image(connection: &Connection, image: &str) -> Result<u32> {
    connection
        .prepare_cached("SELECT count(*) FROM container WHERE image = ?1")
        .map_err(sql)?
        .query_row([image], |row| row.get(0))
        .map_err(sql)
}

/// Whether a container of this name exists.
///
/// # Errors
/// Those of the database.
pub fn name_is_taken(connection: &Connection, name: &str) -> Result<bool> {
    let found: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM container WHERE name = ?1")
        .map_err(sql)?
        .query_row([name], |row| row.get(0))
        .optional()
        .map_err(sql)?;
    Ok(found.is_some())
}

/// Whether a container of this id exists.
///
/// # Errors
/// Those of the database.
pub fn exists(connection: &Connection, id: &str) -> Result<bool> {
    let found: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM container WHERE id = ?1")
        .map_err(sql)?
        .query_row([id], |row| row.get(0))
        .optional()
        .map_err(sql)?;
    Ok(found.is_some())
}

/// Records that nobody holds a container whose command was not started. Does
/// nothing where this lease does not hold it.
///
/// # Errors
/// Those of the database.
pub fn release(tx: &Transaction<'_>, id: &str, lease: &str) -> Result<()> {
    tx.prepare_cached("UPDATE container SET lease = NULL, leave_out = '[]' WHERE id = ?1 AND lease = ?2")
        .map_err(sql)?
        .execute([id, lease])
        .map_err(sql)?;
    Ok(())
}

/// Adds a container, held by its lease.
///
/// # Errors
/// Those of the database.
pub fn insert(tx: &Transaction<'_>, container: &Container, created: i64) -> Result<()> {
    let network = match container.network {
        Network::None => "none",
        Network::Host => "host",
    };
    tx.prepare_cached(
        "INSERT INTO container (id, name, image, image_version, backend, work, base, config, argv, hostname, \
         network, auto_remove, created, leave_out, lease, holder, origin) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    )
    .map_err(sql)?
    .execute(params![
        container.id,
        container.name,
        container.image,
        container.image_version,
        container.backend,
        container.work.0.0,
        container.base.0.0,
        config_text(&container.config)?,
        join_argv(&container.argv),
        container.hostname,
        network,
        container.auto_remove,
        created,
        leave_out_text(&container.leave_out)?,
        container.lease,
        container.holder,
        container.origin.0.0,
    ])
    .map_err(sql)?;
    Ok(())
}

/// Records that this lease is about to run the container's command again.
///
/// # Errors
/// Those of the database.
pub fn set_lease(tx: &Transaction<'_>, id: &str, lease: &str) -> Result<()> {
    tx.prepare_cached(
        "UPDATE container SET lease = ?2, holder = ?3, pid = NULL, pid_start = NULL WHERE id = ?1",
    )
    .map_err(sql)?
    .execute(params![id, lease, std::process::id()])
    .map_err(sql)?;
    Ok(())
}

/// Records the mount points about to be made in the tree.
///
/// # Errors
/// Those of the database.
pub fn set_leave_out(tx: &Transaction<'_>, id: &str, leave_out: &[LeaveOut]) -> Result<()> {
    tx.prepare_cached("UPDATE container SET leave_out = ?2 WHERE id = ?1")
        .map_err(sql)?
        .execute(params![id, leave_out_text(leave_out)?])
        .map_err(sql)?;
    Ok(())
}

fn leave_out_text(leave_out: &[LeaveOut]) -> Result<String> {
    serde_json::to_string(leave_out)
        .map_err(|error| Error::new(ErrorKind::Io, format!("cannot record mount points: {error}")))
}

/// Records the process that the command runs in.
///
/// # Errors
/// Those of the database.
pub fn set_running(tx: &Transaction<'_>, id: &str, process: ProcessIdentity, started: i64) -> Result<()> {
    tx.prepare_cached(
        "UPDATE container SET pid = ?2, pid_start = ?3, started = ?4, finished = NULL, exit_status = NULL, \
         failure = NULL WHERE id = ?1",
    )
    .map_err(sql)?
    .execute(params![id, process.pid, process.start_time, started])
    .map_err(sql)?;
    Ok(())
}

/// Records how the command ended, and that nobody holds the container. Does
/// nothing where this lease does not hold it.
///
/// # Errors
/// Those of the database.
pub fn set_ended(tx: &Transaction<'_>, id: &str, lease: &str, end: End<'_>, finished: i64) -> Result<()> {
    tx.prepare_cached(
        "UPDATE container SET lease = NULL, pid = NULL, pid_start = NULL, leave_out = '[]', finished = ?2, \
         exit_status = ?3, failure = ?4, started = coalesce(started, ?2) WHERE id = ?1 AND lease = ?5",
    )
    .map_err(sql)?
    .execute(params![id, finished, end.status, end.failure, lease])
    .map_err(sql)?;
    Ok(())
}

/// Records that a commit changed which nodes the container stands on.
///
/// # Errors
/// Those of the database.
pub fn set_nodes(tx: &Transaction<'_>, id: &str, work: WorkId, base: LayerId) -> Result<()> {
    tx.prepare_cached("UPDATE container SET work = ?2, base = ?3 WHERE id = ?1")
        .map_err(sql)?
        .execute(params![id, work.0.0, base.0.0])
        .map_err(sql)?;
    Ok(())
}

/// Removes a container's record.
///
/// # Errors
/// Those of the database.
pub fn delete(tx: &Transaction<'_>, id: &str) -> Result<()> {
    tx.prepare_cached("DELETE FROM container WHERE id = ?1").map_err(sql)?.execute([id]).map_err(sql)?;
    Ok(())
}

const SUMMARIES: &str = "SELECT container.id, container.name, container.image, image.name || ':' || image.tag, \
                         container.image_version, container.argv, container.lease, container.exit_status, \
                         container.failure, container.pid, container.backend, container.created, \
                         container.started, container.finished, container.work FROM container \
                         LEFT JOIN image ON image.id = container.image";

/// Reads a row of [`SUMMARIES`].
fn read_summary(row: &Row<'_>) -> rusqlite::Result<ContainerSummary> {
    let argv: Vec<u8> = row.get(5)?;
    let lease: Option<String> = row.get(6)?;
    let pid: Option<i32> = row.get(9)?;
    let finished: Option<i64> = row.get(13)?;
    let status = match (lease.is_some() && pid.is_some(), finished.is_some()) {
        (true, _) => Status::Running,
        (false, true) => Status::Exited,
        (false, false) => Status::Created,
    };
    Ok(ContainerSummary {
        id: row.get(0)?,
        name: row.get(1)?,
        image: row.get(2)?,
        image_name: row.get(3)?,
        image_version: row.get(4)?,
        command: split_argv(&argv).iter().map(|word| OsStr::to_string_lossy(word).into_owned()).collect(),
        status,
        exit_code: row.get(7)?,
        failure: row.get(8)?,
        pid,
        backend: row.get(10)?,
        created: row.get(11)?,
        started: row.get(12)?,
        finished,
        work: row.get(14)?,
    })
}

/// All containers, newest first.
///
/// # Errors
/// Those of the database.
pub fn list(connection: &Connection) -> Result<Vec<ContainerSummary>> {
    let mut statement = connection
        .prepare_cached(&format!("{SUMMARIES} ORDER BY container.created DESC, container.rowid DESC"))
        .map_err(sql)?;
    let rows = statement.query_map([], read_summary).map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}

/// The layer that each container was made over.
///
/// # Errors
/// Those of the database.
pub fn origins(connection: &Connection) -> Result<HashMap<String, LayerId>> {
    let mut statement = connection.prepare_cached("SELECT id, origin FROM container").map_err(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, LayerId(NodeId(row.get(1)?))))).map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}

/// One container as [`list`] has it, by its id.
///
/// # Errors
/// Those of the database.
pub fn summary(connection: &Connection, id: &str) -> Result<Option<ContainerSummary>> {
    connection
        .prepare_cached(&format!("{SUMMARIES} WHERE container.id = ?1"))
        .map_err(sql)?
        .query_row([id], read_summary)
        .optional()
        .map_err(sql)
}
