//! Loop devices: finding the one that has our file, or attaching one.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mocker_core::trace::kernel_call;
use mocker_core::{Error, ErrorKind, Result, story};
use rustix::io::Errno;

use super::sys;

const CONTROL: &str = "/dev/loop-control";

/// How long the kernel may take to detach a device after the last unmount.
const DETACH_PATIENCE: Duration = Duration::from_secs(5);

/// How many other programs may snatch a free device before we get one.
const TRIES: usize = 64;

/// A loop device that has our file. It stays attached while this is open.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) path: PathBuf,
    pub(super) file: File,
}

/// Whether this kernel has what a pool needs.
pub(super) fn check_host() -> Result<()> {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let module = || std::fs::exists("/sys/module/btrfs").unwrap_or(false);
    if !known.lines().any(|line| line.trim() == "btrfs") && !module() && !module_is_installed() {
        return Err(Error::new(ErrorKind::Unsupported, "this kernel has no btrfs")
            .with_hint("try 'modprobe btrfs', or a kernel that has it"));
    }
    match std::fs::exists(CONTROL) {
        Ok(true) => Ok(()),
        _ => Err(Error::new(ErrorKind::Unsupported, "this machine has no loop devices (/dev/loop-control)")
            .with_hint(
                "try 'modprobe loop'; in a container, run it with /dev/loop-control and the loop devices",
            )),
    }
}

/// mount(2) loads the module by itself.
fn module_is_installed() -> bool {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    ["dep", "builtin"].iter().any(|list| {
        let path = format!("/lib/modules/{release}/modules.{list}");
        std::fs::read_to_string(path).is_ok_and(|text| text.contains("/btrfs.ko"))
    })
}

/// Opens the backing file.
pub(super) fn open_backing(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| Error::io(format_args!("cannot open the pool '{}'", path.display()), error))
}

/// The device that has the file of this device and inode number.
pub(super) fn find(file: (u64, u64)) -> Result<Option<Device>> {
    let describe = |error| Error::io("cannot list the loop devices", error);
    for entry in std::fs::read_dir("/sys/block").map_err(describe)? {
        let name = entry.map_err(describe)?.file_name();
        let attached = name.as_encoded_bytes().starts_with(b"loop")
            && Path::new("/sys/block").join(&name).join("loop/backing_file").exists();
        if !attached {
            continue;
        }
        let path = Path::new("/dev").join(&name);
        // It may be detached between the listing and these two calls.
        let Ok(device) = OpenOptions::new().read(true).write(true).open(&path) else { continue };
        if sys::loop_backing_file(device.as_fd()).is_ok_and(|behind| behind == file) {
            return Ok(Some(Device { path, file: device }));
        }
    }
    Ok(None)
}

/// Finds the device that has the file, or attaches one. The caller holds the
/// pool's lock, without which two processes would attach one each.
pub(super) fn find_or_attach(backing: &File, path: &Path) -> Result<Device> {
    let describe =
        |error| Error::io(format_args!("cannot attach '{}' to a loop device", path.display()), error);
    let metadata = backing.metadata().map_err(describe)?;
    if let Some(device) = find((metadata.dev(), metadata.ino()))? {
        story!("the pool is attached already: {}", device.path.display());
        return Ok(device);
    }
    let control = OpenOptions::new().read(true).write(true).open(CONTROL).map_err(describe)?;
    let mut direct = true;
    for _ in 0..TRIES {
        let number = sys::free_loop_device(control.as_fd()).map_err(describe)?;
        let device_path = PathBuf::from(format!("/dev/loop{number}"));
        let device = OpenOptions::new().read(true).write(true).open(&device_path).map_err(describe)?;
        let attached = kernel_call(
            "ioctl(LOOP_CONFIGURE)",
            format_args!("{} on {}, direct I/O {direct}", path.display(), device_path.display()),
            || sys::attach_loop(device.as_fd(), backing.as_fd(), direct),
        );
        match attached {
            Ok(()) => return Ok(Device { path: device_path, file: device }),
            // Somebody was faster.
            Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {}
            Err(error) if direct && error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                story!("the host's file system takes no direct I/O: the pool is cached twice");
                direct = false;
            }
            Err(error) => return Err(describe(error)),
        }
    }
    Err(Error::new(ErrorKind::Busy, "other programs took every free loop device").with_hint("try again"))
}

/// Waits until no device has the file any more.
pub(super) fn wait_until_detached(file: (u64, u64)) -> Result<()> {
    let started = Instant::now();
    loop {
        let Some(device) = find(file)? else { return Ok(()) };
        let path = device.path.clone();
        // Looking at it holds it; let go before the kernel is to let go.
        drop(device);
        if started.elapsed() > DETACH_PATIENCE {
            return Err(Error::new(
                ErrorKind::Busy,
                format!("the pool is still in use through {}", path.display()),
            )
            .with_hint("it is mounted in another mount namespace, or a container still runs in it"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
