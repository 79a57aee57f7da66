//! How large a pool may be, and whether the host can still feed it.
//!
//! A sparse file that cannot grow loses what was not yet synced: the loop
//! device's write fails, and btrfs goes read-only. So the host is asked first.

use std::path::Path;

use mocker_core::{Error, ErrorKind, Result, notice};

/// The smallest pool: `mkfs.btrfs` wants about 110 MiB with 4 KiB nodes.
pub const MINIMUM: u64 = 128 << 20;

/// The largest pool that is made without asking.
const LARGEST_BY_DEFAULT: u64 = 64 << 30;

/// What is left to the host: a twentieth of its file system, within bounds.
const LEAST_RESERVE: u64 = 16 << 20;
const MOST_RESERVE: u64 = 1 << 30;

const MIB: u64 = 1 << 20;

/// Bytes that an ordinary user could still write there.
pub(crate) fn free(path: &Path) -> Result<u64> {
    let room = statvfs(path)?;
    Ok(room.f_bavail * room.f_frsize)
}

/// The size of the file system there, in bytes.
pub(super) fn total(path: &Path) -> Result<u64> {
    let room = statvfs(path)?;
    Ok(room.f_blocks * room.f_frsize)
}

fn statvfs(path: &Path) -> Result<rustix::fs::StatVfs> {
    rustix::fs::statvfs(path).map_err(|errno| {
        Error::io(format_args!("cannot look at the free space of '{}'", path.display()), errno)
    })
}

fn reserve(path: &Path) -> Result<u64> {
    let room = statvfs(path)?;
    Ok((room.f_blocks * room.f_frsize / 20).clamp(LEAST_RESERVE, MOST_RESERVE))
}

/// The size of a pool that nobody gave a size for, in bytes.
///
/// # Errors
/// [`ErrorKind::NoSpace`] where the host has not enough for the smallest one.
pub fn default_size(directory: &Path) -> Result<u64> {
    let (free, reserve) = (free(directory)?, reserve(directory)?);
    let size = free.saturating_sub(reserve).min(LARGEST_BY_DEFAULT) / MIB * MIB;
    if size < MINIMUM {
        return Err(Error::new(
            ErrorKind::NoSpace,
            format!(
                "'{}' has {} free, too little for a pool ({} and a reserve of {})",
                directory.display(),
                shown(free),
                shown(MINIMUM),
                shown(reserve)
            ),
        )
        .with_hint("free some space, or choose a root elsewhere with --root"));
    }
    Ok(size)
}

pub(super) fn choose_size(directory: &Path, asked: Option<u64>) -> Result<u64> {
    let Some(size) = asked else { return default_size(directory) };
    if size < MINIMUM {
        return Err(Error::new(ErrorKind::InvalidInput, format!("a pool of {} is too small", shown(size)))
            .with_hint(format!("{} is the least", shown(MINIMUM))));
    }
    warn_beyond_host(directory, size)?;
    Ok(size / MIB * MIB)
}

/// Says when a size was asked for that the host cannot fill.
pub(super) fn warn_beyond_host(directory: &Path, more: u64) -> Result<()> {
    let (free, reserve) = (free(directory)?, reserve(directory)?);
    if more > free.saturating_sub(reserve) {
        notice!(
            "the host has only {} free where the pool lies: commands that would fill it up will be refused",
            shown(free)
        );
    }
    Ok(())
}

/// Refuses where the host would have less than its reserve left.
pub(super) fn admit(root: &Path, bytes: u64) -> Result<()> {
    let (free, reserve) = (free(root)?, reserve(root)?);
    if free >= bytes.saturating_add(reserve) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NoSpace,
        format!(
            "the host's file system beneath the pool has {} free, and {} are kept in reserve: a pool that cannot \
             grow would lose data",
            shown(free),
            shown(reserve)
        ),
    )
    .with_hint(format!("free space on the file system of '{}', then try again", root.display())))
}

/// A size for people.
pub(super) fn shown(bytes: u64) -> String {
    if bytes >= 10 << 30 { format!("{} GiB", bytes >> 30) } else { format!("{} MiB", bytes >> 20) }
}
