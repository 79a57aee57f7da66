//! The file that holds a pool: made whole under another name, then renamed, so
//! that there is either none or a formatted one.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mocker_core::trace::kernel_call;
use mocker_core::{Error, ErrorKind, Result};

/// Where the magic of a btrfs lies: 64 bytes into the superblock at 64 KiB
/// (`linux/btrfs_tree.h`).
const MAGIC_AT: u64 = 0x1_0040;
const MAGIC: &[u8; 8] = b"_BHRfS_M";

/// Where distributions put `mkfs.btrfs`.
const PROGRAM_DIRECTORIES: [&str; 5] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"];

/// One copy of metadata and 4 KiB nodes: half the time of the defaults for a
/// snapshot. A second copy guards against bad sectors of a disk, not of a file.
const FORMAT: [&str; 8] =
    ["--quiet", "--metadata", "single", "--data", "single", "--nodesize", "4096", "--label"];

/// How the name of a pool ends that is not whole yet.
const UNFINISHED: &str = "new";

/// Finds the program that makes a btrfs.
pub(super) fn find_mkfs() -> Result<PathBuf> {
    PROGRAM_DIRECTORIES.iter().map(|directory| Path::new(directory).join("mkfs.btrfs")).find(|path| path.exists()).ok_or_else(
        || {
            Error::new(ErrorKind::Unsupported, "the program mkfs.btrfs is not installed")
                .with_hint("install btrfs-progs (apt install btrfs-progs, dnf install btrfs-progs, pacman -S btrfs-progs)")
        },
    )
}

/// The size of a pool that is there; an empty file counts as none.
///
/// # Errors
/// [`ErrorKind::Conflict`] where the file holds something that is no btrfs: it
/// is never formatted.
pub(super) fn existing(path: &Path) -> Result<Option<u64>> {
    let describe = |error| Error::io(format_args!("cannot look at '{}'", path.display()), error);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(describe(error)),
    };
    let size = file.metadata().map_err(describe)?.len();
    if size == 0 {
        return Ok(None);
    }
    let mut magic = [0; MAGIC.len()];
    file.seek(SeekFrom::Start(MAGIC_AT)).map_err(describe)?;
    match file.read_exact(&mut magic) {
        Ok(()) if magic == *MAGIC => Ok(Some(size)),
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(describe(error)),
        _ => Err(Error::new(
            ErrorKind::Conflict,
            format!("'{}' is there and holds no btrfs; it is not touched", path.display()),
        )
        .with_hint("move the file away, then try again")),
    }
}

/// Makes and formats a sparse file of `size` bytes. The caller holds the lock.
pub(super) fn make(path: &Path, size: u64) -> Result<()> {
    let mkfs = find_mkfs()?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    remove_unfinished(directory)?;
    // A name, and so a file, of its own: a mkfs.btrfs whose caller was killed may still write to its.
    let unfinished = path.with_extension(format!("{}.{UNFINISHED}", std::process::id()));
    let describe = |error| Error::io(format_args!("cannot make '{}'", unfinished.display()), error);
    let file =
        OpenOptions::new().create_new(true).write(true).mode(0o600).open(&unfinished).map_err(describe)?;
    let made =
        file.set_len(size).map_err(describe).and_then(|()| format(&mkfs, &unfinished)).and_then(|()| {
            file.sync_all().map_err(describe)?;
            std::fs::rename(&unfinished, path).map_err(describe)?;
            let parent = File::open(directory).map_err(describe)?;
            parent.sync_all().map_err(describe)
        });
    made.map_err(|error| {
        error.after_cleanup(match std::fs::remove_file(&unfinished) {
            Err(second) if second.kind() != std::io::ErrorKind::NotFound => Err(describe(second)),
            _ => Ok(()),
        })
    })
}

/// Removes what killed predecessors left. The caller holds the lock.
fn remove_unfinished(directory: &Path) -> Result<()> {
    let describe = |error| Error::io(format_args!("cannot clean up '{}'", directory.display()), error);
    for entry in std::fs::read_dir(directory).map_err(describe)? {
        let left = entry.map_err(describe)?.path();
        if left.extension().is_some_and(|extension| extension == UNFINISHED) {
            std::fs::remove_file(&left).map_err(describe)?;
        }
    }
    Ok(())
}

fn format(mkfs: &Path, file: &Path) -> Result<()> {
    /// How often a look at the loop devices may meet one that goes at that moment, which mkfs.btrfs 6.2
    /// takes for a failure of its own.
    const TRIES: u32 = 5;
    let mut outcome = format_once(mkfs, file);
    for _ in 1..TRIES {
        match &outcome {
            Err(error) if error.to_string().contains("mount status") => outcome = format_once(mkfs, file),
            _ => break,
        }
    }
    outcome
}

fn format_once(mkfs: &Path, file: &Path) -> Result<()> {
    let output =
        kernel_call("mkfs.btrfs", format_args!("{} mocker {}", FORMAT.join(" "), file.display()), || {
            Command::new(mkfs).args(FORMAT).arg("mocker").arg(file).stdin(Stdio::null()).output()
        })
        .map_err(|error| Error::io(format_args!("cannot run '{}'", mkfs.display()), error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(
        ErrorKind::Io,
        format!("mkfs.btrfs failed on '{}' ({}): {}", file.display(), output.status, said.trim()),
    ))
}
