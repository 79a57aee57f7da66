//! Reading what lies in the directory of manifests, whoever wrote it.

use std::collections::BTreeMap;
use std::path::Path;

use super::folder::{NEWEST, UNFINISHED, names};
use super::{Manifest, Manifests, sealed};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{IMAGE_PREFIX, is_id};

/// A file that should be a manifest and is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Where it lies, below the directory of manifests.
    pub place: String,
    /// Why it is none.
    pub why: String,
}

/// All that can be read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The manifests, by place.
    pub manifests: BTreeMap<String, Manifest>,
    /// What should be one and is none.
    pub damaged: Vec<Damaged>,
}

impl Manifests {
    /// Reads all of them.
    ///
    /// # Errors
    /// Those of listing directories.
    pub fn load(&self) -> Result<Loaded> {
        let mut loaded = Loaded::default();
        for name in names(&self.directory)? {
            if name == NEWEST || name == UNFINISHED {
                continue;
            }
            let path = self.directory.join(&name);
            if is_id(&name, IMAGE_PREFIX) && path.is_dir() && !path.is_symlink() {
                for file in names(&path)? {
                    loaded.take(&self.directory, format!("{name}/{file}"));
                }
            } else {
                loaded.take(&self.directory, name);
            }
        }
        Ok(loaded)
    }
}

impl Loaded {
    fn take(&mut self, directory: &Path, place: String) {
        let read = || -> Result<Manifest> {
            let content = sealed::read(&directory.join(&place))?;
            let manifest: Manifest = serde_json::from_slice(&content).map_err(|error| {
                Error::new(ErrorKind::Corrupt, format!("it is not what a manifest holds: {error}"))
            })?;
            manifest.check()?;
            if manifest.place() != place {
                return Err(Error::new(ErrorKind::Corrupt, "it belongs to another place"));
            }
            Ok(manifest)
        };
        match read() {
            Ok(manifest) => drop(self.manifests.insert(place, manifest)),
            // Removed since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                let why = error.to_string();
                self.damaged.push(Damaged { place, why });
            }
        }
    }
}
