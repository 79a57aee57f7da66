//! Records of images and their versions.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::backend::{LayerId, NodeId};
use crate::engine::ImageSummary;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Config, IMAGE_PREFIX, Reference, printable};
use crate::store::sql;

/// An image with its current version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `img_…`.
    pub id: String,
    /// Its name, if it has one.
    pub name: Option<Reference>,
    /// The backend that holds it.
    pub backend: String,
    /// The number of the current version.
    pub version: u32,
    /// The topmost layer of the current version.
    pub layer: LayerId,
    /// The configuration of the current version.
    pub config: Config,
}

/// One version to be added.
#[derive(Debug, Clone)]
pub struct NewVersion<'a> {
    /// The topmost layer.
    pub layer: LayerId,
    /// The configuration.
    pub config: &'a Config,
    /// Nanoseconds since the epoch.
    pub created: i64,
    /// The command that made the tree, or how it came about.
    pub created_by: &'a str,
    /// Who made it.
    pub author: Option<&'a str>,
    /// Why.
    pub message: Option<&'a str>,
}

const CURRENT: &str = "SELECT image.id, image.name, image.tag, image.backend, version.number, version.layer, \
                       version.config FROM image JOIN version ON version.image = image.id \
                       AND version.number = image.head";

fn read(row: &Row<'_>) -> rusqlite::Result<(Image, String)> {
    let name: Option<String> = row.get(1)?;
    let tag: Option<String> = row.get(2)?;
    let image = Image {
        id: row.get(0)?,
        name: name.zip(tag).map(|(name, tag)| Reference { name, tag }),
        backend: row.get(3)?,
        version: row.get(4)?,
        layer: LayerId(NodeId(row.get(5)?)),
        config: Config::default(),
    };
    Ok((image, row.get(6)?))
}

fn with_config((mut image, config): (Image, String)) -> Result<Image> {
    image.config = parse_config(&config, &image.id)?;
    Ok(image)
}

/// Reads a stored configuration back.
pub(super) fn parse_config(text: &str, of: &str) -> Result<Config> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorKind::Corrupt, format!("the stored configuration of {of} is damaged: {error}"))
            .with_source(error)
    })
}

/// Writes a configuration as it is stored.
pub(super) fn config_text(config: &Config) -> Result<String> {
    serde_json::to_string(config)
        .map_err(|error| Error::new(ErrorKind::Io, format!("cannot write a configuration: {error}")))
}

/// Finds the image that a user means: an id, a unique prefix of one, or a name.
///
/// # Errors
/// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidInput`] where the text can be
/// neither, or is a prefix of several ids, which the message lists.
pub fn find(connection: &Connection, text: &str) -> Result<Image> {
    let found = if text.starts_with(IMAGE_PREFIX) {
        match super::container::ids_with_prefix(connection, "image", text)?.as_slice() {
            [] => None,
            [only] => by_id(connection, only)?,
            several => return Err(super::container::ambiguous(text, several)),
        }
    } else {
        by_name(connection, &text.parse()?)?
    };
    found.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("No image named '{}' exists", printable(text)))
            .with_hint("'mocker images' lists those that do")
    })
}

fn by_id(connection: &Connection, id: &str) -> Result<Option<Image>> {
    let found = connection
        .prepare_cached(&format!("{CURRENT} WHERE image.id = ?1"))
        .map_err(sql)?
        .query_row([id], read)
        .optional()
        .map_err(sql)?;
    found.map(with_config).transpose()
}

/// The image of this name, if there is one.
///
/// # Errors
/// Those of the database.
pub fn by_name(connection: &Connection, name: &Reference) -> Result<Option<Image>> {
    let found = connection
        .prepare_cached(&format!("{CURRENT} WHERE image.name = ?1 AND image.tag = ?2"))
        .map_err(sql)?
        .query_row(params![name.name, name.tag], read)
        .optional()
        .map_err(sql)?;
    found.map(with_config).transpose()
}

/// Adds an image; its versions follow.
///
/// # Errors
/// Those of the database.
pub fn insert(
    tx: &Transaction<'_>,
    id: &str,
    name: Option<&Reference>,
    backend: &str,
    source: &str,
) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO image (id, name, tag, backend, source, head) VALUES (?1, ?2, ?3, ?4, ?5, 0)",
    )
    .map_err(sql)?
    .execute(params![id, name.map(|name| &name.name), name.map(|name| &name.tag), backend, source])
    .map_err(sql)?;
    Ok(())
}

/// Appends a version and makes it the current one.
///
/// # Errors
/// Those of the database.
pub fn append(tx: &Transaction<'_>, id: &str, version: &NewVersion<'_>) -> Result<u32> {
    let number: u32 = tx
        .prepare_cached("SELECT coalesce(max(number), 0) + 1 FROM version WHERE image = ?1")
        .map_err(sql)?
        .query_row([id], |row| row.get(0))
        .map_err(sql)?;
    tx.prepare_cached(
        "INSERT INTO version (image, number, layer, config, created, created_by, author, message) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .map_err(sql)?
    .execute(params![
        id,
        number,
        version.layer.0.0,
        config_text(version.config)?,
        version.created,
        version.created_by,
        version.author,
        version.message
    ])
    .map_err(sql)?;
    tx.prepare_cached("UPDATE image SET head = ?2 WHERE id = ?1")
        .map_err(sql)?
        .execute(params![id, number])
        .map_err(sql)?;
    Ok(number)
}

/// Gives a name to an image that has none.
///
/// # Errors
/// Those of the database.
pub fn set_name(tx: &Transaction<'_>, id: &str, name: &Reference) -> Result<()> {
    tx.prepare_cached("UPDATE image SET name = ?2, tag = ?3 WHERE id = ?1")
        .map_err(sql)?
        .execute(params![id, name.name, name.tag])
        .map_err(sql)?;
    Ok(())
}

/// Removes an image with all its versions.
///
/// # Errors
/// Those of the database.
pub fn delete(tx: &Transaction<'_>, id: &str) -> Result<()> {
    tx.prepare_cached("DELETE FROM image WHERE id = ?1").map_err(sql)?.execute([id]).map_err(sql)?;
    Ok(())
}

/// The configuration of one version; `None` where it was removed.
///
/// # Errors
/// Those of the database.
pub fn version_config(connection: &Connection, id: &str, number: u32) -> Result<Option<Config>> {
    let text: Option<String> = connection
        .prepare_cached("SELECT config FROM version WHERE image = ?1 AND number = ?2")
        .map_err(sql)?
        .query_row(params![id, number], |row| row.get(0))
        .optional()
        .map_err(sql)?;
    text.map(|text| parse_config(&text, id)).transpose()
}

/// The topmost layer of one version; `None` where it is gone.
///
/// # Errors
/// Those of the database.
pub fn version_layer(connection: &Connection, id: &str, number: u32) -> Result<Option<LayerId>> {
    connection
        .prepare_cached("SELECT layer FROM version WHERE image = ?1 AND number = ?2")
        .map_err(sql)?
        .query_row(params![id, number], |row| row.get(0))
        .optional()
        .map(|layer| layer.map(|layer| LayerId(NodeId(layer))))
        .map_err(sql)
}

/// The number of the version before one; `None` where there is none whose tree
/// is left.
///
/// # Errors
/// Those of the database.
pub fn version_before(connection: &Connection, id: &str, number: u32) -> Result<Option<u32>> {
    connection
        .prepare_cached(
            "SELECT max(number) FROM version WHERE image = ?1 AND number < ?2 AND layer IS NOT NULL",
        )
        .map_err(sql)?
        .query_row(params![id, number], |row| row.get(0))
        .map_err(sql)
}

/// All images, newest version first.
///
/// # Errors
/// Those of the database.
pub fn list(connection: &Connection) -> Result<Vec<ImageSummary>> {
    let mut statement = connection
        .prepare_cached(
            "SELECT image.id, image.name || ':' || image.tag, image.source, image.head, \
             (SELECT count(*) FROM version AS all_of WHERE all_of.image = image.id), image.backend, \
             version.created, version.layer FROM image JOIN version ON version.image = image.id \
             AND version.number = image.head ORDER BY version.created DESC, image.rowid DESC",
        )
        .map_err(sql)?;
    let rows = statement
        .query_map([], |row| {
            Ok(ImageSummary {
                id: row.get(0)?,
                name: row.get(1)?,
                source: row.get(2)?,
                version: row.get(3)?,
                versions: row.get(4)?,
                backend: row.get(5)?,
                created: row.get(6)?,
                layer: row.get(7)?,
            })
        })
        .map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}
