//! F, D10: everything that a file system holds goes through init, run and
//! commit and comes out the same; the source stays as it was; and what cannot
//! be copied is an error, never a part of it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fixture::Fixture;
use crate::harness::Case;

use crate::suites::background;

mod debian;
mod declared;
mod everything;
mod moving;
mod overlap;
mod source;
mod stopped;
mod traces;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for part in [
        everything::cases,
        traces::cases,
        source::cases,
        overlap::cases,
        moving::cases,
        stopped::cases,
        debian::cases,
        declared::cases,
    ] {
        cases.extend(part());
    }
    cases
}

/// An image of that name out of a directory. Nothing takes so long that it
/// could not be waited for.
#[track_caller]
fn init(fixture: &Fixture, name: &str, directory: &Path) {
    let words: [&OsStr; 4] = ["init".as_ref(), "--name".as_ref(), name.as_ref(), directory.as_ref()];
    background::run(fixture, &words).ok();
}

/// Runs a script of bash in a directory, for what std cannot make.
#[track_caller]
fn bash(directory: &Path, script: &str) {
    let output = Command::new("bash").args(["-euc", script]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A copy of the small root file system, to add things to.
fn rootfs_at(fixture: &Fixture, place: &Path) {
    let copied = Command::new("cp").arg("-aT").arg(fixture.rootfs()).arg(place).status().unwrap();
    assert!(copied.success());
}

/// A directory on the file system of the host's own `/var/tmp`, which is none
/// of a lane.
fn elsewhere() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("mocker-test-source-").tempdir_in("/var/tmp").unwrap()
}

/// Something mounted, for as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    /// A fresh file system in memory that writes down every access.
    fn watching(at: PathBuf) -> Self {
        let mut command = Command::new("mount");
        Self::mount(command.args(["-t", "tmpfs", "-o", "strictatime,mode=755", "tmpfs"]), at)
    }

    /// Another view of a directory.
    fn bind(directory: &Path, at: PathBuf) -> Self {
        Self::mount(Command::new("mount").arg("--bind").arg(directory), at)
    }

    /// The file system in a file.
    fn device(file: &Path, at: PathBuf) -> Self {
        Self::mount(Command::new("mount").args(["-o", "loop"]).arg(file), at)
    }

    fn mount(command: &mut Command, at: PathBuf) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        assert!(command.arg(&at).status().unwrap().success(), "cannot mount {}", at.display());
        Self(at)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // What stays mounted is found when the case is closed, and fails it.
        let _status = Command::new("umount").arg(&self.0).status();
    }
}

/// What tells a change or an access: inode, links, and the times of access,
/// content and inode.
type Stamps = (u64, u64, [(i64, i64); 3]);

/// The stamps of every entry of a tree. Asking for them changes none.
struct Watched(BTreeMap<PathBuf, Stamps>);

impl Watched {
    /// Sets all times of access far back, so that every access would show.
    fn new(top: &Path) -> Self {
        let paths: Vec<_> =
            walkdir::WalkDir::new(top).into_iter().map(|entry| entry.unwrap().into_path()).collect();
        let mut touch = Command::new("xargs");
        touch.args(["-0", "touch", "-h", "-a", "-d", "2001-02-03", "--"]);
        let mut child = touch.stdin(std::process::Stdio::piped()).spawn().unwrap();
        let mut names = child.stdin.take().unwrap();
        for path in &paths {
            use std::io::Write;
            names.write_all(path.as_os_str().as_encoded_bytes()).unwrap();
            names.write_all(&[0]).unwrap();
        }
        drop(names);
        assert!(child.wait().unwrap().success());
        Self(paths.into_iter().map(|path| (path.clone(), stamps(&path))).collect())
    }

    #[track_caller]
    fn assert_untouched(&self) {
        let touched = self.0.iter().map(|(path, before)| (path, before, stamps(path)));
        let touched: Vec<_> = touched
            .filter(|(_, before, now)| *before != now)
            .map(|(path, before, now)| format!("{}\n  was {before:?}\n  is  {now:?}", path.display()))
            .collect();
        assert!(
            touched.is_empty(),
            "{} entries of the source were touched: {}",
            touched.len(),
            touched.join("\n")
        );
    }
}

fn stamps(path: &Path) -> Stamps {
    let meta = std::fs::symlink_metadata(path).unwrap();
    let times = [
        (meta.atime(), meta.atime_nsec()),
        (meta.mtime(), meta.mtime_nsec()),
        (meta.ctime(), meta.ctime_nsec()),
    ];
    (meta.ino(), meta.nlink(), times)
}
