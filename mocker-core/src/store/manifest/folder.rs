//! The files: `<root>/manifests/<container>`, `<root>/manifests/<image>/image`
//! and `<root>/manifests/<image>/<version>-<layer>`, and `newest`, the witness.
//!
//! Each is made under another name and renamed, so that there is a whole one or
//! none. A lock on the directory is held from before the records are read until
//! what they say is written: of two who do that at once, the later one has the
//! newer records.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind as IoErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::load::{Damaged, Loaded};
use super::{Manifest, Witness, sealed, version_file};
use crate::error::{Error, Result};
use crate::image::{CONTAINER_PREFIX, IMAGE_PREFIX, is_id, printable};
use crate::store::schema::FORMAT;
use crate::store::{Store, sql};

/// The witness.
pub(super) const NEWEST: &str = "newest";
/// What is being made.
pub(super) const UNFINISHED: &str = "unfinished";
/// The image's own file, beside those of its versions.
const IMAGE: &str = "image";

/// The manifests of a root.
#[derive(Debug, Clone)]
pub struct Manifests {
    pub(super) directory: PathBuf,
}

/// Where the manifests and the records do not say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// The records have it, and there is no manifest of it.
    Missing(String),
    /// The manifest says something else than the records.
    Stale(String),
    /// What there is cannot be a manifest, and why.
    Damaged(Damaged),
    /// The records do not have it.
    Orphan(String),
}

impl Mismatch {
    /// Where the manifest lies, or should lie, below the directory of manifests.
    pub fn place(&self) -> &str {
        match self {
            Self::Missing(place) | Self::Stale(place) | Self::Orphan(place) => place,
            Self::Damaged(damaged) => &damaged.place,
        }
    }
}

impl Manifests {
    /// Those of the root `root`.
    pub fn at(root: &Path) -> Self {
        Self { directory: root.join("manifests") }
    }

    /// Whether there ever were records here.
    pub(crate) fn exist(&self) -> bool {
        self.directory.is_dir()
    }

    pub(crate) fn make_directory(&self) -> Result<()> {
        make_directory(&self.directory)
    }

    /// The witness, if there is one.
    pub fn witness(&self) -> Option<Witness> {
        Witness::read(&self.directory.join(NEWEST))
    }

    /// Whether there is anything about an image or a container, by id.
    pub fn has(&self, id: &str) -> bool {
        self.directory.join(id).exists()
    }

    fn lock(&self) -> Result<File> {
        let lock = || File::open(&self.directory).and_then(|file| file.lock().map(|()| file));
        lock().map_err(|error| Error::io(format_args!("cannot lock '{}'", self.directory.display()), error))
    }

    /// Brings the manifests of these images and containers, by id, in line with
    /// the records: written, written again, or removed.
    ///
    /// # Errors
    /// Those of the database and of writing files.
    pub fn keep(&self, store: &Store, ids: &[&str]) -> Result<()> {
        let _lock = self.lock()?;
        self.keep_locked(store, ids)?;
        self.tell_witness(store);
        Ok(())
    }

    fn keep_locked(&self, store: &Store, ids: &[&str]) -> Result<()> {
        ids.iter().try_for_each(|id| {
            if id.starts_with(IMAGE_PREFIX) {
                self.keep_image(store, id)
            } else {
                match Manifest::of_container(store.read(), id)? {
                    Some(manifest) => self.write(store, manifest),
                    None => self.remove(id),
                }
            }
        })
    }

    fn keep_image(&self, store: &Store, id: &str) -> Result<()> {
        let Some(image) = Manifest::of_image(store.read(), id)? else { return self.remove(id) };
        make_directory(&self.directory.join(id))?;
        let wanted = version_files(store.read(), id)?;
        let there: BTreeSet<String> = names(&self.directory.join(id))?.into_iter().collect();
        for (name, number) in &wanted {
            if !there.contains(name)
                && let Some(version) = Manifest::of_version(store.read(), id, *number)?
            {
                self.write(store, version)?;
            }
        }
        // After its versions: an image that can be read has all of them.
        self.write(store, image)?;
        let extra = there.iter().filter(|name| *name != IMAGE && !wanted.contains_key(*name));
        extra.map(|name| format!("{id}/{name}")).try_for_each(|place| self.remove(&place))
    }

    /// Brings all manifests in line with the records. Answers what was not.
    ///
    /// # Errors
    /// Those of the database and of files.
    pub fn keep_all(&self, store: &Store) -> Result<Vec<Mismatch>> {
        let _lock = self.lock()?;
        let mismatches = self.compare_locked(store)?;
        for mismatch in &mismatches {
            if !matches!(mismatch, Mismatch::Missing(_)) {
                self.remove(mismatch.place())?;
            }
        }
        let ids: BTreeSet<&str> = mismatches.iter().filter_map(|mismatch| id_of(mismatch.place())).collect();
        self.keep_locked(store, &ids.into_iter().collect::<Vec<_>>())?;
        self.tell_witness(store);
        Ok(mismatches)
    }

    /// Where the manifests and the records do not say the same.
    ///
    /// # Errors
    /// Those of the database and of reading files.
    pub fn compare(&self, store: &Store) -> Result<Vec<Mismatch>> {
        let _lock = self.lock()?;
        self.compare_locked(store)
    }

    fn compare_locked(&self, store: &Store) -> Result<Vec<Mismatch>> {
        let Loaded { mut manifests, damaged } = self.load()?;
        let damaged_places: BTreeSet<_> = damaged.iter().map(|damaged| damaged.place.clone()).collect();
        let mut found: Vec<_> = damaged.into_iter().map(Mismatch::Damaged).collect();
        for (place, manifest) in recorded(store.read())? {
            match manifests.remove(&place) {
                Some(written) if written.agrees(&manifest) => {}
                Some(_) => found.push(Mismatch::Stale(place)),
                None if damaged_places.contains(&place) => {}
                None => found.push(Mismatch::Missing(place)),
            }
        }
        found.extend(manifests.into_keys().map(Mismatch::Orphan));
        Ok(found)
    }

    fn write(&self, store: &Store, mut manifest: Manifest) -> Result<()> {
        let path = self.directory.join(manifest.place());
        let describe = |error| Error::io(format_args!("cannot write '{}'", path.display()), error);
        manifest.serial = store.serial()?;
        let content = serde_json::to_vec(&manifest).map_err(|error| describe(error.into()))?;
        let unfinished = self.directory.join(UNFINISHED);
        let write = || {
            let mut file =
                OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
            file.write_all(&sealed::seal(&content))?;
            std::fs::rename(&unfinished, &path)
        };
        write().map_err(describe)
    }

    fn remove(&self, place: &str) -> Result<()> {
        let path = self.directory.join(place);
        let removed = match std::fs::remove_file(&path) {
            Err(error)
                if matches!(error.kind(), IoErrorKind::IsADirectory | IoErrorKind::PermissionDenied) =>
            {
                std::fs::remove_dir_all(&path)
            }
            outcome => outcome,
        };
        match removed {
            Err(error) if error.kind() != IoErrorKind::NotFound => {
                Err(Error::io(format_args!("cannot remove '{}'", path.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// A witness that is behind is no failure: it is only less of a help.
    fn tell_witness(&self, store: &Store) {
        if let Err(error) = self.write_witness(store) {
            crate::story!("it is not written down how far the records have come: {error}");
        }
    }

    fn write_witness(&self, store: &Store) -> Result<()> {
        let (serial, node) = store.progress()?;
        let flushed = match store.flushed() {
            ours if ours == serial => ours,
            ours => self.witness().map_or(ours, |before| ours.max(before.flushed)).min(serial),
        };
        let now = Witness { serial, flushed, node, format: FORMAT, boot: store.boot()?.to_owned() };
        now.write(&self.directory.join(NEWEST))
    }
}

/// The image or container that a place belongs to, if it can be one's.
pub(super) fn id_of(place: &str) -> Option<&str> {
    let id = place.split('/').next()?;
    (is_id(id, IMAGE_PREFIX) || is_id(id, CONTAINER_PREFIX)).then_some(id)
}

/// Every manifest that there should be, by place.
fn recorded(connection: &Connection) -> Result<BTreeMap<String, Manifest>> {
    let ids = |query: &str| -> Result<Vec<String>> {
        let mut statement = connection.prepare_cached(query).map_err(sql)?;
        let rows = statement.query_map([], |row| row.get(0)).map_err(sql)?;
        rows.collect::<Result<_, _>>().map_err(sql)
    };
    let mut all = Vec::new();
    for id in ids("SELECT id FROM image")? {
        all.extend(Manifest::of_image(connection, &id)?);
        for number in version_files(connection, &id)?.into_values() {
            all.extend(Manifest::of_version(connection, &id, number)?);
        }
    }
    for id in ids("SELECT id FROM container")? {
        all.extend(Manifest::of_container(connection, &id)?);
    }
    Ok(all.into_iter().map(|manifest| (manifest.place(), manifest)).collect())
}

/// The files of an image's versions, and the number of each.
fn version_files(connection: &Connection, image: &str) -> Result<BTreeMap<String, i64>> {
    let mut statement =
        connection.prepare_cached("SELECT number, layer FROM version WHERE image = ?1").map_err(sql)?;
    let rows = statement
        .query_map([image], |row| {
            let number: i64 = row.get(0)?;
            Ok((version_file(number.unsigned_abs(), row.get(1)?), number))
        })
        .map_err(sql)?;
    rows.collect::<Result<_, _>>().map_err(sql)
}

fn make_directory(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != IoErrorKind::AlreadyExists => {
            Err(Error::io(format_args!("cannot make the directory '{}'", path.display()), error))
        }
        _ => Ok(()),
    }
}

/// The names in a directory; those that are not ours are shown as they can be.
pub(super) fn names(directory: &Path) -> Result<Vec<String>> {
    let describe = |error| Error::io(format_args!("cannot list '{}'", directory.display()), error);
    let entries = std::fs::read_dir(directory).map_err(describe)?;
    let name = |entry: std::io::Result<std::fs::DirEntry>| Ok(entry?.file_name());
    let found: Vec<OsString> = entries.map(name).collect::<std::io::Result<_>>().map_err(describe)?;
    let mut ours = Vec::new();
    for name in found {
        match name.into_string() {
            Ok(name) => ours.push(name),
            Err(name) => crate::story!("'{}' is not ours", printable(&name.to_string_lossy())),
        }
    }
    Ok(ours)
}
