//! `tag`: a name for what an image is now.
//!
//! An image has one name, and a name leads to one line of versions. So: an
//! image without a name gets it; of an image that has one, the current version
//! becomes the first of a new image, or one more version of the image that has
//! the name already. So does an earlier version, whether its image has a name or
//! not. Nothing is copied: both stand on the same layers.

use crate::engine::init::Target;
use crate::engine::{Created, Engine};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Reference, fresh_image_id};
use crate::store::image::NewVersion;
use crate::store::{Durability, image, journal, now};

impl Engine {
    /// Gives the name `target` to the current version of the image `source`, or
    /// to the one that it names.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for the image or the version,
    /// [`ErrorKind::InvalidInput`] for the name, [`ErrorKind::Busy`] where
    /// another verb works on one of the two, [`ErrorKind::Conflict`] for an
    /// earlier version of the image that has the name.
    pub async fn tag(&self, source: &str, target: &str) -> Result<Created> {
        let name: Reference = target.parse()?;
        let fresh = fresh_image_id()?;
        let actor = self.actor()?;
        let tagged = self.store.write(Durability::Flushed, |tx| {
            let from = image::find(tx, source)?;
            let target = Target::for_name(tx, Some(&name), &fresh)?;
            target.check_backend(&from.backend)?;
            let mut objects = target.objects();
            if matches!(&target, Target::Append(existing) if existing.id == from.id) {
                if from.version != from.head {
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        format!("cannot tag {}: '{name}' is the name of its own image", from.called()),
                    )
                    .with_hint(format!(
                        "'mocker rollback {name} {}' goes back to that version",
                        from.version
                    )));
                }
                return Ok(Created {
                    image: from.id,
                    name: Some(name.to_string()),
                    version: from.version,
                    notes: vec!["it has this name already".to_owned()],
                });
            }
            objects.push(format!("image {}", from.id));
            let intent = journal::begin(tx, actor, &objects)?;
            journal::end(tx, intent)?;
            if from.name.is_none() && from.version == from.head && matches!(target, Target::New(..)) {
                image::set_name(tx, &from.id, &name)?;
                return Ok(Created {
                    image: from.id,
                    name: Some(name.to_string()),
                    version: from.version,
                    notes: Vec::new(),
                });
            }
            target.record(
                tx,
                &from.backend,
                &format!("tag of {}", from.called()),
                &NewVersion {
                    layer: from.layer,
                    config: &from.config,
                    created: now(),
                    created_by: &format!("mocker tag {}@{} {name}", from.id, from.version),
                    author: None,
                    message: None,
                },
            )
        })?;
        self.keep_manifests(&[&tagged.image]);
        Ok(tagged)
    }
}
