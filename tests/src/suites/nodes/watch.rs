//! Who opens or reads what: told by the kernel (inotify(7)) while something is
//! done.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use mocker_core::backend::Rootfs;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// A watch over every file and directory of some trees.
pub(crate) struct Watch(OwnedFd);

impl Watch {
    /// Starts watching the directories at which these trees lie, and all that is
    /// in them.
    pub(super) fn over(trees: &[PathBuf]) -> Self {
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
        let all = trees.iter().flat_map(|tree| walkdir::WalkDir::new(tree).into_iter().map(Result::unwrap));
        // All are found first: finding opens directories.
        let paths: Vec<_> = all.map(|found| (found.depth(), found.into_path())).collect();
        for (depth, path) in paths {
            // Whoever names a tree may open its top.
            if depth > 0 {
                let flags = WatchFlags::OPEN | WatchFlags::ACCESS | WatchFlags::DONT_FOLLOW;
                inotify::add_watch(&watch, &path, flags).unwrap();
            }
        }
        Self(watch)
    }

    /// Starts watching these files.
    pub(crate) fn over_files(paths: &[PathBuf]) -> Self {
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
        for path in paths {
            inotify::add_watch(&watch, path, WatchFlags::OPEN | WatchFlags::ACCESS).unwrap();
        }
        Self(watch)
    }

    /// How often something was opened or read since the last time.
    pub(crate) fn events(&self) -> usize {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.0, &mut buffer);
        let mut count = 0;
        loop {
            match reader.next() {
                // A directory tells what happens to what is in it, too; that is counted there.
                Ok(event) if event.file_name().is_none_or(CStr::is_empty) => {
                    count += usize::from(!event.events().contains(ReadFlags::IGNORED));
                }
                Ok(_) => {}
                Err(Errno::AGAIN) => return count,
                Err(errno) => panic!("cannot read the watch: {errno}"),
            }
        }
    }
}

/// The directories of the backend that a tree is made of: those that are its
/// own, which take its changes, and those beneath.
pub(super) fn directories(rootfs: &Rootfs) -> (Vec<PathBuf>, Vec<PathBuf>) {
    match rootfs {
        Rootfs::Directory(path) => (vec![path.clone()], Vec::new()),
        Rootfs::Overlay(plan) => {
            (plan.upper.iter().map(|upper| upper.directory.clone()).collect(), plan.lower.clone())
        }
        other => panic!("a kind of tree that the tests do not know: {other:?}"),
    }
}

/// Where a tree lies in the node's own directory.
pub(super) fn own(rootfs: &Rootfs) -> &Path {
    match rootfs {
        Rootfs::Directory(path) => path,
        Rootfs::Overlay(plan) => plan.upper.as_ref().map_or(&plan.lower[0], |upper| &upper.directory),
        other => panic!("a kind of tree that the tests do not know: {other:?}"),
    }
}
