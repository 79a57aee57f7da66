//! Exchanging a damaged database for one that is made out of the manifests and
//! of what the backends hold.
//!
//! The new one is finished beside the old one first. Then the old one is set
//! aside, never deleted, and in between there is none, which every command
//! refuses to work with: so it can be stopped at any point, and done again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::backend::{Driver, Layers};
use crate::crash_point;
use crate::engine::open_backend;
use crate::engine::root::Root;
use crate::error::{Error, Result};
use crate::store::manifest::rebuild::{Material, Rebuilt, files, rebuild};
use crate::store::manifest::{Manifests, Witness};
use crate::store::{boot_id, prepare_files};

/// Exchanges the database of a root; answers what was made, and where the old
/// one lies now, if there was one.
///
/// # Errors
/// [`ErrorKind::Busy`](crate::ErrorKind::Busy) where any other process is at
/// work in the root; those of files and the database.
pub(super) async fn exchange(root: &Root, drivers: &'static [Driver]) -> Result<(Rebuilt, Option<PathBuf>)> {
    let _alone = root.hold(true)?;
    let (material, unavailable) = gather(root, drivers).await?;
    let database = root.database();
    let fresh = database.with_extension("db.new");
    files(&fresh).iter().try_for_each(|left| remove(left))?;
    let mut made = rebuild(&fresh, &material)?;
    made.lost.extend(unavailable);
    crash_point!("check.before-set-aside");
    let aside = set_aside(&database)?;
    crash_point!("check.after-set-aside");
    rename(&fresh, &database)?;
    prepare_files(&database)?;
    // The new name, and the old one's, are on the disk before anybody relies on them.
    let directory = File::open(root.path()).and_then(|directory| directory.sync_all());
    directory.map_err(|error| Error::io(format_args!("cannot write '{}'", root.path().display()), error))?;
    crash_point!("check.after-exchange");
    Ok((made, aside))
}

/// Everything that there is to make records out of, and the backends that could
/// not be looked into.
async fn gather(root: &Root, drivers: &'static [Driver]) -> Result<(Material, Vec<(String, String)>)> {
    let manifests = Manifests::at(root.path());
    manifests.make_directory()?;
    let loaded = manifests.load()?;
    let (mut nodes, mut whole, mut unavailable) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
    for driver in drivers.iter().filter(|driver| root.path().join(driver.name).is_dir()) {
        let list = async {
            let backend = open_backend(drivers, driver.name, root.path()).await?;
            let listed = backend.list().await?.into_iter().map(|node| node.0).collect::<BTreeSet<_>>();
            Ok::<_, Error>((listed, backend.capabilities().layers))
        };
        match list.await {
            Ok((listed, layers)) => {
                nodes.insert(driver.name.to_owned(), listed);
                if layers == Layers::Whole {
                    whole.insert(driver.name.to_owned());
                }
            }
            Err(error) => {
                let subject = format!("nodes of backend {} that nothing stands on", driver.name);
                unavailable.push((subject, error.to_string()));
            }
        }
    }
    let witness = manifests.witness().unwrap_or_default();
    let Witness { serial, node, .. } = witness;
    let listed = nodes.values().flatten().copied();
    let named = loaded.manifests.values().flat_map(crate::store::manifest::Manifest::nodes);
    let written = loaded.manifests.values().map(|manifest| manifest.serial);
    let material = Material {
        node: listed.chain(named).fold(node, u64::max),
        serial: written.fold(serial, u64::max).saturating_add(1),
        boot: boot_id()?,
        backends: drivers.iter().map(|driver| driver.name.to_owned()).collect(),
        loaded,
        nodes,
        whole,
    };
    Ok((material, unavailable))
}

/// Renames what there is of a database, its own file first: without that nobody
/// uses the others.
fn set_aside(database: &Path) -> Result<Option<PathBuf>> {
    let there: Vec<_> = files(database).into_iter().map(|file| file.exists()).collect();
    if !there.contains(&true) {
        return Ok(None);
    }
    let free = (1..=u32::MAX).map(|number| database.with_extension(format!("db.damaged-{number}")));
    let free = free.into_iter().find(|aside| files(aside).iter().all(|file| !file.exists()));
    let Some(aside) = free else {
        return Err(Error::new(crate::ErrorKind::NoSpace, "too many databases were set aside"));
    };
    for (from, to) in files(database).iter().zip(files(&aside)) {
        if from.exists() {
            rename(from, &to)?;
        }
    }
    Ok(Some(aside))
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|error| {
        Error::io(format_args!("cannot rename '{}' to '{}'", from.display(), to.display()), error)
    })
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format_args!("cannot remove '{}'", path.display()), error))
        }
        _ => Ok(()),
    }
}
