//! The lanes: kinds of places at which a root can lie. Each is a file system in
//! a sparse file, made when its first case runs and gone after the last.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The size of a lane's file system; the file is sparse.
const SIZE: u64 = 8 << 30;

/// How long an unmount may be refused because somebody still looks.
const PATIENCE: Duration = Duration::from_secs(10);

/// The variable that chooses lanes, separated by commas.
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

    fn mkfs(self) -> &'static [&'static str] {
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
        let Some(choice) = std::env::var_os(CHOICE) else { return Ok(Self::ALL.to_vec()) };
        let choice = choice.to_string_lossy().into_owned();
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

/// The mounted file system of a lane.
#[derive(Debug)]
pub(crate) struct Site {
    mount: PathBuf,
    _folder: tempfile::TempDir,
}

type Sites = HashMap<Lane, Result<Arc<Site>, String>>;

static SITES: Mutex<Option<Sites>> = Mutex::new(None);

impl Site {
    /// The file system of a lane, set up by whoever comes first.
    ///
    /// # Errors
    /// What keeps it from being set up; it is tried once.
    pub(crate) fn of(lane: Lane) -> Result<Arc<Self>, String> {
        let mut sites = SITES.lock().unwrap_or_else(PoisonError::into_inner);
        let made =
            sites.get_or_insert_default().entry(lane).or_insert_with(|| Self::make(lane).map(Arc::new));
        made.clone().map_err(|why| format!("the lane '{lane}' cannot run here: {why}"))
    }

    /// Takes all lanes away again.
    pub(crate) fn remove_all() {
        let sites = SITES.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(sites);
    }

    fn make(lane: Lane) -> Result<Self, String> {
        // Not in /tmp, which may lie in memory.
        let folder = tempfile::Builder::new()
            .prefix("mocker-test-")
            .tempdir_in("/var/tmp")
            .map_err(|error| format!("cannot make a directory in /var/tmp: {error}"))?;
        let (image, mount) = (folder.path().join("image"), folder.path().join(lane.name()));
        let make = || {
            File::create_new(&image)?.set_len(SIZE)?;
            std::fs::create_dir(&mount)
        };
        make().map_err(|error| format!("cannot make '{}': {error}", image.display()))?;
        let (program, options) = lane.mkfs().split_first().ok_or("no mkfs")?;
        run(Command::new(program).args(options).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop,noatime"]).arg(&image).arg(&mount))?;
        Ok(Self { mount, _folder: folder })
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let started = Instant::now();
        while let Err(why) = run(Command::new("umount").arg(&self.mount)) {
            if started.elapsed() > PATIENCE {
                complain(&why);
                // Out of the way at least, and gone when nobody uses it any more.
                let _detached = run(Command::new("umount").arg("--lazy").arg(&self.mount));
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a test program, after its results")]
fn complain(why: &str) {
    eprintln!("a test file system stays: {why}");
}

/// Runs a program of the system; answers what it said where it failed.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{shown}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{shown}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
