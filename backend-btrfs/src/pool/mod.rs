//! The embedded pool: a btrfs for roots that lie on another file system.
//!
//! A sparse file `<root>/pool/btrfs.img` that holds a btrfs, a loop device on
//! it, and a mount at `<root>/btrfs`. Made on first use, attached on demand,
//! and attached at most once: two loop devices on one file would both mount,
//! and destroy it. A lock on `<root>/pool/lock` is held while anything about it
//! changes, and an existing device is found by the file behind it, whatever
//! mount namespace it was attached in. The kernel detaches the device when the
//! last mount is gone, so that a killed process leaks none.
//!
//! The defaults are measured ones: 4 KiB nodes and a single copy of metadata
//! halve the cost of a snapshot; barriers stay on, nothing is compressed.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use mocker_core::trace::kernel_call;
use mocker_core::{Error, ErrorKind, Result, notice, story};
use rustix::mount::{MountFlags, UnmountFlags};
use serde::Serialize;

use crate::error::Failure;

mod device;
mod file;
mod space;
mod sys;

pub use space::{MINIMUM, default_size};

/// The magic number of btrfs in `statfs(2)` (`linux/magic.h`).
const BTRFS_MAGIC: i64 = 0x9123_683e;

/// Mount options: no access times, so that reading is not a change, and
/// discards sent in the background, so that the file shrinks again.
const OPTIONS: &str = "discard=async";

/// `btrfs_ioctl_resize` refuses less (fs/btrfs/ioctl.c).
const SMALLEST_TO_GROW_TO: u64 = 256 << 20;

/// Whether a directory, or the nearest one above it that exists, is on btrfs.
pub(crate) fn is_btrfs(path: &Path) -> bool {
    path.ancestors().find_map(|there| rustix::fs::statfs(there).ok()).is_some_and(|fs| is_btrfs_type(&fs))
}

fn is_btrfs_type(fs: &rustix::fs::StatFs) -> bool {
    // The type of the field differs between architectures.
    i128::from(fs.f_type) == i128::from(BTRFS_MAGIC)
}

/// The pool of one root, whether it exists or not.
#[derive(Debug)]
pub struct Pool {
    root: PathBuf,
}

/// What `create` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Made {
    /// The size of the pool, in bytes.
    pub size: u64,
    /// Whether it was made now; otherwise it was there.
    pub fresh: bool,
}

/// What there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The backing file.
    pub file: PathBuf,
    /// Whether that exists.
    pub exists: bool,
    /// The size that the file promises, in bytes.
    pub size: u64,
    /// What it occupies on the host's file system, in bytes.
    pub allocated: u64,
    /// What is free on the host's file system, in bytes.
    pub host_free: u64,
    /// The loop device, where it is attached.
    pub device: Option<PathBuf>,
    /// Where it is mounted, if it is mounted here.
    pub mounted_at: Option<PathBuf>,
    /// What is free inside, in bytes, if it is mounted here.
    pub free: Option<u64>,
}

/// Held while anything about the pool changes.
struct Lock(#[expect(dead_code, reason = "dropping it frees the lock")] File);

impl Pool {
    /// The pool of the root `root`.
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn directory(&self) -> PathBuf {
        self.root.join("pool")
    }

    fn file(&self) -> PathBuf {
        self.directory().join("btrfs.img")
    }

    fn mount_point(&self) -> PathBuf {
        self.root.join("btrfs")
    }

    /// Whether this kernel and this user can have a pool.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] or [`ErrorKind::PermissionDenied`], with
    /// what is missing and what to do.
    pub fn check_host(&self) -> Result<()> {
        if !rustix::process::geteuid().is_root() {
            return Err(Error::new(ErrorKind::PermissionDenied, "making and mounting a pool needs root")
                .with_hint("run as root, or choose a root that lies on btrfs with --root"));
        }
        device::check_host()?;
        file::find_mkfs().map(drop)
    }

    fn lock(&self) -> Result<Lock> {
        make_directory(&self.directory())?;
        let path = self.directory().join("lock");
        let lock = || {
            let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
            file.lock()?;
            Ok::<_, std::io::Error>(Lock(file))
        };
        lock().map_err(|error| {
            Error::io(format_args!("cannot lock '{}'", path.display()), error)
                .with_hint("the root must be writable; choose another one with --root")
        })
    }

    /// Whether the pool is mounted in this mount namespace. On a root that lies
    /// on btrfs itself the same place is a plain directory.
    fn is_mounted(&self) -> bool {
        let on_btrfs = rustix::fs::statfs(self.mount_point()).is_ok_and(|fs| is_btrfs_type(&fs));
        let device = |path: &Path| rustix::fs::stat(path).map(|stat| stat.st_dev);
        on_btrfs && device(&self.mount_point()) != device(&self.root)
    }

    /// The mark that a pool was made here once. A root that has it and no file
    /// has lost something that must not be replaced by an empty pool.
    fn mark(&self) -> PathBuf {
        self.directory().join("made")
    }

    /// Makes the pool where there is none. `size` is in bytes; without it,
    /// what the host has free less a reserve, and at most 64 GiB.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`] where the host has too little,
    /// [`ErrorKind::Conflict`] where the file holds something that is no
    /// btrfs, [`ErrorKind::InvalidInput`] for a size that is too small.
    pub fn create(&self, size: Option<u64>) -> Result<Made> {
        if is_btrfs(&self.root) && !self.is_mounted() {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("'{}' lies on btrfs and needs no pool", self.root.display()),
            ));
        }
        let lock = self.lock()?;
        self.create_locked(&lock, size)
    }

    fn create_locked(&self, _lock: &Lock, size: Option<u64>) -> Result<Made> {
        let file = self.file();
        if let Some(size) = file::existing(&file)? {
            return Ok(Made { size, fresh: false });
        }
        self.check_host()?;
        if self.mark().exists() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("the pool '{}' is gone, and what was in it", file.display()),
            )
            .with_hint("put it back; or give it up with 'mocker pool destroy --force'"));
        }
        let size = space::choose_size(&self.directory(), size)?;
        file::make(&file, size)?;
        // After the file: stopped in between there is a pool without a mark, and nothing is lost.
        File::create(self.mark())
            .and_then(|mark| mark.sync_all())
            .map_err(|error| Error::io(format_args!("cannot make '{}'", self.mark().display()), error))?;
        notice!(
            "made a storage pool: {} (sparse, up to {}; 'mocker pool' shows it)",
            file.display(),
            space::shown(size)
        );
        Ok(Made { size, fresh: true })
    }

    /// Makes sure that the pool is mounted, making it on first use. Cheap
    /// where it is mounted already.
    ///
    /// # Errors
    /// Those of [`Pool::create`], and of attaching and mounting.
    pub fn attach(&self) -> Result<()> {
        if self.is_mounted() {
            return Ok(());
        }
        let lock = self.lock()?;
        if self.is_mounted() {
            return Ok(());
        }
        self.create_locked(&lock, None)?;
        self.mount(&self.mount_point())
    }

    /// Mounts the pool, which exists, at a place. The caller holds the lock.
    fn mount(&self, place: &Path) -> Result<()> {
        make_directory(place)?;
        let backing = device::open_backing(&self.file())?;
        let device = device::find_or_attach(&backing, &self.file())?;
        let flags = MountFlags::NOATIME | MountFlags::NOSUID | MountFlags::NODEV;
        let options = std::ffi::CString::new(OPTIONS).unwrap_or_default();
        let mounted = kernel_call(
            "mount(2)",
            format_args!("{} on {} type btrfs ({OPTIONS})", device.path.display(), place.display()),
            || rustix::mount::mount(&device.path, place, "btrfs", flags, options.as_c_str()),
        );
        mounted.map_err(|errno| {
            Error::io(format_args!("cannot mount the pool '{}'", self.file().display()), errno)
                .with_hint("the kernel log says more: dmesg | tail")
        })?;
        story!("the pool is mounted at {}", place.display());
        Ok(())
    }

    /// What there is, changing nothing.
    ///
    /// # Errors
    /// Those of looking at files and devices.
    pub fn status(&self) -> Result<Status> {
        let file = self.file();
        let metadata = match std::fs::metadata(&file) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io(format_args!("cannot look at '{}'", file.display()), error)),
        };
        let device = match &metadata {
            Some(metadata) => device::find((metadata.dev(), metadata.ino()))?.map(|device| device.path),
            None => None,
        };
        let mounted = self.is_mounted() && device.is_some();
        Ok(Status {
            exists: metadata.is_some(),
            size: metadata.as_ref().map_or(0, std::fs::Metadata::len),
            // st_blocks counts units of 512 bytes, whatever the file system (stat(2)).
            allocated: metadata.as_ref().map_or(0, |metadata| metadata.blocks() * 512),
            host_free: space::free(&self.root)?,
            device,
            free: if mounted { Some(space::free(&self.mount_point())?) } else { None },
            mounted_at: mounted.then(|| self.mount_point()),
            file,
        })
    }

    /// Refuses where the host could not take `bytes` more.
    pub(crate) fn admit(&self, bytes: u64) -> Result<()> {
        space::admit(&self.root, bytes)
    }

    /// Enlarges the pool to `size` bytes, mounted or not.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where it is that large already,
    /// [`ErrorKind::NotFound`] where there is no pool.
    pub fn grow(&self, size: u64) -> Result<()> {
        self.require()?;
        self.attach()?;
        let _lock = self.lock()?;
        let path = self.file();
        let describe = |error| Error::io(format_args!("cannot enlarge '{}'", path.display()), error);
        let backing = device::open_backing(&path)?;
        let before = backing.metadata().map_err(describe)?.len();
        // The same size again finishes what was stopped between the file and the file system.
        let unfinished = size == before && space::total(&self.mount_point())? < before;
        if size <= before && !unfinished {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("the pool has {} already, and cannot shrink", space::shown(before)),
            )
            .with_hint("name a larger size"));
        }
        if size < SMALLEST_TO_GROW_TO {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("btrfs does not grow to {}", space::shown(size)),
            )
            .with_hint(format!("{} is the least", space::shown(SMALLEST_TO_GROW_TO))));
        }
        space::warn_beyond_host(&self.root, size - before)?;
        if !unfinished {
            backing.set_len(size).map_err(describe)?;
            backing.sync_all().map_err(describe)?;
        }
        let device = device::find_or_attach(&backing, &path)?;
        sys::update_loop_size(device.file.as_fd()).map_err(describe)?;
        let top = File::open(self.mount_point()).map_err(describe)?;
        kernel_call("ioctl(BTRFS_IOC_RESIZE)", "1:max", || crate::sys::resize_to_device(top.as_fd()))
            .map_err(describe)
    }

    /// Unmounts the pool here. The device goes with its last mount.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where something uses it.
    pub fn umount(&self) -> Result<()> {
        self.require()?;
        let _lock = self.lock()?;
        self.umount_locked()
    }

    fn umount_locked(&self) -> Result<()> {
        if !self.is_mounted() {
            return Ok(());
        }
        kernel_call("umount2(2)", self.mount_point().display(), || {
            rustix::mount::unmount(self.mount_point(), UnmountFlags::empty())
        })
        .map_err(|errno| {
            Error::io(format_args!("cannot unmount the pool at '{}'", self.mount_point().display()), errno)
                .with_hint("a container, or a shell that is inside, still uses it")
        })
    }

    /// Unmounts the pool and removes its file, with everything in it. `forget`
    /// is to remove the records of what was in it; it is called when nothing can
    /// go wrong any more but the removal itself, and nobody can use the pool.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where it still holds nodes and `force` is not
    /// set, [`ErrorKind::Busy`] where it is in use, here or in another mount
    /// namespace; whatever `forget` answers. The pool stays then.
    pub fn destroy(&self, force: bool, forget: impl FnOnce() -> Result<()>) -> Result<()> {
        if !(force && self.mark().exists()) {
            self.require()?;
        }
        let _lock = self.lock()?;
        self.umount_locked()?;
        let path = self.file();
        let describe = |error| Error::io(format_args!("cannot remove '{}'", path.display()), error);
        let missing_is_fine = |outcome: std::io::Result<()>| match outcome {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(describe(error)),
            _ => Ok(()),
        };
        if let Ok(metadata) = std::fs::metadata(&path) {
            let identity = (metadata.dev(), metadata.ino());
            device::wait_until_detached(identity)?;
            if !force {
                self.require_empty()?;
                device::wait_until_detached(identity)?;
            }
        }
        forget()?;
        missing_is_fine(std::fs::remove_file(&path))?;
        missing_is_fine(std::fs::remove_file(self.mark()))?;
        missing_is_fine(std::fs::remove_dir(self.mount_point()))
    }

    fn require(&self) -> Result<()> {
        if self.file().exists() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, format!("there is no pool at '{}'", self.file().display()))
            .with_hint("'mocker pool create' makes one; a root on btrfs needs none"))
    }

    /// Looks into a pool that is not mounted anywhere, at a place that nobody
    /// else knows.
    fn require_empty(&self) -> Result<()> {
        let place = self.directory().join("look");
        self.mount(&place)?;
        let held = match std::fs::read_dir(place.join("nodes")) {
            Ok(entries) => Ok(entries.count()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(Error::io(format_args!("cannot list '{}'", place.display()), error)),
        };
        let unmounted = rustix::mount::unmount(&place, UnmountFlags::empty())
            .and_then(|()| rustix::fs::rmdir(&place))
            .map_err(|errno| Error::io(format_args!("cannot unmount '{}'", place.display()), errno));
        match (held, unmounted) {
            (Ok(0), unmounted) => unmounted,
            (Ok(held), unmounted) => Err(Error::new(
                ErrorKind::Conflict,
                format!("the pool still holds images or containers ({held} trees)"),
            )
            .with_hint("remove them with 'mocker rm', or destroy all of them with --force")
            .after_cleanup(unmounted)),
            (Err(error), unmounted) => Err(error.after_cleanup(unmounted)),
        }
    }
}

fn make_directory(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Failure::kernel("make the directory", path, error).into())
        }
        _ => Ok(()),
    }
}
