//! Whether overlayfs works at a place: found out by mounting one.

use std::path::Path;

use mocker_core::backend::{OverlayPlan, Probe, Upper};
use mocker_core::{Error, mount};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

/// `OVERLAYFS_SUPER_MAGIC` of linux/magic.h.
const OVERLAY_MAGIC: i64 = 0x794c_7630;

/// Tries it below the nearest directory that exists, and leaves nothing.
pub(crate) fn probe(root: &Path) -> Probe {
    let Some(place) = root.ancestors().find(|path| path.is_dir()) else {
        return Probe::Missing(format!("'{}' lies nowhere", root.display()));
    };
    match attempt(place) {
        Ok(()) => Probe::Works(format!("overlayfs mounts on the file system of '{}'", place.display())),
        Err(why) => Probe::Missing(why),
    }
}

fn attempt(place: &Path) -> Result<(), String> {
    let say = |error: &Error| match error.hint() {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    };
    if !rustix::process::geteuid().is_root() {
        return Err("mounting an overlay needs root (run it as root, for example with sudo)".to_owned());
    }
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let loaded = known.lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay");
    let trial = Trial::new(place).map_err(|errno| {
        say(&Error::io(format_args!("cannot make a directory in '{}'", place.display()), errno))
    })?;
    if trial.hides_kinds() {
        return Err(format!(
            "the file system of '{}' does not say of what kind the entries of a directory are (d_type), and \
             an overlay on it would show deleted files (choose a root elsewhere with --root, or make the file \
             system anew: ext4 with the feature 'filetype', xfs with 'ftype=1')",
            place.display()
        ));
    }
    let plan = OverlayPlan {
        lower: vec![trial.path.join("lower")],
        upper: Some(Upper {
            directory: trial.path.join("upper"),
            work: trial.path.join("work"),
            volatile: false,
        }),
    };
    let mounted = match mount::mount_overlay(&plan) {
        Ok(mounted) => mounted,
        Err(error) => return Err(explain(place, loaded).unwrap_or_else(|| say(&error))),
    };
    // Deleting a file of a lower layer needs whiteouts, an opaque directory attributes.
    rustix::fs::unlinkat(&mounted, "file", AtFlags::empty())
        .and_then(|()| rustix::fs::unlinkat(&mounted, "directory", AtFlags::REMOVEDIR))
        .and_then(|()| rustix::fs::mkdirat(&mounted, "directory", Mode::RWXU))
        .map_err(|errno| {
            say(&Error::io(
                format_args!(
                    "the file system of '{}' cannot hold an overlay's whiteouts and opaque directories",
                    place.display()
                ),
                errno,
            ))
        })
}

/// What is known to stand in the way.
fn explain(place: &Path, loaded: bool) -> Option<String> {
    if !loaded {
        return Some("this kernel has no overlayfs (try 'modprobe overlay')".to_owned());
    }
    let fs = rustix::fs::statfs(place).ok()?;
    if i128::from(fs.f_type) == i128::from(OVERLAY_MAGIC) {
        return Some(format!(
            "'{}' is on an overlay itself, as inside a container, and overlays do not stack as uppers (choose \
             a root on a volume or a disk with --root)",
            place.display()
        ));
    }
    let value = rustix::fs::setxattr(place, "trusted.mocker-probe", b"", XattrFlags::empty());
    match value {
        Err(Errno::OPNOTSUPP) => Some(format!(
            "the file system of '{}' has no extended attributes in the 'trusted' namespace",
            place.display()
        )),
        Ok(()) => {
            // It was put there a moment ago.
            let _gone = rustix::fs::removexattr(place, "trusted.mocker-probe");
            None
        }
        Err(_) => None,
    }
}

/// A scratch directory that goes when it is dropped.
struct Trial {
    path: std::path::PathBuf,
}

impl Trial {
    fn new(place: &Path) -> Result<Self, Errno> {
        let trial = Self { path: place.join(format!(".mocker-probe-{}", std::process::id())) };
        rustix::fs::mkdir(&trial.path, Mode::RWXU)?;
        for name in ["lower", "upper", "work", "lower/directory"] {
            rustix::fs::mkdir(trial.path.join(name), Mode::RWXU)?;
        }
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, trial.path.join("lower/file"), flags, Mode::RUSR)?;
        Ok(trial)
    }

    /// Whether directories list entries without their kind. The kernel only warns
    /// of it (`ovl_make_workdir` of fs/overlayfs/super.c, Linux 6.18), and then
    /// takes whiteouts for files when it lists a directory.
    fn hides_kinds(&self) -> bool {
        let listed = rustix::fs::open(&self.path, crate::layout::DIRECTORY, Mode::empty()).and_then(Dir::new);
        let hides = |entry: rustix::io::Result<rustix::fs::DirEntry>| {
            entry.is_ok_and(|entry| entry.file_type() == FileType::Unknown)
        };
        listed.is_ok_and(|mut entries| entries.any(hides))
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            mocker_core::story!("'{}' stays: {error}", self.path.display());
        }
    }
}
