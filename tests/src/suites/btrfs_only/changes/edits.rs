//! Edits that leave little behind, or much at once, beside those of the scripts.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use mocker_core::backend::LeaveOut;
use mocker_core::mount::View;
use mocker_core::tree::leave_out::TargetKind;
use rustix::fs::{
    AtFlags, CWD, FileType, IFlags, Mode, OFlags, RenameFlags, Timespec, Timestamps, ioctl_getflags,
    ioctl_setflags, renameat_with,
};
use rustix::io::Result;

use crate::edit::Edit;
use crate::sys::Mapping;

/// Files that are made at once: more than a block of the tree has room for.
const MANY: usize = 60;

/// Now and then does something more to a tree; answers what.
pub(super) fn more(random: &mut Rng, tree: &View, step: u64, held: &mut Vec<OwnedFd>) -> Option<String> {
    if random.u32(0..3) > 0 {
        return None;
    }
    let found = entries(tree);
    let of = |wanted: fn(&std::fs::FileType) -> bool| {
        found.iter().filter(|(_, kind)| wanted(kind)).map(|(path, _)| path).collect::<Vec<_>>()
    };
    let (files, all) = (of(std::fs::FileType::is_file), of(|_| true));
    let (file, other) = (*random.choice(&files)?, *random.choice(&files)?);
    let (one, two) = (*random.choice(&all)?, *random.choice(&all)?);
    let parent = one.parent()?.to_owned();
    let relative = |path: &Path| relative(tree, path);
    let edit = |edit: Edit| (edit.to_string(), edit.apply(tree.top(), step));
    let length = random.u64(1..10_000);
    let (what, outcome) = match random.u32(0..14) {
        0 => edit(Edit::PunchHole { path: relative(file), at: random.u64(0..20_000), length }),
        1 => edit(Edit::Allocate { path: relative(file), at: random.u64(0..20_000), length }),
        2 => edit(Edit::Clone { from: relative(other), to: relative(file) }),
        3 => edit(Edit::SetTime { path: relative(one), nanoseconds: random.i64(0..i64::MAX / 4) }),
        4 => edit(Edit::CreateUnnamed { path: relative(&parent.join("unnamed")), mode: 0o640 }),
        5 => (
            "write as much, at the old time".to_owned(),
            with_old_time(file, |file| write_over(file, random.u8(..))),
        ),
        6 => ("touch, and back".to_owned(), with_old_time(file, |_| Ok(()))),
        7 => (format!("exchange with {two:?}"), renameat_with(CWD, one, CWD, two, RenameFlags::EXCHANGE)),
        8 => ("rename, and back".to_owned(), there_and_back(one)),
        9 => ("chattr".to_owned(), chattr(file)),
        10 => ("remove, and make anew".to_owned(), anew(file)),
        11 => ("many files, and half of them away".to_owned(), many(&parent, random)),
        12 => ("many names".to_owned(), many_names(file)),
        _ => ("write through a mapping, hold, and remove".to_owned(), map_and_hold(file, other, held)),
    };
    Some(format!("{what} ({:?} or {:?}): {outcome:?}", relative(file), relative(one)))
}

/// A directory of the engine's own, made as it makes one: no trace in its parent.
pub(super) fn mount_point(random: &mut Rng, tree: &View) -> Option<LeaveOut> {
    let found = entries(tree);
    let directories = found.iter().filter(|(_, kind)| kind.is_dir()).map(|(path, _)| path);
    let above = random.choice(directories.collect::<Vec<_>>())?;
    let parent = rustix::fs::open(above, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let times = times_of(parent.as_fd());
    rustix::fs::mkdirat(&parent, "mount", Mode::from_raw_mode(0o755)).ok()?;
    rustix::fs::futimens(&parent, &times).unwrap();
    Some(LeaveOut { path: relative(tree, above).join("mount"), kind: TargetKind::Directory })
}

/// Everything in a tree but its top, by a path to reach it by.
fn entries(tree: &View) -> Vec<(PathBuf, std::fs::FileType)> {
    let found = walkdir::WalkDir::new(top_of(tree)).min_depth(1).into_iter().map(std::result::Result::unwrap);
    found.map(|entry| (entry.path().to_owned(), entry.file_type())).collect()
}

fn top_of(tree: &View) -> PathBuf {
    format!("/proc/self/fd/{}/.", tree.top().as_raw_fd()).into()
}

fn relative(tree: &View, path: &Path) -> PathBuf {
    path.strip_prefix(top_of(tree)).unwrap_or(path).to_owned()
}

fn times_of(file: BorrowedFd<'_>) -> Timestamps {
    let stat = rustix::fs::fstat(file).unwrap();
    let time = |seconds, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds.cast_signed() };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

fn open(path: &Path) -> Result<OwnedFd> {
    rustix::fs::open(path, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Changes a file and gives it the time that it had, in nanoseconds.
fn with_old_time(path: &Path, change: impl FnOnce(&OwnedFd) -> Result<()>) -> Result<()> {
    let file = open(path)?;
    let times = times_of(file.as_fd());
    change(&file)?;
    let zero = Timespec { tv_sec: 1, tv_nsec: 1 };
    rustix::fs::futimens(&file, &Timestamps { last_access: zero, last_modification: zero })?;
    rustix::fs::futimens(&file, &times)
}

/// Writes over what is there, and adds nothing.
fn write_over(file: &OwnedFd, byte: u8) -> Result<()> {
    let size = usize::try_from(rustix::fs::fstat(file)?.st_size).unwrap().min(5000);
    rustix::io::pwrite(file, &vec![byte; size], 0).map(drop)
}

fn there_and_back(path: &Path) -> Result<()> {
    let beside = path.with_file_name("beside");
    renameat_with(CWD, path, CWD, &beside, RenameFlags::NOREPLACE)?;
    renameat_with(CWD, &beside, CWD, path, RenameFlags::NOREPLACE)
}

fn chattr(path: &Path) -> Result<()> {
    let file = open(path)?;
    let flags = ioctl_getflags(&file)?;
    ioctl_setflags(&file, flags ^ IFlags::NODUMP)
}

/// Something else of the same name and kind.
fn anew(path: &Path) -> Result<()> {
    rustix::fs::unlink(path)?;
    rustix::fs::mknodat(CWD, path, FileType::RegularFile, Mode::from_raw_mode(0o600), 0)
}

/// The names begin alike, so that they lie in a few blocks, of which some go as a
/// whole.
fn many(directory: &Path, random: &mut Rng) -> Result<()> {
    let name = |number: usize| directory.join(format!("{number:0200}"));
    for number in 0..MANY {
        if name(number).symlink_metadata().is_err() {
            rustix::fs::mknodat(CWD, name(number), FileType::RegularFile, Mode::from_raw_mode(0o600), 0)?;
        }
    }
    let from = random.usize(0..MANY / 2);
    (from..from + MANY / 2).try_for_each(|number| rustix::fs::unlink(name(number)))
}

/// More in one directory than one item of the tree has room for.
fn many_names(file: &Path) -> Result<()> {
    let long = "l".repeat(240);
    for number in 0..MANY / 2 {
        let name = OsStr::from_bytes(&[number as u8 | 0x80]).to_owned();
        let mut name = file.with_file_name(name).into_os_string();
        name.push(&long);
        rustix::fs::linkat(CWD, file, CWD, PathBuf::from(name), AtFlags::empty())?;
    }
    Ok(())
}

/// Writes to one file through memory, and keeps another that has no name any more.
fn map_and_hold(file: &Path, other: &Path, held: &mut Vec<OwnedFd>) -> Result<()> {
    let mapped = File::from(open(file)?);
    let size = usize::try_from(mapped.metadata().unwrap().len()).unwrap().min(4096);
    if size > 0 {
        Mapping::of(&mapped, size).fill(b'm');
    }
    held.push(open(other)?);
    rustix::fs::unlink(other)
}
