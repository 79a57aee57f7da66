//! The blocks of a disk: those that are on it for good, and those that have been
//! written and not been flushed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What is kept or lost as one. No file system here writes less at once and
/// relies on the rest of the block.
const BLOCK: usize = 4096;

/// A disk with a cache that forgets.
#[derive(Debug)]
pub(super) struct Blocks {
    image: File,
    /// By their number; whole blocks.
    unflushed: BTreeMap<u64, Vec<u8>>,
}

impl Blocks {
    /// All that the image holds has been flushed.
    pub(super) fn of(image: File) -> Self {
        Self { image, unflushed: BTreeMap::new() }
    }

    /// How large the disk is.
    pub(super) fn size(&self) -> io::Result<u64> {
        Ok(self.image.metadata()?.len())
    }

    /// What is written there, flushed or not.
    pub(super) fn read(&self, offset: u64, size: usize) -> io::Result<Vec<u8>> {
        let size = self.size()?.saturating_sub(offset).min(size as u64);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        self.image.read_exact_at(&mut bytes, offset)?;
        let last = offset + size;
        for (number, block) in self.unflushed.range(offset / BLOCK as u64..last.div_ceil(BLOCK as u64)) {
            let begin = number * BLOCK as u64;
            let (from, to) = (begin.max(offset), (begin + BLOCK as u64).min(last));
            bytes[index(from - offset)..index(to - offset)]
                .copy_from_slice(&block[index(from - begin)..index(to - begin)]);
        }
        Ok(bytes)
    }

    /// Writes into the cache.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (number, within) = (at / BLOCK as u64, index(at % BLOCK as u64));
            let (piece, behind) = rest.split_at(rest.len().min(BLOCK - within));
            if !self.unflushed.contains_key(&number) {
                let mut block = self.read(number * BLOCK as u64, BLOCK)?;
                block.resize(BLOCK, 0);
                self.unflushed.insert(number, block);
            }
            if let Some(block) = self.unflushed.get_mut(&number) {
                block[within..within + piece.len()].copy_from_slice(piece);
            }
            at += piece.len() as u64;
            rest = behind;
        }
        Ok(())
    }

    /// Everything is on the disk for good then.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.lose(|| true)
    }

    /// The power goes: of what was not flushed, only those blocks are on the
    /// disk that had `luck`.
    pub(super) fn lose(&mut self, mut luck: impl FnMut() -> bool) -> io::Result<()> {
        for (number, block) in std::mem::take(&mut self.unflushed) {
            if luck() {
                self.image.write_all_at(&block, number * BLOCK as u64)?;
            }
        }
        Ok(())
    }
}

/// A difference of offsets within one read or one block.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> Blocks {
        let image = tempfile::tempfile().unwrap();
        image.set_len(64 << 10).unwrap();
        Blocks::of(image)
    }

    #[test]
    fn what_was_written_is_read_back_before_and_after_a_flush() {
        let mut disk = disk();
        disk.write(4000, &[1; 5000]).unwrap();
        disk.write(4090, &[2; 10]).unwrap();
        for _ in 0..2 {
            let found = disk.read(3999, 5002).unwrap();
            assert_eq!((found[0], found[5001]), (0, 0));
            assert_eq!(found[1..91], [1; 90]);
            assert_eq!(found[91..101], [2; 10]);
            assert_eq!(found[101..5001], [1; 4900]);
            disk.flush().unwrap();
        }
        assert_eq!(disk.read((64 << 10) - 10, 100).unwrap(), [0; 10], "a read beyond the end");
    }

    #[test]
    fn what_was_not_flushed_is_lost_unless_it_has_luck() {
        let mut disk = disk();
        disk.write(0, &[1; 8192]).unwrap();
        disk.flush().unwrap();
        disk.write(0, &[2; 8192]).unwrap();
        let mut luck = [false, true].into_iter();
        disk.lose(|| luck.next().unwrap()).unwrap();
        assert_eq!(disk.read(0, 8192).unwrap(), [[1; 4096], [2; 4096]].concat());
    }
}
