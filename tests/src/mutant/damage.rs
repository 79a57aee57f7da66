//! What mutants do to trees.

use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};

use super::Bug;

/// Does to a tree, that of a layer, what the bug says and nothing else: whatever
/// else changes by it, such as times of directories, is set back.
pub(super) fn damage(bug: Bug, top: &Path) {
    let mut times = Vec::new();
    each(top, |path, meta| {
        if meta.is_dir() {
            times.push((path.to_owned(), meta.mtime(), meta.mtime_nsec()));
        }
    });
    do_damage(bug, top);
    let about_times = [Bug::TruncatesTimes, Bug::StampsDirectoriesEarly].contains(&bug);
    for (path, seconds, nanoseconds) in times.iter().filter(|(path, ..)| !about_times && path.exists()) {
        set_time(path, *seconds, *nanoseconds);
    }
}

fn do_damage(bug: Bug, top: &Path) {
    let mut links_broken = 0;
    each(top, |path, meta| match bug {
        // One is in the trees of cases, the other in scripts.
        Bug::LosesAttribute => ["user.mark", "user.one"].into_iter().for_each(|name| lose(path, name)),
        Bug::LosesCapability => lose(path, "security.capability"),
        Bug::LosesAcl => {
            lose(path, "system.posix_acl_access");
            lose(path, "system.posix_acl_default");
        }
        Bug::LosesSpecialBits if !meta.is_symlink() => {
            let plain = std::fs::Permissions::from_mode(meta.mode() & 0o777);
            std::fs::set_permissions(path, plain).expect("set a mode");
        }
        Bug::LosesOwner => std::os::unix::fs::lchown(path, Some(0), Some(0)).expect("set an owner"),
        Bug::TruncatesTimes => set_time(path, meta.mtime(), 0),
        Bug::StampsDirectoriesEarly if meta.is_dir() => touch(path),
        Bug::BreaksLink if meta.is_file() && meta.nlink() > 1 && links_broken == 0 => {
            links_broken += 1;
            replace(path, |other| run(Command::new("cp").args(["--archive", "--"]).arg(path).arg(other)));
        }
        Bug::FollowsSymlink if meta.is_symlink() => {
            replace(path, |other| std::fs::write(other, "what it leads to").expect("write a file"));
        }
        Bug::FillsHoles if meta.is_file() && meta.size() < 1 << 30 => {
            let data = std::fs::read(path).expect("read a file");
            let file = std::fs::OpenOptions::new().write(true).open(path).expect("open a file");
            std::os::unix::fs::FileExt::write_all_at(&file, &data, 0).expect("write a file");
            set_time(path, meta.mtime(), meta.mtime_nsec());
        }
        Bug::LosesDevice if meta.file_type().is_char_device() || meta.file_type().is_block_device() => {
            std::fs::remove_file(path).expect("remove a device");
            let (kind, mode) = (FileType::from_raw_mode(meta.mode()), Mode::from_raw_mode(meta.mode()));
            rustix::fs::mknodat(CWD, path, kind, mode, 0).expect("make a device");
            set_time(path, meta.mtime(), meta.mtime_nsec());
        }
        Bug::DropsFifo if meta.file_type().is_fifo() => std::fs::remove_file(path).expect("remove a FIFO"),
        // It stays where there is something in it.
        Bug::DropsEmptyDirectory if meta.is_dir() && path != top => drop(std::fs::remove_dir(path)),
        Bug::ForgetsWhiteout if meta.file_type().is_char_device() && meta.rdev() == 0 => {
            std::fs::remove_file(path).expect("remove a whiteout");
        }
        _ => {}
    });
}

/// Calls for every entry of a tree, what is in a directory before that.
pub(super) fn each(top: &Path, mut call: impl FnMut(&Path, &Metadata)) {
    let found: Vec<_> = walkdir::WalkDir::new(top).contents_first(true).into_iter().collect();
    for entry in found {
        let entry = entry.expect("walk a tree");
        call(entry.path(), &std::fs::symlink_metadata(entry.path()).expect("look at an entry"));
    }
}

/// Makes the second tree one that has the files of the first, as hard links.
pub(super) fn share(one: &Path, other: &Path) {
    std::fs::remove_dir_all(other).expect("remove a tree");
    run(Command::new("cp").args(["--archive", "--link", "--no-target-directory", "--"]).arg(one).arg(other));
}

/// Changes the time of a directory.
pub(super) fn touch(directory: &Path) {
    set_time(directory, 1, 1);
}

/// Most do not have it.
fn lose(path: &Path, attribute: &str) {
    let _lost = rustix::fs::lremovexattr(path, attribute);
}

fn set_time(path: &Path, seconds: i64, nanoseconds: i64) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("set a time");
}

/// Puts in the place of something what `make` makes at another path.
fn replace(path: &Path, make: impl FnOnce(&Path)) {
    let other = path.with_extension("other");
    make(&other);
    std::fs::rename(&other, path).expect("put it in its place");
}

fn run(command: &mut Command) {
    let output = command.output().expect("start cp");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
