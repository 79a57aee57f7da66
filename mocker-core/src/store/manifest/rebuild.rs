//! Making a database anew, out of manifests and of what the backends hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::types::Value as Cell;
use rusqlite::{Transaction, params, params_from_iter};

use super::{Loaded, Manifest, Table, from_json};
use crate::error::Result;
use crate::image::printable;
use crate::store::{Durability, SERIAL, Store, image, node, sql};

/// The key in `meta` that keeps nodes that no record knows from being deleted by
/// the way: they may be what could not be brought back.
pub(crate) const SPARED: &str = "strays-spared";

/// What there is to make the records out of.
#[derive(Debug)]
pub struct Material {
    /// What was recorded.
    pub loaded: Loaded,
    /// The backends of the program.
    pub backends: BTreeSet<String>,
    /// The nodes that exist, by backend, for each that could be opened.
    pub nodes: BTreeMap<String, BTreeSet<u64>>,
    /// Whether each layer of a backend is a whole tree, so that those beneath may
    /// have gone.
    pub whole: BTreeSet<String>,
    /// A number that no transaction has had.
    pub serial: u64,
    /// A number that every node to come must be above.
    pub node: u64,
    /// The boot for which leftovers need not be looked for.
    pub boot: String,
}

/// What was made.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Images, by id.
    pub images: BTreeSet<String>,
    /// How many versions they have.
    pub versions: usize,
    /// How many containers.
    pub containers: usize,
    /// What could not be brought back, each as a subject and why.
    pub lost: Vec<(String, String)>,
}

/// Makes a database at `path`, where there is none, and closes it: one file,
/// which is on the disk.
///
/// # Errors
/// Those of the database. What was made can be removed then.
pub fn rebuild(path: &Path, material: &Material) -> Result<Rebuilt> {
    let store = Store::make(path)?;
    let made = store.write(Durability::Flushed, |tx| {
        let names = names(&material.loaded);
        let mut work = Work { tx, material, names, made: Rebuilt::default(), taken: BTreeSet::new() };
        work.everything()?;
        Ok(work.made)
    })?;
    store.close()?;
    Ok(made)
}

/// The files that a database has beside it.
pub fn files(database: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|suffix| {
        let mut name = database.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    })
}

struct Work<'a> {
    tx: &'a Transaction<'a>,
    material: &'a Material,
    /// Who has each name.
    names: BTreeMap<String, (u64, String)>,
    made: Rebuilt,
    /// Work areas that a container has.
    taken: BTreeSet<u64>,
}

impl Work<'_> {
    fn everything(&mut self) -> Result<()> {
        for damaged in &self.material.loaded.damaged {
            let subject = format!("what 'manifests/{}' was about", damaged.place);
            self.made.lost.push((subject, damaged.why.clone()));
        }
        let mut manifests: Vec<&Manifest> = self.material.loaded.manifests.values().collect();
        // The oldest object first, as they were made; of two with one name the later one has it.
        manifests.sort_by_key(|manifest| (manifest.table, manifest.number("created"), manifest.serial));
        for name in self.material.nodes.keys() {
            node::know_backend(self.tx, name)?;
        }
        self.layers(&manifests)?;
        let mut images: Vec<_> = manifests.iter().copied().filter(|it| it.table == Table::Image).collect();
        images.sort_by_key(|image| {
            let of = |version: &&&Manifest| version.table == Table::Version && version.id() == image.id();
            manifests.iter().filter(of).filter_map(|version| version.number("created")).max()
        });
        for image in images {
            self.image(image, &manifests)?;
        }
        for version in manifests.iter().filter(|manifest| manifest.table == Table::Version) {
            if self.made.images.contains(version.id()) {
                self.made.versions += usize::from(self.insert("version", version, &[])?);
            } else {
                self.lose(version, "the manifest of its image is missing");
            }
        }
        for container in manifests.iter().filter(|manifest| manifest.table == Table::Container) {
            self.container(container)?;
        }
        self.heads()?;
        self.counters()
    }

    /// Every layer that anything stands on, also where it is not there: whatever
    /// stands on it is then found to be broken, and not forgotten.
    fn layers(&mut self, manifests: &[&Manifest]) -> Result<()> {
        let backends = self.backends(manifests);
        let mut parents: BTreeMap<u64, (&str, Option<u64>)> = BTreeMap::new();
        for manifest in manifests {
            let Some(backend) = backends.get(manifest.id()) else { continue };
            let tip = manifest.chain.last();
            let may_be_gone = |layer: &&u64| {
                self.material.whole.contains(*backend)
                    && Some(*layer) != tip
                    && !self.material.nodes.get(*backend).is_some_and(|there| there.contains(*layer))
            };
            let mut below = None;
            for layer in &manifest.chain {
                if !may_be_gone(&layer) {
                    let known = parents.entry(*layer).or_insert((backend, None));
                    known.1 = below.or(known.1);
                }
                below = Some(*layer);
            }
        }
        for (layer, (backend, parent)) in parents {
            node::know_backend(self.tx, backend)?;
            self.tx
                .execute(
                    "INSERT INTO node (id, backend, role, parent) VALUES (?1, ?2, 'layer', ?3)",
                    params![layer, backend, parent],
                )
                .map_err(sql)?;
        }
        Ok(())
    }

    /// The backend of each image and container, where the program has it.
    fn backends<'m>(&self, manifests: &[&'m Manifest]) -> BTreeMap<&'m str, &'m str> {
        let known = manifests.iter().filter_map(|manifest| Some((manifest.id(), manifest.text("backend")?)));
        known.filter(|(_, backend)| self.material.backends.contains(*backend)).collect()
    }

    fn image(&mut self, image: &Manifest, manifests: &[&Manifest]) -> Result<()> {
        let versions = manifests.iter().filter(|it| it.table == Table::Version && it.id() == image.id());
        if versions.count() == 0 {
            self.lose(image, "no manifest of a version is left");
            return Ok(());
        }
        if !self.knows_backend(image)? {
            return Ok(());
        }
        let nameless = self.nameless(image);
        if self.insert("image", image, &nameless)? {
            self.made.images.insert(image.id().to_owned());
        }
        Ok(())
    }

    fn container(&mut self, container: &Manifest) -> Result<()> {
        let (Some(work), Some(backend)) = (container.number("work"), container.text("backend")) else {
            self.lose(container, "its manifest does not say where it lies");
            return Ok(());
        };
        if !self.knows_backend(container)? {
            return Ok(());
        }
        let is_layer = node::is_known(self.tx, crate::NodeId(work))?;
        if is_layer || !self.taken.insert(work) {
            self.lose(container, "its work area is something else's");
            return Ok(());
        }
        self.tx
            .execute("INSERT INTO node (id, backend, role) VALUES (?1, ?2, 'work')", params![work, backend])
            .map_err(sql)?;
        // Where its run was cut off, mount points are left in its tree. With a lease that nobody has it
        // is cleaned up as after a crash.
        let interrupted = container.text("leave_out").is_some_and(|left| left != "[]");
        let lease = interrupted.then(|| Cell::Text(format!("rebuilt-{}", container.id())));
        let mut more = self.nameless(container);
        more.push(("lease", lease.unwrap_or(Cell::Null)));
        self.made.containers += usize::from(self.insert("container", container, &more)?);
        Ok(())
    }

    /// Records the backend of an image or a container; answers whether the program
    /// has it.
    fn knows_backend(&mut self, manifest: &Manifest) -> Result<bool> {
        let name = manifest.text("backend").unwrap_or_default();
        if self.material.backends.contains(name) {
            node::know_backend(self.tx, name)?;
            return Ok(true);
        }
        self.lose(manifest, &format!("this program has no backend '{}'", printable(name)));
        Ok(false)
    }

    /// What takes the name away from an object whose name a later one has.
    fn nameless(&mut self, manifest: &Manifest) -> Vec<(&'static str, Cell)> {
        let Some(name) = full_name(manifest) else { return Vec::new() };
        match self.names.get(&name) {
            Some((_, owner)) if owner != manifest.id() => {
                let why = format!("{owner} has it");
                self.made.lost.push((format!("the {name} of {}", manifest.id()), why));
                match manifest.table {
                    Table::Container => vec![("name", Cell::Null)],
                    _ => vec![("name", Cell::Null), ("tag", Cell::Null)],
                }
            }
            _ => Vec::new(),
        }
    }

    /// Inserts a row; answers whether the table takes it. Only columns that the
    /// table has get into the statement.
    fn insert(&mut self, table: &str, manifest: &Manifest, more: &[(&str, Cell)]) -> Result<bool> {
        let mut columns: Vec<String> = more.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut values: Vec<Cell> = more.iter().map(|(_, value)| value.clone()).collect();
        for (name, kind) in self.columns(table)? {
            if let Some(value) = manifest.row.get(&name)
                && !columns.contains(&name)
            {
                let Some(cell) = from_json(value, kind == "TEXT") else {
                    self.lose(manifest, &format!("its manifest holds no value for '{name}'"));
                    return Ok(false);
                };
                values.push(cell);
                columns.push(name);
            }
        }
        let places: Vec<_> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
        let statement =
            format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), places.join(", "));
        match self.tx.execute(&statement, params_from_iter(values)) {
            Ok(_) => Ok(true),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                self.lose(manifest, &format!("the records cannot hold it: {error}"));
                Ok(false)
            }
            Err(error) => Err(sql(error)),
        }
    }

    /// The columns of a table, and what they hold.
    fn columns(&self, table: &str) -> Result<Vec<(String, String)>> {
        let mut statement =
            self.tx.prepare_cached("SELECT name, type FROM pragma_table_info(?1)").map_err(sql)?;
        let rows = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?))).map_err(sql)?;
        rows.collect::<Result<_, _>>().map_err(sql)
    }

    /// An image whose current version could not be brought back goes back to the
    /// latest one that could.
    fn heads(&mut self) -> Result<()> {
        let query = "SELECT id, head, (SELECT max(number) FROM version WHERE image = image.id \
                     AND layer IS NOT NULL) FROM image \
                     WHERE head NOT IN (SELECT number FROM version WHERE image = image.id)";
        let mut statement = self.tx.prepare(query).map_err(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(sql)?;
        let without: Vec<(String, u32, Option<u32>)> = rows.collect::<Result<_, _>>().map_err(sql)?;
        for (id, head, latest) in without {
            if let Some(latest) = latest {
                image::set_head(self.tx, &id, latest)?;
                let why = format!("its manifest is missing; version {latest} is the current one now");
                self.made.lost.push((format!("version {head} of image {id}"), why));
            } else {
                image::delete(self.tx, &id)?;
                self.made.lost.push((format!("image {id}"), "no version that has a tree is left".to_owned()));
            }
        }
        Ok(())
    }

    fn counters(&self) -> Result<()> {
        let Material { serial, node, boot, .. } = self.material;
        let facts = [(SERIAL, serial.to_string()), ("boot", boot.clone()), (SPARED, "yes".to_owned())];
        for (key, value) in facts {
            self.tx
                .execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", [key, &value])
                .map_err(sql)?;
        }
        let least = node::greatest(self.tx)?.max(*node);
        self.tx.execute("DELETE FROM sqlite_sequence WHERE name = 'node'", []).map_err(sql)?;
        self.tx
            .execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('node', ?1)", [least])
            .map(drop)
            .map_err(sql)
    }

    fn lose(&mut self, manifest: &Manifest, why: &str) {
        self.made.lost.push((manifest.subject(), why.to_owned()));
    }
}

/// The name of an image or a container, such that two with the same one are in
/// each other's way.
fn full_name(manifest: &Manifest) -> Option<String> {
    let name = manifest.text("name")?;
    match manifest.table {
        Table::Image => Some(format!("image name {name}:{}", manifest.text("tag")?)),
        Table::Container => Some(format!("container name {name}")),
        Table::Version => None,
    }
}

/// Who has each name: of several the one whose manifest was written last.
fn names(loaded: &Loaded) -> BTreeMap<String, (u64, String)> {
    let mut owners = BTreeMap::new();
    for manifest in loaded.manifests.values() {
        if let Some(name) = full_name(manifest) {
            let this = (manifest.serial, manifest.id().to_owned());
            let owner = owners.entry(name).or_insert_with(|| this.clone());
            *owner = this.max(owner.clone());
        }
    }
    owners
}
