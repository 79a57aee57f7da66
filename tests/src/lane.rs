//! The lanes: a backend, and the kind of place at which its root lies.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::Path;

use mocker_core::backend::Driver;

/// The variable that chooses lanes, separated by commas; or `all`.
const CHOICE: &str = "MOCKER_TEST_LANES";

/// A backend at a kind of place. Two lanes of one name are the same.
#[derive(Debug, Clone, Copy)]
pub struct Lane {
    name: &'static str,
    driver: &'static Driver,
    ground: Ground,
}

/// What a root lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// A fresh btrfs.
    Btrfs,
    /// A fresh ext4.
    Ext4,
    /// A fresh xfs, with reflink.
    Xfs,
    /// Whatever there is at this directory.
    Here(&'static Path),
}

/// A backend each, on every file system on which it does something else.
static BUILT_IN: [Lane; 6] = [
    // Subvolumes are made right there.
    Lane::new("btrfs", &mocker_backend_btrfs::DRIVER, Ground::Btrfs),
    // Needs a pool.
    Lane::new("btrfs-pool", &mocker_backend_btrfs::DRIVER, Ground::Ext4),
    // Copies whole files up.
    Lane::new("overlay-ext4", &mocker_backend_overlay::DRIVER, Ground::Ext4),
    // Copy up by reflink.
    Lane::new("overlay-btrfs", &mocker_backend_overlay::DRIVER, Ground::Btrfs),
    Lane::new("overlay-xfs", &mocker_backend_overlay::DRIVER, Ground::Xfs),
    Lane::new("copy", &mocker_backend_copy::DRIVER, Ground::Ext4),
];

/// Those that run when nobody chooses: every backend, and both homes of the
/// primary one. `make test-all` runs them all.
const USUAL: [&str; 4] = ["btrfs", "btrfs-pool", "overlay-ext4", "copy"];

impl Lane {
    /// A lane of any backend.
    pub const fn new(name: &'static str, driver: &'static Driver, ground: Ground) -> Self {
        Self { name, driver, ground }
    }

    /// The name by which it is chosen, and which its tests carry.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// What opens the backend.
    pub fn driver(self) -> &'static Driver {
        self.driver
    }

    /// The name of the backend.
    pub fn backend(self) -> &'static str {
        self.driver.name
    }

    /// What the root lies on.
    pub fn ground(self) -> Ground {
        self.ground
    }

    /// Whether the backend makes itself a file system in a file here.
    pub fn has_pool(self) -> bool {
        self.backend() == mocker_backend_btrfs::DRIVER.name && self.ground.kind() != Ground::Btrfs
    }

    /// Those of the backends of this project.
    pub(crate) fn built_in() -> &'static [Self] {
        &BUILT_IN
    }

    /// The lanes that were asked for.
    ///
    /// # Errors
    /// A name that no lane has.
    pub fn chosen() -> Result<Vec<Self>, String> {
        let choice = std::env::var_os(CHOICE)
            .map_or_else(|| USUAL.join(","), |choice| choice.to_string_lossy().into_owned());
        if choice == "all" {
            return Ok(BUILT_IN.to_vec());
        }
        let find = |name: &str| {
            BUILT_IN.into_iter().find(|lane| lane.name == name.trim()).ok_or_else(|| {
                let known = BUILT_IN.map(Self::name).join(", ");
                format!("{CHOICE}: there is no lane '{name}'; the lanes are: {known}")
            })
        };
        choice.split(',').filter(|name| !name.trim().is_empty()).map(find).collect()
    }
}

impl PartialEq for Lane {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Lane {}

impl Hash for Lane {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Ground {
    /// The fresh file system that is most like it.
    pub fn kind(self) -> Self {
        let Self::Here(path) = self else { return self };
        // Magic numbers of include/uapi/linux/magic.h.
        match rustix::fs::statfs(path).expect("look at the file system").f_type {
            0x9123_683E => Self::Btrfs,
            0x5846_5342 => Self::Xfs,
            _ => Self::Ext4,
        }
    }

    /// The command that makes a file system of the kind; `None` where there is
    /// one already.
    pub(crate) fn mkfs(self) -> Option<(&'static str, &'static [&'static str])> {
        match self {
            Self::Btrfs => Some(("mkfs.btrfs", &["--quiet", "--metadata", "single", "--nodesize", "4096"])),
            Self::Ext4 => Some(("mkfs.ext4", &["-q", "-b", "4096"])),
            Self::Xfs => Some(("mkfs.xfs", &["-q", "-m", "reflink=1"])),
            Self::Here(_) => None,
        }
    }
}
