//! Which bytes of two files are one and the same on the disk, so that nobody
//! has to read them to know that they are equal.

use std::os::fd::{AsFd, OwnedFd};

use crate::tree::sys::{self, Extent};

/// `FIEMAP_EXTENT_LAST`, `…_MERGED` and `…_SHARED` of linux/fiemap.h: what can be
/// said of an extent whose bytes lie on the disk as they are. Any other flag
/// (not written yet, encoded, inline, unwritten) means that its place says
/// nothing of what is read.
const PLAIN: u32 = 0x1 | 0x1000 | 0x2000;

/// The smallest file that is worth asking about: a smaller one is read as
/// quickly, and on btrfs the kernel looks up who else has each extent.
const WORTH_IT: u64 = 1 << 20;

/// Takes away from `wanted`, which is in order and in bytes, what two files of
/// one file system share.
pub(crate) fn without_shared(
    wanted: Vec<(u64, u64)>,
    size: u64,
    one: &OwnedFd,
    other: &OwnedFd,
) -> Vec<(u64, u64)> {
    if size < WORTH_IT {
        return wanted;
    }
    // A file system that does not tell shares nothing that we know of.
    let (Some(one), Some(other)) = (extents(one), extents(other)) else { return wanted };
    let mut left = Vec::new();
    let (mut ours, mut theirs) = (one.iter().peekable(), other.iter().peekable());
    for (mut at, after) in wanted {
        while at < after {
            while ours.next_if(|extent| extent.logical + extent.length <= at).is_some() {}
            while theirs.next_if(|extent| extent.logical + extent.length <= at).is_some() {}
            let (Some(mine), Some(its)) = (ours.peek(), theirs.peek()) else {
                push(&mut left, at, after);
                break;
            };
            let end = |extent: &Extent| {
                let begun = extent.logical <= at;
                if begun { extent.logical + extent.length } else { extent.logical }
            };
            let until = after.min(end(mine)).min(end(its));
            if !(is_plain(mine, at) && is_plain(its, at) && place(mine, at) == place(its, at)) {
                push(&mut left, at, until);
            }
            at = until;
        }
    }
    left
}

fn is_plain(extent: &Extent, at: u64) -> bool {
    extent.logical <= at && extent.flags & !PLAIN == 0
}

fn place(extent: &Extent, at: u64) -> u64 {
    extent.physical + (at - extent.logical)
}

fn push(ranges: &mut Vec<(u64, u64)>, first: u64, after: u64) {
    match ranges.last_mut() {
        Some(last) if last.1 == first => last.1 = after,
        _ => ranges.push((first, after)),
    }
}

fn extents(file: &OwnedFd) -> Option<Vec<Extent>> {
    let mut all: Vec<Extent> = Vec::new();
    loop {
        let next = all.last().map_or(0, |last| last.logical.saturating_add(last.length));
        let found = sys::extents(file.as_fd(), next).ok()?;
        // The kernel may tell the extent again that it was asked from.
        let fresh: Vec<_> =
            found.into_iter().filter(|extent| extent.logical >= next && extent.length > 0).collect();
        if fresh.is_empty() {
            return Some(all);
        }
        all.extend(fresh);
        if all.last().is_some_and(|last| last.flags & 1 != 0) {
            return Some(all);
        }
    }
}
