//! The file systems of the lanes: each in a sparse file, made when its first
//! case runs and gone after the last, however this process ends.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::lane::{Ground, Lane};
use crate::leaks;

/// The size of a lane's file system; the file is sparse.
const SIZE: u64 = 8 << 30;

/// How long an unmount may be refused because somebody still looks.
const PATIENCE: Duration = Duration::from_secs(10);

/// The mounted file system of a lane.
#[derive(Debug)]
pub(crate) struct Site {
    mount: PathBuf,
    janitor: Child,
}

/// Waits for the end of its input, which comes with the end of this process,
/// also when that is killed. Then it ends the commands that still run there, and
/// takes the place away.
const JANITOR: &str = "cat
    for process in /proc/[0-9]*; do
        if tr '\\0' '\\n' < $process/environ | grep -q \"^MOCKER_ROOT=$1/\"; then kill -KILL ${process#/proc/}; fi
    done
    while umount --lazy --recursive \"$2\"; do :; done
    rm -r \"$1\"";

type Sites = HashMap<Lane, Result<Arc<Site>, String>>;

static SITES: Mutex<Option<Sites>> = Mutex::new(None);

impl Site {
    /// The file system of a lane, set up by whoever comes first.
    ///
    /// # Errors
    /// What keeps it from being set up; it is tried once.
    pub(crate) fn of(lane: Lane) -> Result<Arc<Self>, String> {
        let mut sites = SITES.lock().unwrap_or_else(PoisonError::into_inner);
        let made =
            sites.get_or_insert_default().entry(lane).or_insert_with(|| Self::make(lane).map(Arc::new));
        made.clone().map_err(|why| format!("the lane '{lane}' cannot run here: {why}"))
    }

    /// Takes all lanes away again.
    pub(crate) fn remove_all() {
        let sites = SITES.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(sites);
    }

    fn make(lane: Lane) -> Result<Self, String> {
        // Not in /tmp, which may lie in memory.
        let place = if let Ground::Here(path) = lane.ground() { path } else { Path::new("/var/tmp") };
        let folder = tempfile::Builder::new()
            .prefix("mocker-test-")
            .tempdir_in(place)
            .map_err(|error| format!("cannot make a directory in '{}': {error}", place.display()))?;
        let mount = folder.path().join(lane.name());
        let janitor = Command::new("sh")
            .args(["-c", JANITOR, "janitor"])
            .args([folder.path(), &mount])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of reach of Ctrl-C.
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot start a shell: {error}"))?;
        let image = folder.keep().join("image");
        let site = Self { mount, janitor };
        let failed = |error| format!("cannot make '{}': {error}", image.display());
        std::fs::create_dir(&site.mount).map_err(failed)?;
        let Some((program, options)) = lane.ground().mkfs() else { return Ok(site) };
        File::create_new(&image).and_then(|file| file.set_len(SIZE)).map_err(failed)?;
        run(Command::new(program).args(options).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop,noatime"]).arg(&image).arg(&site.mount))?;
        Ok(site)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let started = Instant::now();
        // It is not mounted where making it failed.
        while !leaks::mounts_below(&self.mount).is_empty()
            && let Err(why) = unmount(&self.mount)
        {
            if started.elapsed() > PATIENCE {
                complain(&why);
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // This ends what it reads, and waits for its end.
        if let Err(error) = self.janitor.wait() {
            complain(&error.to_string());
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a test program, after its results")]
fn complain(why: &str) {
    eprintln!("a test file system stays: {why}");
}

/// Unmounts. Whatever another thread starts has every descriptor of this process
/// for a moment, and the mount is in use then.
///
/// # Errors
/// It is in use for longer.
pub(crate) fn unmount(mount: &Path) -> Result<(), String> {
    let started = Instant::now();
    loop {
        match run(Command::new("umount").arg(mount)) {
            Err(why) if why.contains("busy") && started.elapsed() < Duration::from_secs(2) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            outcome => return outcome,
        }
    }
}

/// Runs a program of the system; answers what it said where it failed.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{shown}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{shown}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
