//! Records of images, and how a user's words lead to one.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, Transaction, params};

use crate::backend::LayerId;
use crate::engine::ImageSummary;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Config, IMAGE_PREFIX, Reference, Selector, printable};
use crate::store::{sql, version};

/// An image with one of its versions: the current one, unless another was asked
/// for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `img_…`.
    pub id: String,
    /// Its name, if it has one.
    pub name: Option<Reference>,
    /// The backend that holds it.
    pub backend: String,
    /// The number of its current version.
    pub head: u32,
    /// The number of this version.
    pub version: u32,
    /// The topmost layer of this version.
    pub layer: LayerId,
    /// The configuration of this version.
    pub config: Config,
}

impl Image {
    /// What it is called: its name, or its id where it has none; with `@VERSION`
    /// where that is not the current one.
    pub fn called(&self) -> String {
        let image = self.name.as_ref().map_or_else(|| self.id.clone(), Reference::to_string);
        if self.version == self.head { image } else { format!("{image}@{}", self.version) }
    }
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

/// The version whose number is the first parameter, else the current one. The
/// number is NULL where there is no such version.
const SELECTED: &str = "SELECT image.id, image.name, image.tag, image.backend, image.head, version.number, \
                        version.layer, version.config FROM image LEFT JOIN version ON version.image = image.id \
                        AND version.number = coalesce(?1, image.head)";

/// A row of [`SELECTED`].
struct Raw {
    id: String,
    name: Option<Reference>,
    backend: String,
    head: u32,
    number: Option<u32>,
    layer: Option<LayerId>,
    config: Option<String>,
}

fn read(row: &Row<'_>) -> rusqlite::Result<Raw> {
    let name: Option<String> = row.get(1)?;
    let tag: Option<String> = row.get(2)?;
    Ok(Raw {
        id: row.get(0)?,
        name: name.zip(tag).map(|(name, tag)| Reference { name, tag }),
        backend: row.get(3)?,
        head: row.get(4)?,
        number: row.get(5)?,
        layer: version::layer(row, 6)?,
        config: row.get(7)?,
    })
}

/// The one image that `filter`, a condition on the second parameter and those
/// behind it, leads to.
fn one(
    connection: &Connection,
    version: Option<u32>,
    filter: &str,
    parameters: &[&dyn ToSql],
) -> Result<Option<Image>> {
    let all: Vec<&dyn ToSql> =
        std::iter::once(&version as &dyn ToSql).chain(parameters.iter().copied()).collect();
    let raw = connection
        .prepare_cached(&format!("{SELECTED} WHERE {filter}"))
        .map_err(sql)?
        .query_row(all.as_slice(), read)
        .optional()
        .map_err(sql)?;
    let Some(raw) = raw else { return Ok(None) };
    let called = raw.name.as_ref().map_or_else(|| raw.id.clone(), Reference::to_string);
    let (Some(number), Some(config)) = (raw.number, raw.config) else {
        return Err(version::missing(connection, &raw.id, &called, version.unwrap_or(raw.head))?);
    };
    let Some(layer) = raw.layer else {
        return Err(version::pruned(connection, &raw.id, &called, number)?);
    };
    let config = parse_config(&config, &raw.id)?;
    Ok(Some(Image {
        id: raw.id,
        name: raw.name,
        backend: raw.backend,
        head: raw.head,
        version: number,
        layer,
        config,
    }))
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

/// Finds the image that a user means: an id, a unique prefix of one, or a name,
/// and behind `@` the number of a version, where it is not the current one.
///
/// # Errors
/// [`ErrorKind::NotFound`] for the image, for the version, and for a version
/// whose tree was pruned; the hint lists those that there are.
/// [`ErrorKind::InvalidInput`] where the text can be neither, or is a prefix of
/// several ids, which the message lists.
pub fn find(connection: &Connection, text: &str) -> Result<Image> {
    let Selector { image, version } = Selector::parse(text)?;
    let found = if image.starts_with(IMAGE_PREFIX) {
        match super::container::ids_with_prefix(connection, "image", image)?.as_slice() {
            [] => None,
            [only] => one(connection, version, "image.id = ?2", &[only])?,
            several => return Err(super::container::ambiguous(image, several)),
        }
    } else {
        let name: Reference = image.parse()?;
        one(connection, version, "image.name = ?2 AND image.tag = ?3", &[&name.name, &name.tag])?
    };
    found.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("No image named '{}' exists", printable(image)))
            .with_hint("'mocker images' lists those that do")
    })
}

/// Whether an image of this id exists.
///
/// # Errors
/// Those of the database.
pub fn exists(connection: &Connection, id: &str) -> Result<bool> {
    let found: Option<i64> = connection
        .prepare_cached("SELECT 1 FROM image WHERE id = ?1")
        .map_err(sql)?
        .query_row([id], |row| row.get(0))
        .optional()
        .map_err(sql)?;
    Ok(found.is_some())
}

/// The image of this name, if there is one.
///
/// # Errors
/// Those of the database.
pub fn by_name(connection: &Connection, name: &Reference) -> Result<Option<Image>> {
    one(connection, None, "image.name = ?2 AND image.tag = ?3", &[&name.name, &name.tag])
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
    set_head(tx, id, number)?;
    Ok(number)
}

/// Makes a version the current one.
///
/// # Errors
/// Those of the database.
pub fn set_head(tx: &Transaction<'_>, id: &str, number: u32) -> Result<()> {
    tx.prepare_cached("UPDATE image SET head = ?2 WHERE id = ?1")
        .map_err(sql)?
        .execute(params![id, number])
        .map_err(sql)?;
    Ok(())
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
