//! What a user's word stands for, where it may be a container or an image.

use rusqlite::Connection;

use crate::error::{Error, ErrorKind, Result};
use crate::image::{CONTAINER_PREFIX, IMAGE_PREFIX, Reference, check_container_name, printable};
use crate::store::container::Container;
use crate::store::image::Image;
use crate::store::{container, image};

/// What there is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A container.
    Container,
    /// An image, or one of its versions.
    Image,
}

/// What was found.
pub(super) enum Found {
    Container(Box<Container>),
    Image(Box<Image>),
}

/// Finds what a word stands for: an id says what it is, and so does `kind`; a
/// name without it can be both, and is then refused.
///
/// # Errors
/// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidInput`] where it can be neither,
/// or several, which the message lists.
pub(super) fn find(connection: &Connection, text: &str, kind: Option<Kind>) -> Result<Found> {
    let an_image = || Ok(Found::Image(Box::new(image::find(connection, text)?)));
    let a_container = || Ok(Found::Container(Box::new(container::find(connection, text)?)));
    match kind {
        Some(Kind::Image) => return an_image(),
        Some(Kind::Container) => return a_container(),
        None if text.starts_with(IMAGE_PREFIX) => return an_image(),
        None if text.starts_with(CONTAINER_PREFIX) => return a_container(),
        None => {}
    }
    if check_container_name(text).is_err() {
        return an_image();
    }
    let as_container = match container::find(connection, text) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        found => Some(found?),
    };
    let as_image = match text.parse::<Reference>() {
        Ok(name) => image::by_name(connection, &name)?,
        // Container names have letters that those of images do not have.
        Err(_) => None,
    };
    match (as_container, as_image) {
        (Some(found), None) => Ok(Found::Container(Box::new(found))),
        (None, Some(found)) => Ok(Found::Image(Box::new(found))),
        (Some(one), Some(other)) => Err(Error::new(
            ErrorKind::InvalidInput,
            format!("'{}' could be {} or {}", printable(text), one.id, other.id),
        )
        .with_hint("give the id")),
        (None, None) => Err(Error::new(
            ErrorKind::NotFound,
            format!("No container named '{0}' exists, and no image named '{0}' exists", printable(text)),
        )
        .with_hint("'mocker ps' and 'mocker images' list those that do")),
    }
}
