//! The words of a line of text: plain ones, and names in quotation marks, which
//! may hold any bytes at all.

use std::fmt;

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word<'a> {
    /// Without quotation marks.
    Plain(&'a str),
    /// What stood between quotation marks, its escapes undone.
    Bytes(Vec<u8>),
}

/// Writes bytes between quotation marks, those that are no printable ASCII as
/// escapes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quoted<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// Takes a line apart.
///
/// # Errors
/// Which part of it is not closed, or has an escape that means nothing.
pub(crate) fn split(line: &str) -> Result<Vec<Word<'_>>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (bytes, after) = unquote(quoted)?;
            words.push(Word::Bytes(bytes));
            rest = after;
        } else {
            let end = rest.find([' ', '\t', '"']).unwrap_or(rest.len());
            words.push(Word::Plain(&rest[..end]));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(words)
}

/// Reads to the closing mark; answers what comes after it too.
fn unquote(text: &str) -> Result<(Vec<u8>, &str), String> {
    let mut bytes = Vec::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((bytes, &text[at + 1..])),
            '\\' => {
                let escape = letters.next().map(|(_, letter)| letter);
                bytes.push(match escape {
                    Some('t') => b'\t',
                    Some('r') => b'\r',
                    Some('n') => b'\n',
                    Some(itself @ ('\'' | '"' | '\\')) => itself as u8,
                    Some('x') => {
                        let digits = text.get(at + 2..at + 4).unwrap_or_default();
                        letters.nth(1);
                        u8::from_str_radix(digits, 16)
                            .map_err(|_| format!("'\\x{digits}' is no byte: two hexadecimal digits"))?
                    }
                    _ => return Err(format!("'{}' has an escape that means nothing", &text[at..])),
                });
            }
            _ => bytes.extend(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err(format!("the quotation mark before '{text}' is not closed"))
}

/// Reads a number, written in this base.
///
/// # Errors
/// What it is not.
pub(crate) fn number<N: TryFrom<u64>>(word: &str, base: u32) -> Result<N, String> {
    let digits = if base == 16 { word.strip_prefix("0x").unwrap_or(word) } else { word };
    let number = u64::from_str_radix(digits, base).ok().and_then(|number| N::try_from(number).ok());
    number.ok_or_else(|| format!("'{word}' is no number that can stand there"))
}
