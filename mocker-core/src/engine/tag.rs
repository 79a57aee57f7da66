//! `tag`: a name for what an image is now.
//!
//! An image has one name, and a name leads to one line of versions. So: an
//! image without a name gets it; of an image that has one, the current version
//! becomes the first of a new image, or one more version of the image that has
//! the name already. Nothing is copied: both stand on the same layers.

use crate::engine::init::Target;
use crate::engine::{Created, Engine};
use crate::error::Result;
use crate::image::{Reference, fresh_image_id};
use crate::store::image::NewVersion;
use crate::store::{Durability, image, journal, now};

impl Engine {
    /// Gives the name `target` to the current version of the image `source`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for the image,
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for the
    /// name, [`ErrorKind::Busy`](crate::ErrorKind::Busy) where another verb
    /// works on one of the two.
    pub async fn tag(&self, source: &str, target: &str) -> Result<Created> {
        let name: Reference = target.parse()?;
        let fresh = fresh_image_id()?;
        let actor = self.actor()?;
        self.store.write(Durability::Flushed, |tx| {
            let from = image::find(tx, source)?;
            let target = Target::for_name(tx, Some(&name), &fresh)?;
            target.check_backend(&from.backend)?;
            let mut objects = target.objects();
            if matches!(&target, Target::Append(existing) if existing.id == from.id) {
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
            if from.name.is_none() && matches!(target, Target::New(..)) {
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
                &format!(
                    "tag of {}",
                    from.name.as_ref().map_or_else(|| from.id.clone(), Reference::to_string)
                ),
                &NewVersion {
                    layer: from.layer,
                    config: &from.config,
                    created: now(),
                    created_by: &format!("mocker tag {} {name}", from.id),
                    author: None,
                    message: None,
                },
            )
        })
    }
}
