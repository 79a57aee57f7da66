//! Reading the trees of the file system: items by key, as bounded bytes.
//!
//! The kernel hands out packed structures at any alignment. Nothing here trusts
//! a length or an order: what does not fit is an error, never a panic and
//! never a search without an end. `items.rs` knows what is in an item.

use std::io;
use std::os::fd::BorrowedFd;

use crate::error::Failure;
use crate::sys::{self, Answer, SearchKey};

/// `struct btrfs_ioctl_search_header` (`linux/btrfs.h`): transid, objectid,
/// offset (8 bytes each), type, length (4 bytes each).
const HEADER: usize = 32;

/// Who answers searches: the kernel, through a descriptor in the file system; in
/// tests, what it once answered.
pub(crate) trait Source {
    /// Items from the beginning of `key` on, as many as fit.
    fn answer(&self, key: &SearchKey, answer: &mut Answer) -> io::Result<()>;
}

impl Source for BorrowedFd<'_> {
    fn answer(&self, key: &SearchKey, answer: &mut Answer) -> io::Result<()> {
        sys::tree_search(*self, key, answer)
    }
}

/// One item of a tree, as long as the search stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item<'a> {
    pub(crate) object: u64,
    pub(crate) kind: u32,
    pub(crate) offset: u64,
    pub(crate) data: &'a [u8],
}

/// Where an item stands in its tree: object, type and offset, which the kernel
/// compares as one number.
type Key = (u64, u32, u64);

/// A search that hands out one item after the other, in the order of their keys.
///
/// Items of other types come along when the bounds span several objects.
pub(crate) struct Search<'a> {
    source: &'a dyn Source,
    key: SearchKey,
    answer: Answer,
    /// Items of the answer that are still to come, and where they begin.
    left: u32,
    at: usize,
    last: Option<Key>,
    over: bool,
}

impl<'a> Search<'a> {
    pub(crate) fn new(source: &'a dyn Source, key: SearchKey) -> Self {
        Self { source, key, answer: Answer::new(), left: 0, at: 0, last: None, over: false }
    }

    /// Begins another search, with the same room.
    pub(crate) fn begin(&mut self, key: SearchKey) {
        (self.key, self.left, self.last, self.over) = (key, 0, None, false);
    }

    /// The next item in the bounds; `None` after the last one.
    pub(crate) fn next(&mut self) -> Result<Option<Item<'_>>, Failure> {
        if self.left == 0 && !self.go_on()? {
            return Ok(None);
        }
        let bytes = self.answer.bytes();
        let header = bytes
            .get(self.at..)
            .and_then(|rest| rest.get(..HEADER))
            .ok_or(Failure::Search("a header is cut off"))?;
        let length =
            usize::try_from(u32_at(header, 28)?).map_err(|_| Failure::Search("a length is absurd"))?;
        let begin = self.at + HEADER;
        let data = begin
            .checked_add(length)
            .and_then(|end| bytes.get(begin..end))
            .ok_or(Failure::Search("an item is cut off"))?;
        let key @ (object, kind, offset) = (u64_at(header, 8)?, u32_at(header, 24)?, u64_at(header, 16)?);
        let SearchKey { objects, types, offsets, .. } = self.key;
        let (first, most) = ((objects.0, types.0, offsets.0), (objects.1, types.1, offsets.1));
        if key < first || key > most || self.last.is_some_and(|last| key <= last) {
            return Err(Failure::Search("an item is not where it was looked for"));
        }
        self.at = begin + length;
        self.left -= 1;
        self.last = Some(key);
        Ok(Some(Item { object, kind, offset, data }))
    }

    /// Asks for what is behind the last item. Answers whether there is anything.
    fn go_on(&mut self) -> Result<bool, Failure> {
        match self.last.map(successor) {
            _ if self.over => return Ok(false),
            None => {}
            Some(None) => return Ok(false),
            Some(Some(next)) => (self.key.objects.0, self.key.types.0, self.key.offsets.0) = next,
        }
        self.source.answer(&self.key, &mut self.answer).map_err(|source| Failure::Kernel {
            operation: "search the tree of",
            path: format!("tree {}", self.key.tree).into(),
            source,
        })?;
        (self.left, self.at) = (self.answer.count(), 0);
        self.over = self.left == 0;
        Ok(!self.over)
    }
}

/// Hands every item in the bounds of `key` to `each`, until it returns `false`.
pub(crate) fn each_item(
    on: BorrowedFd<'_>,
    key: SearchKey,
    mut each: impl FnMut(Item<'_>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut search = Search::new(&on, key);
    while let Some(item) = search.next()? {
        if !each(item)? {
            break;
        }
    }
    Ok(())
}

/// The smallest key above this one.
fn successor((object, kind, offset): Key) -> Option<Key> {
    // Item types are one byte on disk.
    if let Some(offset) = offset.checked_add(1) {
        Some((object, kind, offset))
    } else if kind < u32::from(u8::MAX) {
        Some((object, kind + 1, 0))
    } else {
        object.checked_add(1).map(|object| (object, 0, 0))
    }
}

/// A little-endian number at a place in an item. (The header is in the order
/// of the machine; btrfs runs on little-endian ones in all but name, and a
/// big-endian build is refused below.)
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Failure> {
    array_at(bytes, at).map(u64::from_le_bytes)
}

/// As [`u64_at`], of 32 bits.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Failure> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

/// As [`u64_at`], of 16 bits.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Failure> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

#[cfg(target_endian = "big")]
compile_error!("search headers are read as little-endian");

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Failure> {
    at.checked_add(N)
        .and_then(|end| bytes.get(at..end))
        .and_then(|slice| slice.try_into().ok())
        .ok_or(Failure::Search("an item is too short"))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Answers that were written down, each with its count.
    struct Written(RefCell<Vec<(u32, Vec<u8>)>>);

    impl Source for Written {
        fn answer(&self, _: &SearchKey, answer: &mut Answer) -> io::Result<()> {
            let mut left = self.0.borrow_mut();
            let (count, bytes) = if left.is_empty() { (0, Vec::new()) } else { left.remove(0) };
            answer.fill(count, &bytes);
            Ok(())
        }
    }

    const EVERYTHING: SearchKey = SearchKey {
        tree: 5,
        objects: (0, u64::MAX),
        types: (0, 255),
        offsets: (0, u64::MAX),
        min_transid: 0,
    };

    fn item(object: u64, kind: u32, offset: u64, length: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = 7u64.to_le_bytes().to_vec();
        bytes.extend(object.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(data);
        bytes
    }

    type Found = Vec<(Key, Vec<u8>)>;

    fn all(answers: Vec<(u32, Vec<u8>)>, key: SearchKey) -> Result<Found, Failure> {
        let source = Written(RefCell::new(answers));
        let mut search = Search::new(&source, key);
        let mut found = Vec::new();
        while let Some(item) = search.next()? {
            found.push(((item.object, item.kind, item.offset), item.data.to_vec()));
        }
        assert!(search.next()?.is_none(), "it goes on after its end");
        Ok(found)
    }

    #[test]
    fn items_are_taken_apart_at_any_alignment_and_over_several_answers() {
        let first = [item(1, 2, 3, 1, b"x"), item(4, 5, 6, 3, b"abc")].concat();
        let found = all(vec![(2, first), (1, item(4, 5, 7, 0, b""))], EVERYTHING).unwrap();
        let expected: [(Key, &[u8]); 3] = [((1, 2, 3), b"x"), ((4, 5, 6), b"abc"), ((4, 5, 7), b"")];
        assert_eq!(found, expected.map(|(key, data)| (key, data.to_vec())));
    }

    #[test]
    fn an_answer_that_is_cut_off_or_lies_is_an_error() {
        // The room ends with the first half of a header, or of an item.
        let filling = |behind: usize| item(1, 2, 3, (sys::ROOM - HEADER - behind) as u32, b"");
        assert!(all(vec![(2, filling(HEADER / 2))], EVERYTHING).is_err());
        for (count, answer) in [(1, item(1, 2, 3, u32::MAX, b"abc")), (u32::MAX, item(1, 2, 3, 3, b"abc"))] {
            assert!(all(vec![(count, answer)], EVERYTHING).is_err(), "{count}");
        }
    }

    #[test]
    fn what_is_out_of_order_or_out_of_bounds_is_an_error_and_no_endless_search() {
        let same = || (1, item(5, 1, 0, 0, b""));
        assert!(all(vec![same(), same()], EVERYTHING).is_err());
        let back = [item(5, 1, 0, 0, b""), item(4, 1, 0, 0, b"")].concat();
        assert!(all(vec![(2, back)], EVERYTHING).is_err());
        let narrow = SearchKey { objects: (6, 6), ..EVERYTHING };
        assert!(all(vec![same()], narrow).is_err());
    }

    #[test]
    fn the_search_goes_on_behind_the_last_item() {
        assert_eq!(successor((1, 2, 3)), Some((1, 2, 4)));
        assert_eq!(successor((1, 2, u64::MAX)), Some((1, 3, 0)));
        assert_eq!(successor((1, 255, u64::MAX)), Some((2, 0, 0)));
        assert_eq!(successor((u64::MAX, 255, u64::MAX)), None);
    }
}
