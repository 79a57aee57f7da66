//! `IMAGE@VERSION`: one version of an image, as people type it.

use crate::error::{Error, ErrorKind, Result};
use crate::image::printable;

/// What stands between an image and the number of a version. No name and no id
/// has it.
const SEPARATOR: char = '@';

/// An image, and which of its versions is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selector<'a> {
    /// The image: its name, its id, or the beginning of that; not checked yet.
    pub image: &'a str,
    /// The number of the version; `None` for the current one.
    pub version: Option<u32>,
}

impl<'a> Selector<'a> {
    /// Reads `IMAGE` or `IMAGE@VERSION`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where a version is no number.
    pub fn parse(text: &'a str) -> Result<Self> {
        let Some((image, version)) = text.split_once(SEPARATOR) else {
            return Ok(Self { image: text, version: None });
        };
        let number = version_number(version)
            .map_err(|error| error.context(format_args!("cannot take '{}'", printable(text))))?;
        Ok(Self { image, version: Some(number) })
    }
}

/// Reads the number of a version.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where it is none, or zero.
pub fn version_number(text: &str) -> Result<u32> {
    // What `parse` takes beyond digits is a sign.
    let number = text
        .parse()
        .ok()
        .filter(|number| *number > 0 && text.starts_with(|letter: char| letter.is_ascii_digit()));
    number.ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, format!("'{}' is not the number of a version", printable(text)))
            .with_hint("'mocker history IMAGE' lists the versions; use IMAGE@2 for the second one")
    })
}

/// Refuses `IMAGE@VERSION` where a verb is about a whole image. `why` says so,
/// and `way_out` what to do, both given the image and the version.
///
/// # Errors
/// [`ErrorKind::InvalidInput`].
pub fn refuse_version(text: &str, why: &str, way_out: impl FnOnce(&str, &str) -> String) -> Result<()> {
    match text.split_once(SEPARATOR) {
        None => Ok(()),
        Some((image, version)) => {
            Err(Error::new(ErrorKind::InvalidInput, format!("cannot take '{}': {why}", printable(text)))
                .with_hint(way_out(&printable(image), &printable(version))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_stands_behind_the_image() {
        let parse = |text| Selector::parse(text).unwrap();
        assert_eq!(parse("base"), Selector { image: "base", version: None });
        assert_eq!(parse("team/web:v1@12"), Selector { image: "team/web:v1", version: Some(12) });
        assert_eq!(parse("img_4x@1"), Selector { image: "img_4x", version: Some(1) });
    }

    #[test]
    fn s7_what_is_no_version_is_refused() {
        let long = format!("base@{}", "9".repeat(10 * 1024));
        for bad in [
            "base@",
            "@",
            "base@0",
            "base@-1",
            "base@+1",
            "base@1@2",
            "base@ 1",
            "base@x",
            "base@\u{1b}[31m",
            "base@1\0",
            &long,
        ] {
            let refused = Selector::parse(bad).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{bad:?}");
            assert!(!refused.to_string().contains(['\0', '\u{1b}']) && refused.hint().is_some(), "{refused}");
        }
    }

    #[test]
    fn a_whole_image_has_no_version() {
        assert!(refuse_version("base", "", |_, _| String::new()).is_ok());
        let refused =
            refuse_version("base@2", "it is one version", |image, version| format!("{image} {version}"))
                .unwrap_err();
        assert_eq!(refused.to_string(), "cannot take 'base@2': it is one version");
        assert_eq!(refused.hint(), Some("base 2"));
    }
}
