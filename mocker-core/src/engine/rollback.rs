//! `rollback`: an image's name leads to another of its versions.
//!
//! Only the head moves: no version is made, copied or lost, so it can be undone
//! the same way, and what is committed next is one more version behind all that
//! there are (`docs/decisions/0014-a-rollback-moves-the-head.md`).

use serde::Serialize;

use crate::crash_point;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Reference, refuse_version};
use crate::store::{Durability, image, journal, version};

/// What `rollback` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolledBack {
    /// The image's id.
    pub image: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The version that is current now.
    pub version: u32,
    /// The one that was until now.
    pub before: u32,
}

impl Engine {
    /// Makes another version of an image the current one: the one before it, or
    /// the one of this number, which may be a newer one too.
    ///
    /// Takes one transaction, however large the image is. Containers stay on the
    /// version that they were made from, and run on. It is so after a power cut
    /// too once this returned; stopped before, the old state stands.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for the image, for a version that it does not
    /// have, and for one whose tree was pruned; [`ErrorKind::Conflict`] where
    /// there is none before the current one; [`ErrorKind::Busy`] where another
    /// verb works on the image.
    pub fn rollback(&self, text: &str, to: Option<u32>) -> Result<RolledBack> {
        refuse_version(text, "the version to go back to is a word of its own", |image, version| {
            format!("'mocker rollback {image} {version}'")
        })?;
        let actor = self.actor()?;
        crash_point!("rollback.before-commit-point");
        let done = self.store.write(Durability::Flushed, |tx| {
            let found = image::find(tx, text)?;
            self.check_backend(&format!("image {}", found.id), &found.backend)?;
            let number = match to {
                Some(number) => number,
                None => version::previous(tx, &found.id, found.head)?.ok_or_else(|| {
                    Error::new(
                        ErrorKind::Conflict,
                        format!("image {} has no version before {}", found.called(), found.head),
                    )
                    .with_hint(format!("'mocker history {}' lists those that it has", found.called()))
                })?,
            };
            // By its number, so that a version which is not there, or whose tree is not, is refused.
            let target = image::find(tx, &format!("{}@{number}", found.id))?;
            // Begun and ended at once: it only has to fail where somebody else holds the image.
            let intent = journal::begin(tx, actor, &[format!("image {}", found.id)])?;
            journal::end(tx, intent)?;
            image::set_head(tx, &found.id, target.version)?;
            Ok(RolledBack {
                image: found.id,
                name: found.name.as_ref().map(Reference::to_string),
                version: target.version,
                before: found.head,
            })
        })?;
        crash_point!("rollback.after-commit-point");
        self.keep_manifests(&[&done.image]);
        Ok(done)
    }
}
