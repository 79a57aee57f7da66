//! The witness: how far the records had come when somebody last wrote it down.
//!
//! Every transaction counts one up in the database. The number is written beside
//! it after a commit point, so the records can be ahead of the witness, but never
//! behind it: unless somebody took the database, or the log that belongs to it,
//! away or put an older one there. SQLite cannot see that by itself.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::sealed;
use crate::error::{Error, Result};

/// How far the records had come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Witness {
    /// The number of a transaction that is committed.
    pub serial: u64,
    /// One that is on the disk too, whatever happens to the power.
    pub flushed: u64,
    /// The greatest number of a node that was given out.
    pub node: u64,
    /// The format of the records; those of another one may have other columns.
    pub format: u64,
    /// The boot during which it was written.
    pub boot: String,
}

impl Witness {
    /// Whether records that have come to `serial`, in this boot, lack something
    /// that was there.
    pub fn misses(&self, serial: u64, boot: &str) -> bool {
        // A power cut may take what was not flushed.
        serial < self.flushed || (self.boot == boot && serial < self.serial)
    }

    /// Reads it; `None` where there is none that can be read: a power cut may take
    /// it too, and it is never more than a hint that something is missing.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let content = String::from_utf8(sealed::read(path).ok()?).ok()?;
        let mut words = content.split_whitespace();
        let mut number = || words.next()?.parse().ok();
        Some(Self {
            serial: number()?,
            flushed: number()?,
            node: number()?,
            format: number()?,
            boot: words.next().unwrap_or_default().to_owned(),
        })
    }

    /// Writes it, in place and as long as it was, so that it needs no room.
    ///
    /// # Errors
    /// Those of writing.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let Self { serial, flushed, node, format, boot } = self;
        let content = sealed::seal(
            format!("{serial:020} {flushed:020} {node:020} {format:04} {boot:<36.36}\n").as_bytes(),
        );
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        open.and_then(|file| file.write_all_at(&content, 0))
            .map_err(|error| Error::io(format_args!("cannot write '{}'", path.display()), error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_every_time_as_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("newest");
        assert_eq!(Witness::read(&path), None);
        let mut lengths = Vec::new();
        for serial in [1, 99, u64::MAX] {
            let boot = "01234567-89ab-cdef-0123-456789abcdef".to_owned();
            let witness = Witness { serial, flushed: serial / 2, node: 7, format: 3, boot };
            witness.write(&path).unwrap();
            assert_eq!(Witness::read(&path), Some(witness));
            lengths.push(std::fs::metadata(&path).unwrap().len());
        }
        lengths.dedup();
        assert_eq!(lengths.len(), 1);
        std::fs::write(&path, "garbage").unwrap();
        assert_eq!(Witness::read(&path), None);
    }

    #[test]
    fn a_power_cut_may_take_what_was_not_flushed_and_nothing_else_may() {
        let witness = Witness { serial: 10, flushed: 8, node: 0, format: 3, boot: "a".to_owned() };
        assert!(!witness.misses(10, "a") && !witness.misses(12, "a") && witness.misses(9, "a"));
        assert!(!witness.misses(8, "b") && witness.misses(7, "b"));
    }
}
