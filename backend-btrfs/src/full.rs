//! What of a btrfs is full, its data or its metadata, and the way out.
//!
//! A btrfs hands out its device in chunks, each for data or for metadata. Once
//! all is handed out, either can be full while the other has room.

use std::fmt;
use std::os::fd::AsFd;
use std::path::Path;

use linux_raw_sys::btrfs as raw;
use rustix::fs::Mode;

use crate::error::{During, Failure};
use crate::layout::DIRECTORY;
use crate::sys::{self, Space};

/// What is kept free in the btrfs itself, so that deleting always works.
pub(crate) const RESERVE: u64 = 8 << 20;

/// With less metadata than this beyond the global reserve, and no device space
/// to take more from, `btrfs_statfs` calls it full (fs/btrfs/super.c, since Linux 4.5).
/// Where metadata is kept twice it counts the copies too, and so does not see it.
const LEAST_METADATA: u64 = 4 << 20;

/// Device space that is too little to be handed out.
const LEAST_CHUNK: u64 = 1 << 20;

/// What has no room left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The chunks for what is in files.
    Data,
    /// The chunks for everything else: names, attributes, small files.
    Metadata,
    /// They are the same chunks, or the kernel does not tell.
    Unknown,
}

impl fmt::Display for Full {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Data => "the data of the btrfs is full",
            Self::Metadata => "the metadata of the btrfs is full",
            Self::Unknown => "the btrfs is full",
        })
    }
}

/// What has no room for so many bytes, and how many are free.
pub(crate) fn look(path: &Path, wanted: u64) -> Result<(Option<Full>, u64), Failure> {
    const DOING: &str = "look at the free space of";
    let on = rustix::fs::open(path, DIRECTORY, Mode::empty()).during(DOING, path)?;
    let room = rustix::fs::fstatvfs(&on).during(DOING, path)?;
    let room = room.f_bavail * room.f_frsize;
    let spaces = sys::spaces(on.as_fd()).during(DOING, path)?;
    Ok((judge(&spaces, room, wanted), room))
}

impl Full {
    /// What it was that had no room at a path, or above it where there is nothing yet.
    pub(crate) fn at(path: &Path) -> Self {
        // The paths that are not absolute are told from inside a subvolume.
        let mut places = path.ancestors().filter(|place| place.is_absolute());
        let found = places.find(|place| place.is_dir()).and_then(|place| look(place, RESERVE).ok());
        found.and_then(|(full, _)| full).unwrap_or(Self::Unknown)
    }

    /// The way out, which begins with what can be removed or enlarged.
    pub(crate) fn hint(self, way: &str, path: &Path) -> String {
        match self {
            Self::Metadata => {
                // What lies deeper was only just being made.
                let place = path.ancestors().find(|place| place.ends_with("btrfs/nodes")).unwrap_or(path);
                let place = place.display();
                format!(
                    "{way}; 'btrfs balance start -dusage=5 \"{place}\"' takes back what data holds and hardly uses"
                )
            }
            Self::Data | Self::Unknown => way.to_owned(),
        }
    }
}

/// `room` is what the kernel says is free: what data has left of its chunks, and
/// what is not handed out.
fn judge(spaces: &[Space], room: u64, wanted: u64) -> Option<Full> {
    let (data, metadata) = (raw::BTRFS_BLOCK_GROUP_DATA.into(), raw::BTRFS_BLOCK_GROUP_METADATA.into());
    let of = |kind: u64| spaces.iter().filter(move |space| space.kind & kind != 0);
    let told = of(metadata).next().is_some() && !of(metadata).any(|space| space.kind & data != 0);
    // Of several profiles, as while it is converted, all count.
    let left =
        |kind| of(kind).fold(0, |sum: u64, space| sum.saturating_add(space.total.saturating_sub(space.used)));
    let reserved = of(raw::BTRFS_SPACE_INFO_GLOBAL_RSV).map(|space| space.total).max().unwrap_or(0);
    let handed_out = room < left(data).saturating_add(LEAST_CHUNK);
    if told && handed_out && left(metadata) < LEAST_METADATA.saturating_add(reserved) {
        return Some(Full::Metadata);
    }
    (room < wanted).then_some(if told { Full::Data } else { Full::Unknown })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a btrfs of 256 MiB said, but for the use of its metadata.
    fn said(metadata_used: u64) -> [Space; 4] {
        let reserve = raw::BTRFS_SPACE_INFO_GLOBAL_RSV;
        [
            (1, 254_803_968, 201_326_592),
            (2, 4_194_304, 4096),
            (4, 8_388_608, metadata_used),
            (reserve, 1_441_792, 0),
        ]
        .map(|(kind, total, used)| Space { kind, total, used })
    }

    #[test]
    fn metadata_is_full_when_little_is_left_and_nothing_can_be_handed_out() {
        assert_eq!(judge(&said(5_967_872), 0, RESERVE), Some(Full::Metadata));
        // The kernel says that all is free that data has left.
        assert_eq!(judge(&said(5_967_872), 53_477_376, RESERVE), Some(Full::Metadata));
        // There is more to be had from the device.
        assert_eq!(judge(&said(5_967_872), 60 << 20, RESERVE), None);
        assert_eq!(judge(&said(5_967_872), 60 << 20, 61 << 20), Some(Full::Data));
        assert_eq!(judge(&said(307_200), 0, RESERVE), Some(Full::Data));
        assert_eq!(judge(&said(307_200), RESERVE, RESERVE), None);
    }

    #[test]
    fn what_does_not_hold_together_is_no_reason_to_guess() {
        assert_eq!(judge(&[], 0, 1), Some(Full::Unknown));
        let mixed = Space { kind: 5, total: 8 << 20, used: 8 << 20 };
        assert_eq!(judge(&[mixed], 0, RESERVE), Some(Full::Unknown));
        assert_eq!(judge(&[mixed], RESERVE, RESERVE), None);
        let wrong = Space { kind: 4, total: 0, used: u64::MAX };
        assert_eq!(judge(&[wrong, wrong], 0, RESERVE), Some(Full::Metadata));
    }

    #[test]
    fn a_file_system_that_is_no_btrfs_is_not_told_apart() {
        assert_eq!(Full::at(Path::new("/proc/no/such/file")), Full::Unknown);
        assert_eq!(Full::at(Path::new("inside/a/subvolume")), Full::Unknown);
    }
}
