//! A file system in a file, mounted as long as somebody needs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::leaks;
use crate::site::run;

/// How long an unmount may be refused because somebody still looks: whoever
/// frees space in the background, and a pool that is just being let go of.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mounted file system.
#[derive(Debug)]
pub(crate) struct Attached {
    file: PathBuf,
    mount: PathBuf,
}

impl Attached {
    /// Mounts the file system in `file` at `mount`, which is made.
    #[track_caller]
    pub(crate) fn at(file: &Path, mount: &Path) -> Self {
        std::fs::create_dir_all(mount).expect("make a directory");
        // A loop device made so goes with the mount, also where this process is killed.
        run(Command::new("mount").args(["-o", "loop,noatime"]).arg(file).arg(mount))
            .unwrap_or_else(|why| panic!("{why}"));
        Self { file: file.to_owned(), mount: mount.to_owned() }
    }

    /// The same, with a loop device that goes round the page cache: what the file
    /// system takes for written is in the file then, and is not waited for when
    /// that is cloned. A clone itself cannot be had so: where files share blocks,
    /// xfs wants whole blocks, and a file system of smaller sectors cannot be
    /// mounted then (`xfs_vn_getattr` of fs/xfs/xfs_iops.c, Linux 6.18).
    #[track_caller]
    pub(crate) fn directly(file: &Path, mount: &Path) -> Self {
        let this = Self::at(file, mount);
        for device in leaks::attached_to(file) {
            run(Command::new("losetup").arg("--direct-io=on").arg(Path::new("/dev").join(device)))
                .unwrap_or_else(|why| panic!("{why}"));
        }
        this
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    /// Unmounts it, and what is mounted in it.
    #[track_caller]
    pub(crate) fn detach(self) {
        self.unmount().unwrap_or_else(|why| panic!("{why}"));
    }

    fn unmount(&self) -> Result<(), String> {
        let started = Instant::now();
        loop {
            let mut outcome = Ok(());
            for mount in leaks::mounts_below(&self.mount) {
                outcome = outcome.and(run(Command::new("umount").arg(mount)));
            }
            let attached = leaks::attached_to(&self.file);
            if outcome.is_ok() && leaks::mounts_below(&self.mount).is_empty() && attached.is_empty() {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                let held = format!("{} is still attached: {attached:?}", self.file.display());
                return outcome.and(Err(held));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if self.unmount().is_err() {
            // The case has failed by now; the lane and its other cases go on without it.
            for mount in leaks::mounts_below(&self.mount) {
                let _gone = run(Command::new("umount").arg("--lazy").arg(mount));
            }
        }
    }
}
