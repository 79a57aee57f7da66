//! Records of the versions of images.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::backend::{LayerId, NodeId};
use crate::error::{Error, ErrorKind, Result};
use crate::image::Config;
use crate::store::image::parse_config;
use crate::store::sql;

/// One version of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its number.
    pub number: u32,
    /// Its topmost layer; `None` where its tree was pruned.
    pub layer: Option<LayerId>,
    /// When it was made, in nanoseconds since the epoch.
    pub created: i64,
    /// The command that made the tree, or how it came about.
    pub created_by: String,
    /// Who made it.
    pub author: Option<String>,
    /// Why.
    pub message: Option<String>,
}

const COLUMNS: &str = "number, layer, created, created_by, author, message";

/// Reads a row of [`COLUMNS`].
fn read(row: &Row<'_>) -> rusqlite::Result<Version> {
    Ok(Version {
        number: row.get(0)?,
        layer: layer(row, 1)?,
        created: row.get(2)?,
        created_by: row.get(3)?,
        author: row.get(4)?,
        message: row.get(5)?,
    })
}

/// The versions of an image, the newest first.
///
/// # Errors
/// Those of the database.
pub fn list(connection: &Connection, image: &str) -> Result<Vec<Version>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM version WHERE image = ?1 ORDER BY number DESC"))
        .map_err(sql)?;
    let rows = statement.query_map([image], read).map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}

/// The versions of all images, each behind its image's id; those of one image in
/// the order of their numbers.
///
/// # Errors
/// Those of the database.
pub fn all(connection: &Connection) -> Result<Vec<(String, Version)>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS}, image FROM version ORDER BY image, number"))
        .map_err(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(6)?, read(row)?))).map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}

/// The first version of any image that had this layer on top, with the image's
/// id; `None` where there is none any more.
///
/// # Errors
/// Those of the database.
pub fn first_on(connection: &Connection, layer: LayerId) -> Result<Option<(String, Version)>> {
    connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, image FROM version WHERE layer = ?1 ORDER BY created, number LIMIT 1"
        ))
        .map_err(sql)?
        .query_row([layer.0.0], |row| Ok((row.get(6)?, read(row)?)))
        .optional()
        .map_err(sql)
}

/// Reads the topmost layer of a version out of a column; `None` for a version
/// whose tree was pruned, of which only the entry in the history is left.
pub(super) fn layer(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<LayerId>> {
    let node: Option<u64> = row.get(column)?;
    Ok(node.map(|node| LayerId(NodeId(node))))
}

/// The configuration of one version; `None` where there is none of this number.
///
/// # Errors
/// Those of the database.
pub fn config(connection: &Connection, image: &str, number: u32) -> Result<Option<Config>> {
    let text: Option<String> = connection
        .prepare_cached("SELECT config FROM version WHERE image = ?1 AND number = ?2")
        .map_err(sql)?
        .query_row(params![image, number], |row| row.get(0))
        .optional()
        .map_err(sql)?;
    text.map(|text| parse_config(&text, image)).transpose()
}

/// The topmost layer of one version; `None` where it is gone.
///
/// # Errors
/// Those of the database.
pub fn tip(connection: &Connection, image: &str, number: u32) -> Result<Option<LayerId>> {
    let found = connection
        .prepare_cached("SELECT layer FROM version WHERE image = ?1 AND number = ?2")
        .map_err(sql)?
        .query_row(params![image, number], |row| layer(row, 0))
        .optional()
        .map_err(sql)?;
    Ok(found.flatten())
}

/// The number of the version before one; `None` where there is none whose tree
/// is left.
///
/// # Errors
/// Those of the database.
pub fn before(connection: &Connection, image: &str, number: u32) -> Result<Option<u32>> {
    connection
        .prepare_cached(
            "SELECT max(number) FROM version WHERE image = ?1 AND number < ?2 AND layer IS NOT NULL",
        )
        .map_err(sql)?
        .query_row(params![image, number], |row| row.get(0))
        .map_err(sql)
}

/// The number of the entry before one in an image's history, whether its tree is
/// left or not; `None` for the first.
///
/// # Errors
/// Those of the database.
pub fn previous(connection: &Connection, image: &str, number: u32) -> Result<Option<u32>> {
    connection
        .prepare_cached("SELECT max(number) FROM version WHERE image = ?1 AND number < ?2")
        .map_err(sql)?
        .query_row(params![image, number], |row| row.get(0))
        .map_err(sql)
}

/// Records that the tree of a version is gone. Its layer is to be condemned, if
/// nothing else needs it.
///
/// # Errors
/// Those of the database.
pub fn prune(tx: &Transaction<'_>, image: &str, number: u32) -> Result<()> {
    tx.prepare_cached("UPDATE version SET layer = NULL WHERE image = ?1 AND number = ?2")
        .map_err(sql)?
        .execute(params![image, number])
        .map_err(sql)?;
    Ok(())
}

/// The numbers of the versions whose tree is there, in order.
fn present(connection: &Connection, image: &str) -> Result<Vec<u32>> {
    let mut statement = connection
        .prepare_cached("SELECT number FROM version WHERE image = ?1 AND layer IS NOT NULL ORDER BY number")
        .map_err(sql)?;
    let rows = statement.query_map([image], |row| row.get(0)).map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}

/// Removes one version. The caller sees to what its image is then.
///
/// # Errors
/// Those of the database.
pub fn delete(tx: &Transaction<'_>, image: &str, number: u32) -> Result<()> {
    tx.prepare_cached("DELETE FROM version WHERE image = ?1 AND number = ?2")
        .map_err(sql)?
        .execute(params![image, number])
        .map_err(sql)?;
    Ok(())
}

/// Whether an image has any version whose tree is there.
///
/// # Errors
/// Those of the database.
pub fn any_present(connection: &Connection, image: &str) -> Result<bool> {
    Ok(!present(connection, image)?.is_empty())
}

/// The error for a version that an image never had.
pub(super) fn missing(connection: &Connection, image: &str, called: &str, number: u32) -> Result<Error> {
    let found = Error::new(ErrorKind::NotFound, format!("image {called} has no version {number}"));
    Ok(found.with_hint(way_out(connection, image, called)?))
}

/// The error for a version whose tree is gone.
pub(super) fn pruned(connection: &Connection, image: &str, called: &str, number: u32) -> Result<Error> {
    let text = format!("version {number} of image {called} was pruned: its tree is gone");
    Ok(Error::new(ErrorKind::NotFound, text).with_hint(way_out(connection, image, called)?))
}

fn way_out(connection: &Connection, image: &str, called: &str) -> Result<String> {
    let there = ranges(&present(connection, image)?);
    Ok(format!("it has {there}; 'mocker history {called}' tells of each"))
}

/// Numbers that ascend, as a person would list them.
fn ranges(numbers: &[u32]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let run = |run: &[u32]| match run {
        [first, .., last] => format!("{first}-{last}"),
        few => few.iter().map(u32::to_string).collect(),
    };
    runs.map(run).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_listed_in_runs() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[3]), "3");
        assert_eq!(ranges(&[1, 2, 3, 5, 7, 8]), "1-3, 5, 7-8");
    }
}
