//! How much a subvolume occupies, from its extent items, without reading a
//! file or walking its parent.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;

use linux_raw_sys::btrfs as raw;
use mocker_core::backend::Usage;

use crate::error::Failure;
use crate::nested::last_shared;
use crate::search::{Item, each_item, u64_at};
use crate::sys::{SearchKey, SubvolumeInfo};

/// Counts the extents of a subvolume.
///
/// Exclusive is what was written since it last came to share something with another
/// one, which nothing can share yet: a lower bound, because an older extent may
/// have lost its other users. Costs one pass over the subvolume's metadata.
pub(crate) fn measure(on: BorrowedFd<'_>, subvolume: &SubvolumeInfo) -> Result<Usage, Failure> {
    let last = last_shared(on, subvolume)?;
    let key = SearchKey {
        tree: subvolume.id,
        objects: (raw::BTRFS_FIRST_FREE_OBJECTID.into(), u64::MAX),
        types: (0, u8::MAX.into()),
        offsets: (0, u64::MAX),
        min_transid: 0,
    };
    let mut extents: HashMap<u64, (u64, bool)> = HashMap::new();
    let mut inline = 0;
    each_item(on, key, |item| {
        if item.kind != raw::BTRFS_EXTENT_DATA_KEY {
            return Ok(true);
        }
        match extent(&item)? {
            Extent::Inline(bytes) => inline += bytes,
            Extent::Hole => {}
            Extent::At { start, length, generation } => {
                extents.insert(start, (length, generation > last));
            }
        }
        Ok(true)
    })?;
    let sum =
        |wanted| extents.values().filter(|(_, own)| *own == wanted).map(|(length, _)| length).sum::<u64>();
    Ok(Usage { exclusive: sum(true), shared: sum(false) + inline })
}

enum Extent {
    Inline(u64),
    Hole,
    At { start: u64, length: u64, generation: u64 },
}

/// `struct btrfs_file_extent_item` (`linux/btrfs_tree.h`): generation and size
/// in memory (8 bytes each), compression, encryption (1 each), other encoding
/// (2), type (1); then, unless inline, place and length on disk (8 each).
fn extent(item: &Item<'_>) -> Result<Extent, Failure> {
    let kind = *item.data.get(20).ok_or(Failure::Search("an extent is cut off"))?;
    if kind == 0 {
        return Ok(Extent::Inline(u64_at(item.data, 8)?));
    }
    let (start, length) = (u64_at(item.data, 21)?, u64_at(item.data, 29)?);
    if start == 0 {
        return Ok(Extent::Hole);
    }
    Ok(Extent::At { start, length, generation: u64_at(item.data, 0)? })
}
