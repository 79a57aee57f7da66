//! Keeping the engine's own mount points out of a list of changes (D10).

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Dir, FileType};
use rustix::io::Errno;

use crate::change::{Change, Kind};
use crate::error::{Error, Result};
use crate::tree::in_root;
use crate::tree::leave_out::{LeaveOut, TargetKind};

/// Removes mount points that still hold nothing from the changes of one kind.
/// `tree` is the one that has them.
pub(super) fn forget(
    changes: &mut Vec<Change>,
    kind: Kind,
    targets: &[LeaveOut],
    tree: BorrowedFd<'_>,
) -> Result<()> {
    let mut empty: HashSet<&Path> = HashSet::new();
    // Inner ones first: a mount point may lie in a directory that was made for it.
    for target in targets.iter().rev() {
        let holds_nothing = holds_nothing(tree, target, &empty).map_err(|errno| {
            Error::io(format_args!("cannot look at the mount point '/{}'", target.path.display()), errno)
        })?;
        if holds_nothing {
            empty.insert(&target.path);
        }
    }
    changes.retain(|change| change.kind != kind || !empty.contains(change.path.as_path()));
    Ok(())
}

fn holds_nothing(tree: BorrowedFd<'_>, target: &LeaveOut, but: &HashSet<&Path>) -> rustix::io::Result<bool> {
    match target.kind {
        TargetKind::File => match in_root::locate_without_links(tree, &target.path) {
            Ok(found) => {
                let stat = rustix::fs::fstat(found)?;
                let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                Ok(is_file && stat.st_size == 0)
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
            Err(errno) => Err(errno),
        },
        TargetKind::Directory => match in_root::open_directory(tree, &target.path) {
            Ok(directory) => {
                for entry in Dir::new(directory)? {
                    let entry = entry?;
                    let name = entry.file_name();
                    let inner = target.path.join(OsStr::from_bytes(name.to_bytes()));
                    if name != c"." && name != c".." && !but.contains(inner.as_path()) {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
            Err(errno) => Err(errno),
        },
    }
}
