//! A root's whole world in one file, and what is left of it when the power goes
//! at this moment.
//!
//! The file lies on an xfs of the kit's own, which shares blocks between files:
//! `FICLONE` waits until nothing is being written to the file and clones it in one
//! step, in milliseconds (`xfs_file_remap_range` of fs/xfs/xfs_file.c, Linux 6.18).
//! The clone holds what had been written to the device by then, all of it. What
//! was in the caches of the file system above is not in it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::fixture::Fixture;
use crate::lane::{Ground, Lane};
use crate::site::{Site, run};

/// The size of the file system, which is sparse. A pool takes a part of it.
const SIZE: u64 = 4 << 30;

/// A place for files that can be cloned, and in it a file system of the kind
/// that the lane's root lies on.
#[derive(Debug)]
pub(crate) struct Supply {
    folder: tempfile::TempDir,
    _site: Arc<Site>,
}

impl Supply {
    /// A fresh one.
    #[track_caller]
    pub(crate) fn new(fixture: &Fixture) -> Self {
        let clonable = Lane::new("clonable", fixture.lane().driver(), Ground::Xfs);
        let site = Site::of(clonable).unwrap_or_else(|why| panic!("{why}"));
        let folder = tempfile::tempdir_in(site.path()).expect("make a directory");
        let this = Self { folder, _site: site };
        let kind = fixture.lane().ground().kind();
        let (program, options) = kind.mkfs().expect("a kind that can be made");
        File::create_new(this.file()).and_then(|file| file.set_len(SIZE)).expect("make a file");
        run(Command::new(program).args(options).arg(this.file())).unwrap_or_else(|why| panic!("{why}"));
        this
    }

    /// The file with the file system in it.
    pub(crate) fn file(&self) -> PathBuf {
        self.path("supply")
    }

    /// A name in the same place, for a clone or a mount.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Clones one file as it is at this moment.
    #[track_caller]
    pub(crate) fn clone_file(&self, from: &Path, name: &str) -> PathBuf {
        let path = self.path(name);
        let clone = File::create_new(&path).expect("make a file");
        let from = File::open(from).expect("open a file");
        rustix::fs::ioctl_ficlone(&clone, &from).expect("clone a file");
        path
    }
}
