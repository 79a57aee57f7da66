//! What an overlay does here that depends on the kernel and on the file system
//! beneath.

use std::path::Path;

use mocker_core::{CopyupUnit, OverlayMarks};
use rustix::fs::{CWD, Mode, OFlags};

/// The first Linux in which an overlay keeps attributes that look like its own
/// under other names (`OVL_XATTR_ESCAPE_TRUSTED` of fs/overlayfs/overlayfs.h).
const ESCAPES: (u32, u32) = (6, 7);

/// What the running kernel does to marks of an overlay that are made inside one
/// (`ovl_create_object` of fs/overlayfs/dir.c, `ovl_own_xattr_set` of
/// fs/overlayfs/xattrs.c; measured on Linux 6.18).
pub(crate) fn overlay_marks() -> OverlayMarks {
    marks_of(&rustix::system::uname().release().to_string_lossy())
}

fn marks_of(release: &str) -> OverlayMarks {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= ESCAPES => OverlayMarks::DeviceRefused,
        _ => OverlayMarks::Refused,
    }
}

/// Of these it is known; they are told by this (linux/magic.h).
const BTRFS_SUPER_MAGIC: u32 = 0x9123_683E;
const EXT4_SUPER_MAGIC: u32 = 0xEF53;

/// What a copy-up writes in a directory: an overlay shares data where the file
/// system can (`ovl_copy_up_file` of fs/overlayfs/copy_up.c). Where the kind of
/// file system does not say it, as on xfs, which can be made with and without
/// reflink, it is found out with two files that have no name and no data.
pub(crate) fn copyup_unit(directory: &Path) -> CopyupUnit {
    match rustix::fs::statfs(directory).map(|found| u32::try_from(found.f_type)) {
        Ok(Ok(BTRFS_SUPER_MAGIC)) => CopyupUnit::Shared,
        Ok(Ok(EXT4_SUPER_MAGIC)) => CopyupUnit::File,
        _ => tried(directory),
    }
}

fn tried(directory: &Path) -> CopyupUnit {
    let open = || {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, directory, flags, Mode::RUSR | Mode::WUSR)
    };
    let shared = open().and_then(|source| rustix::fs::ioctl_ficlone(open()?, source));
    match shared {
        Ok(()) => CopyupUnit::Shared,
        Err(errno) => {
            mocker_core::story!("the file system of '{}' shares no data: {errno}", directory.display());
            CopyupUnit::File
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_kept_since_6_7_except_for_the_device() {
        for (release, marks) in [
            ("6.18.44-fc", OverlayMarks::DeviceRefused),
            ("6.7.0", OverlayMarks::DeviceRefused),
            ("10.0", OverlayMarks::DeviceRefused),
            ("6.6.87-generic", OverlayMarks::Refused),
            ("5.15.0", OverlayMarks::Refused),
            ("strange", OverlayMarks::Refused),
        ] {
            assert_eq!(marks_of(release), marks, "{release}");
        }
    }
}
