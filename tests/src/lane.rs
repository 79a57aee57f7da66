//! The lanes: kinds of places at which a root can lie.

use std::fmt;
use std::path::Path;

/// The variable that chooses lanes, separated by commas; or `all`.
const CHOICE: &str = "MOCKER_TEST_LANES";

/// A kind of place for a root, and the backend that is used there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The root lies on btrfs, and subvolumes are made right there.
    BtrfsNative,
    /// The root lies on ext4, and btrfs is in a pool.
    BtrfsPool,
    /// Overlayfs on ext4, which copies whole files up.
    OverlayExt4,
    /// Overlayfs on btrfs, which copies up by reflink.
    OverlayBtrfs,
    /// Overlayfs on xfs with reflink.
    OverlayXfs,
    /// Plain copies, on ext4.
    Copy,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 6] = [
        Self::BtrfsNative,
        Self::BtrfsPool,
        Self::OverlayExt4,
        Self::OverlayBtrfs,
        Self::OverlayXfs,
        Self::Copy,
    ];

    /// Those that run when nobody chooses: every backend, and both homes of the
    /// primary one. `make test-all` runs them all.
    pub const USUAL: [Self; 4] = [Self::BtrfsNative, Self::BtrfsPool, Self::OverlayExt4, Self::Copy];

    /// The name by which it is chosen, and which its tests carry.
    pub fn name(self) -> &'static str {
        match self {
            Self::BtrfsNative => "btrfs",
            Self::BtrfsPool => "btrfs-pool",
            Self::OverlayExt4 => "overlay-ext4",
            Self::OverlayBtrfs => "overlay-btrfs",
            Self::OverlayXfs => "overlay-xfs",
            Self::Copy => "copy",
        }
    }

    /// The backend that it is for.
    pub fn backend(self) -> &'static str {
        match self {
            Self::BtrfsNative | Self::BtrfsPool => "btrfs",
            Self::OverlayExt4 | Self::OverlayBtrfs | Self::OverlayXfs => "overlay",
            Self::Copy => "copy",
        }
    }

    /// The lane on whose file system a path lies.
    pub fn at(path: &Path) -> Option<Self> {
        let mut names = path.components().map(std::path::Component::as_os_str);
        names.find_map(|name| Self::ALL.into_iter().find(|lane| name == lane.name()))
    }

    pub(crate) fn mkfs(self) -> &'static [&'static str] {
        match self {
            Self::BtrfsNative | Self::OverlayBtrfs => {
                &["mkfs.btrfs", "--quiet", "--metadata", "single", "--nodesize", "4096"]
            }
            Self::BtrfsPool | Self::OverlayExt4 | Self::Copy => &["mkfs.ext4", "-q", "-b", "4096"],
            Self::OverlayXfs => &["mkfs.xfs", "-q", "-m", "reflink=1"],
        }
    }

    /// The lanes that were asked for.
    ///
    /// # Errors
    /// A name that no lane has.
    pub fn chosen() -> Result<Vec<Self>, String> {
        let Some(choice) = std::env::var_os(CHOICE) else { return Ok(Self::USUAL.to_vec()) };
        let choice = choice.to_string_lossy().into_owned();
        if choice == "all" {
            return Ok(Self::ALL.to_vec());
        }
        let find = |name: &str| {
            Self::ALL.into_iter().find(|lane| lane.name() == name.trim()).ok_or_else(|| {
                let known = Self::ALL.map(Self::name).join(", ");
                format!("{CHOICE}: there is no lane '{name}'; the lanes are: {known}")
            })
        };
        choice.split(',').filter(|name| !name.trim().is_empty()).map(find).collect()
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
