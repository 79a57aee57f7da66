//! Carries out a list of changes: takes what it names, and nothing else, from one
//! tree into another, by plain system calls and nothing of the program that is
//! tested.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use mocker_core::change::{Aspect, Change, Kind};
use rustix::fs::{AtFlags, CWD, FileType, Mode, SeekFrom, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

/// Does to the first tree what the list says, in its order; answers how many
/// bytes of files were copied.
///
/// # Errors
/// What cannot be done.
pub(crate) fn apply(changes: &[Change], tree: BorrowedFd<'_>, source: BorrowedFd<'_>) -> Result<u64, String> {
    let below = |top: BorrowedFd<'_>| Path::new("/proc/self/fd").join(top.as_raw_fd().to_string());
    let (tree, source) = (below(tree).join("."), below(source).join("."));
    // What is made or removed in a directory changes its time, which the list says nothing of.
    let mut times: BTreeMap<PathBuf, Timespec> = BTreeMap::new();
    for found in walkdir::WalkDir::new(&tree) {
        let found = found.map_err(|error| error.to_string())?;
        if found.file_type().is_dir() {
            let meta = std::fs::symlink_metadata(found.path()).map_err(|error| error.to_string())?;
            times.insert(found.into_path(), modified(&meta));
        }
    }
    let mut bytes = 0;
    for change in changes {
        let (from, to) = (source.join(&change.path), tree.join(&change.path));
        bytes += carry_out(change, &tree, &from, &to, &mut times)
            .map_err(|error| format!("cannot carry out {change:?}: {error}"))?;
    }
    // The last ones first: what is in a directory does not change its time any more then.
    for (path, time) in times.iter().rev().filter(|(path, _)| path.is_dir() && !path.is_symlink()) {
        set_time(path, *time).map_err(|error| error.to_string())?;
    }
    Ok(bytes)
}

fn carry_out(
    change: &Change,
    tree: &Path,
    from: &Path,
    to: &Path,
    times: &mut BTreeMap<PathBuf, Timespec>,
) -> std::io::Result<u64> {
    let is_directory = change.file_type == FileType::Directory;
    match change.kind {
        Kind::Deleted if is_directory => {
            times.retain(|path, _| !path.starts_with(to));
            std::fs::remove_dir_all(to).map(|()| 0)
        }
        Kind::Deleted => std::fs::remove_file(to).map(|()| 0),
        Kind::Added if is_directory => {
            std::fs::create_dir(to)?;
            describe(from, to)?;
            times.insert(to.to_owned(), modified(&std::fs::symlink_metadata(from)?));
            Ok(0)
        }
        Kind::Modified(what) if is_directory => {
            describe(from, to)?;
            if what.has(Aspect::Mtime) {
                times.insert(to.to_owned(), modified(&std::fs::symlink_metadata(from)?));
            }
            Ok(0)
        }
        kind => {
            if kind != Kind::Added {
                std::fs::remove_file(to)?;
            }
            match &change.link {
                Some(other) => std::fs::hard_link(tree.join(other), to).map(|()| 0),
                None => make_like(from, to),
            }
        }
    }
}

/// Makes what is no directory.
fn make_like(from: &Path, to: &Path) -> std::io::Result<u64> {
    let meta = std::fs::symlink_metadata(from)?;
    let mut bytes = 0;
    match FileType::from_raw_mode(meta.mode()) {
        FileType::RegularFile => {
            let (source, copy) = (File::open(from)?, File::create_new(to)?);
            copy_data(&source, &copy, meta.size())?;
            bytes = meta.size();
        }
        FileType::Symlink => std::os::unix::fs::symlink(std::fs::read_link(from)?, to)?,
        kind => rustix::fs::mknodat(CWD, to, kind, Mode::empty(), meta.rdev())?,
    }
    describe(from, to)?;
    set_time(to, modified(&meta))?;
    Ok(bytes)
}

/// With the holes, block by block.
fn copy_data(source: &File, copy: &File, size: u64) -> std::io::Result<()> {
    copy.set_len(size)?;
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(source, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(errno) => return Err(errno.into()),
        };
        let end = rustix::fs::seek(source, SeekFrom::Hole(start))?.min(size);
        let mut data = vec![0; usize::try_from(end - start).map_err(std::io::Error::other)?];
        source.read_exact_at(&mut data, start)?;
        copy.write_all_at(&data, start)?;
        at = end;
    }
    Ok(())
}

/// Owner, attributes and mode. A directory above may have given some by a default
/// ACL.
fn describe(from: &Path, to: &Path) -> std::io::Result<()> {
    let meta = std::fs::symlink_metadata(from)?;
    std::os::unix::fs::lchown(to, Some(meta.uid()), Some(meta.gid()))?;
    let wanted = attributes(from)?;
    for name in attributes(to)?.keys().filter(|name| !wanted.contains_key(*name)) {
        rustix::fs::lremovexattr(to, name.as_slice())?;
    }
    if !meta.is_symlink() {
        rustix::fs::chmod(to, Mode::from_raw_mode(meta.mode()))?;
    }
    for (name, value) in &wanted {
        rustix::fs::lsetxattr(to, name.as_slice(), value, XattrFlags::empty())?;
    }
    Ok(())
}

fn attributes(path: &Path) -> std::io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut names = vec![0; 1 << 16];
    let length = rustix::fs::llistxattr(path, &mut names)?;
    let mut found = BTreeMap::new();
    // XFS shows each ACL a second time.
    let told = |name: &&[u8]| !name.is_empty() && !name.starts_with(b"trusted.SGI_ACL_");
    for name in names[..length].split(|byte| *byte == 0).filter(told) {
        let mut value = vec![0; 1 << 16];
        let length = rustix::fs::lgetxattr(path, name, &mut value)?;
        value.truncate(length);
        found.insert(name.to_vec(), value);
    }
    Ok(found)
}

fn modified(meta: &std::fs::Metadata) -> Timespec {
    Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() }
}

fn set_time(path: &Path, time: Timespec) -> std::io::Result<()> {
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
