//! Names and ids as people type them, checked once at the edge.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// What every image id begins with.
pub const IMAGE_PREFIX: &str = "img_";
/// What every container id begins with.
pub const CONTAINER_PREFIX: &str = "ps_";

/// Digits of an id after its prefix: 60 bits, so that even a million ids in one
/// root leave the odds of meeting one twice below one in a million.
const ID_DIGITS: usize = 12;
/// 32 digits that are hard to mistake for one another when read aloud.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// The longest repository name, as the distribution specification has it.
const MAX_NAME: usize = 255;
/// The longest tag, as the distribution specification has it.
const MAX_TAG: usize = 128;

/// Makes a fresh id from the kernel's random numbers.
fn fresh_id(prefix: &str) -> Result<String> {
    let mut bytes = [0u8; ID_DIGITS];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| Error::io("cannot draw a random id", errno))?;
    }
    let digits = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    Ok(prefix.chars().chain(digits).collect())
}

/// Whether a text is an id of that sort, written out.
pub fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|digits| {
        digits.len() == ID_DIGITS && digits.bytes().all(|digit| ALPHABET.contains(&digit))
    })
}

/// Makes a fresh image id, such as `img_4x7k02m9q1tz`.
///
/// # Errors
/// [`ErrorKind::Io`] if the kernel gives no random numbers.
pub fn fresh_image_id() -> Result<String> {
    fresh_id(IMAGE_PREFIX)
}

/// Makes a fresh container id, such as `ps_9w3c8v2n5dfe`.
///
/// # Errors
/// [`ErrorKind::Io`] if the kernel gives no random numbers.
pub fn fresh_container_id() -> Result<String> {
    fresh_id(CONTAINER_PREFIX)
}

/// The name of an image: `NAME` or `NAME:TAG`, the tag being `latest` where
/// none is given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// The repository part, such as `library/debian`.
    pub name: String,
    /// The tag.
    pub tag: String,
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            Error::new(ErrorKind::InvalidInput, format!("'{}' is not an image name: {why}", printable(text)))
                .with_hint(
                    "use NAME or NAME:TAG: lower-case letters and digits, single '.', '_', '-' \
                            and '/' between them, at most 255 characters",
                )
        };
        let (name, tag) = match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (text, "latest"),
        };
        if text.contains('@') {
            return Err(refuse("'@' chooses a version of an image that is there already"));
        }
        if name.is_empty() {
            return Err(refuse("it is empty"));
        }
        if name.len() > MAX_NAME {
            return Err(refuse("it is too long"));
        }
        if name.starts_with(IMAGE_PREFIX) || name.starts_with(CONTAINER_PREFIX) {
            return Err(refuse("it begins like an id"));
        }
        if !name.split('/').all(is_component) {
            return Err(refuse("it has a character that names do not have, or two separators side by side"));
        }
        if !is_tag(tag) {
            return Err(refuse("the part behind ':' is not a tag"));
        }
        Ok(Self { name: name.to_owned(), tag: tag.to_owned() })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

/// Lower-case letters and digits, with single separators between them.
fn is_component(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alnum = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.first().is_some_and(alnum)
        && bytes.last().is_some_and(alnum)
        && bytes.iter().all(|byte| alnum(byte) || b"._-".contains(byte))
        && !bytes.windows(2).any(|pair| !alnum(&pair[0]) && !alnum(&pair[1]))
}

fn is_tag(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= MAX_TAG
        && bytes.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

/// Checks the name that a user gives to a container.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] where it is not letters, digits, `_`, `.` and
/// `-`, beginning with a letter or digit, of at most 128 bytes, or begins like
/// an id.
pub fn check_container_name(text: &str) -> Result<()> {
    let bytes = text.as_bytes();
    let good = bytes.len() <= MAX_TAG
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
        && !text.starts_with(IMAGE_PREFIX)
        && !text.starts_with(CONTAINER_PREFIX);
    if good {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidInput, format!("'{}' is not a container name", printable(text))).with_hint(
        "use letters, digits, '_', '.' and '-', beginning with a letter or digit, at most 128 characters, \
         and not beginning with 'img_' or 'ps_'",
    ))
}

/// A text that is safe to show in a message: as [`escaped`], and cut where it
/// is longer than a line.
pub fn printable(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => escaped(&text[..end]) + "…",
        None => escaped(text),
    }
}

/// A text without control characters: a terminal would obey them.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_obeyed(letter) {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
    }
    out
}

/// Whether a terminal would obey a letter instead of showing it, or reorder the
/// line because of it.
pub fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_a_tag() {
        let parsed: Reference = "team/web-app".parse().unwrap();
        assert_eq!(parsed.to_string(), "team/web-app:latest");
        let parsed: Reference = "web:v1.2".parse().unwrap();
        assert_eq!((parsed.name.as_str(), parsed.tag.as_str()), ("web", "v1.2"));
    }

    #[test]
    fn s7_names_that_are_paths_flags_or_ids_are_refused() {
        let long = "a".repeat(10 * 1024);
        for bad in [
            "", ":v1", "../x", "a/../b", "/etc", "a//b", "-x", "x-", "a\nb", "a\0b", "A", "img_1", "ps_1",
            "web:", "web:-1", "web:a b", "a:b:c", "web@2", &long,
        ] {
            let refused = bad.parse::<Reference>();
            assert_eq!(refused.map_err(|error| error.kind()), Err(ErrorKind::InvalidInput), "{bad:?}");
        }
        for bad in ["", "-x", "../x", "a/b", "a\nb", "ps_1", "img_x", &long] {
            assert!(check_container_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_error_shows_no_control_characters_of_the_name() {
        let error = "a\n\u{1b}[31mb".parse::<Reference>().unwrap_err();
        assert!(!error.to_string().contains(['\n', '\u{1b}']), "{error}");
    }

    #[test]
    fn l15_ten_thousand_ids_in_a_row_differ() {
        let ids: std::collections::HashSet<_> = (0..10_000).map(|_| fresh_image_id().unwrap()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == IMAGE_PREFIX.len() + ID_DIGITS));
    }
}
