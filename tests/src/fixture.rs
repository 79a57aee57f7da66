//! What a case works with: a root of its own in a fresh directory, the program
//! under test, and a look at what there is.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use mocker_core::backend::complete;

use crate::call::shown;
pub use crate::call::{Call, Output};
pub use crate::lane::Lane;
use crate::site::Site;
use crate::{leaks, rootfs};

/// How long the program may go on freeing space behind our back.
const PATIENCE: Duration = Duration::from_secs(10);

/// Every backend; a root can have nodes of several.
pub const BACKENDS: [&str; 3] = ["btrfs", "overlay", "copy"];

/// The program under test, where it is not found by its place.
pub(crate) static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Makes the directories of cases differ.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A case's own place.
#[derive(Debug)]
pub struct Fixture {
    lane: Lane,
    directory: PathBuf,
    root: PathBuf,
    scratch: PathBuf,
    rootfs: OnceLock<PathBuf>,
    calls: Arc<Mutex<Vec<String>>>,
    views: Mutex<Vec<PathBuf>>,
    site: Arc<Site>,
}

/// What a user can see of a root, for comparing before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    images: serde_json::Value,
    containers: serde_json::Value,
    nodes: Vec<u64>,
    container_directories: Vec<String>,
    leases: usize,
}

impl Fixture {
    /// A fresh place on a lane.
    ///
    /// # Errors
    /// Why the lane cannot run.
    pub fn new(lane: Lane) -> Result<Self, String> {
        let site = Site::of(lane)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = site.path().join(format!("case-{number}"));
        let make = || {
            std::fs::create_dir(&directory)?;
            std::fs::create_dir(directory.join("scratch"))
        };
        make().map_err(|error| format!("cannot make '{}': {error}", directory.display()))?;
        Ok(Self {
            lane,
            root: directory.join("root"),
            scratch: directory.join("scratch"),
            directory,
            rootfs: OnceLock::new(),
            calls: Arc::default(),
            views: Mutex::default(),
            site,
        })
    }

    /// The same case, with its root at another place.
    #[must_use]
    pub(crate) fn with_root(&self, root: &Path) -> Self {
        Self {
            lane: self.lane,
            root: root.to_owned(),
            scratch: self.scratch.clone(),
            directory: self.directory.clone(),
            rootfs: OnceLock::from(self.rootfs()),
            calls: self.calls.clone(),
            views: Mutex::default(),
            site: self.site.clone(),
        }
    }

    /// The kind of place.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The root; it does not exist before the first command.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory for anything, on the same file system.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// The program under test.
    pub fn program() -> PathBuf {
        if let Some(path) = PROGRAM.get() {
            return path.clone();
        }
        if let Some(path) = std::env::var_os("MOCKER_BIN") {
            return path.into();
        }
        let own = std::env::current_exe().expect("the path of this program");
        let path = own.ancestors().nth(2).expect("target/debug").join("mocker");
        assert!(path.exists(), "{} is missing: 'make test' builds it", path.display());
        path
    }

    /// A command of mocker on this root.
    pub fn mocker<W: AsRef<OsStr>>(&self, words: &[W]) -> Call<'_> {
        let mut command = Command::new(Self::program());
        command.args(words);
        command.env("MOCKER_ROOT", &self.root).env("MOCKER_BACKEND", self.lane.backend());
        Call::new(self, command)
    }

    /// Runs a command that must succeed; answers what it printed.
    #[track_caller]
    pub fn ok<W: AsRef<OsStr>>(&self, words: &[W]) -> String {
        let output = self.mocker(words).run();
        assert_eq!(output.code, 0, "{} failed: {}", shown(words), output.err());
        output.out()
    }

    /// Runs a command that must fail so and print nothing; answers what it
    /// said.
    #[track_caller]
    pub fn fails<W: AsRef<OsStr>>(&self, words: &[W], code: i32) -> String {
        let output = self.mocker(words).run();
        assert_eq!(output.code, code, "{}: {}", shown(words), output.err());
        assert!(output.stdout.is_empty(), "{} failed and printed: {}", shown(words), output.out());
        assert!(!output.stderr.is_empty(), "{} failed and said nothing", shown(words));
        output.err()
    }

    /// A small root file system, made once for the case.
    pub fn rootfs(&self) -> PathBuf {
        let make = || {
            let path = self.scratch().join("rootfs");
            std::fs::create_dir(&path).expect("make a directory");
            rootfs::build(&path);
            path
        };
        self.rootfs.get_or_init(make).clone()
    }

    /// An image of that name out of the small root file system; its id.
    #[track_caller]
    pub fn image(&self, name: &str) -> String {
        let rootfs = self.rootfs().into_os_string();
        let words: [&OsStr; 5] = ["init".as_ref(), "-q".as_ref(), "--name".as_ref(), name.as_ref(), &rootfs];
        self.ok(&words)
    }

    /// A backend that is not the lane's, and works wherever that one does.
    pub fn another_backend(&self) -> &'static str {
        // The last ones need the least.
        BACKENDS.into_iter().rev().find(|name| *name != self.lane.backend()).expect("one of three")
    }

    /// The records of images, by id.
    pub fn images(&self) -> serde_json::Value {
        self.json(&["images", "--format", "json"])
    }

    /// The records of containers.
    pub fn containers(&self) -> serde_json::Value {
        self.json(&["ps", "--format", "json"])
    }

    #[track_caller]
    fn json(&self, words: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(words)).expect("valid JSON")
    }

    /// The record of a container or an image, by id or name.
    #[track_caller]
    pub fn record(&self, object: &str) -> Option<serde_json::Value> {
        let tagged = format!("{object}:latest");
        let is_it = |record: &serde_json::Value| {
            let name = record["name"].as_str().unwrap_or_default();
            record["id"] == object || name == object || name == tagged
        };
        let mut all = Vec::new();
        for list in [self.containers(), self.images()] {
            all.extend(list.as_array().cloned().unwrap_or_default());
        }
        all.into_iter().find(is_it)
    }

    /// Shows trees over one another, the topmost first, until the case is over.
    pub(crate) fn show_overlay(&self, lower: &[PathBuf]) -> PathBuf {
        let lower: Vec<_> = lower.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        let view = self.directory.join(format!("view-{}", views.len()));
        std::fs::create_dir(&view).expect("make a directory");
        let options = format!("ro,redirect_dir=nofollow,lowerdir={}", lower.join(":"));
        crate::site::run(Command::new("mount").args(["-t", "overlay", "-o", &options, "view"]).arg(&view))
            .expect("show an overlay");
        views.push(view.clone());
        view
    }

    pub(crate) fn store(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.root.join("mocker.db")).expect("open the records")
    }

    /// What the lane's backend keeps under a number.
    pub fn node(&self, number: u64) -> PathBuf {
        self.nodes_directory(self.lane.backend()).join(number.to_string()).join("fs")
    }

    pub(crate) fn nodes_directory(&self, backend: &str) -> PathBuf {
        self.root.join(backend).join("nodes")
    }

    /// What a user can see now.
    #[track_caller]
    pub fn state(&self) -> State {
        State {
            images: self.images(),
            containers: self.containers(),
            nodes: self.node_numbers(),
            container_directories: names_in(&self.root.join("containers")),
            leases: names_in(&self.root.join("leases")).len(),
        }
    }

    /// Those of all backends, which share their numbers: what is seen in their
    /// directories, and what somebody else's says.
    pub(crate) fn node_numbers(&self) -> Vec<u64> {
        let names = BACKENDS.iter().flat_map(|backend| names_in(&self.nodes_directory(backend)));
        let mut nodes: Vec<u64> = names.filter_map(|name| name.parse().ok()).collect();
        if !BACKENDS.contains(&self.lane.backend()) && self.root.exists() {
            let list = complete(self.open_backend().list()).expect("list the nodes");
            nodes.extend(list.iter().map(|node| node.0));
        }
        nodes.sort_unstable();
        nodes
    }

    pub(crate) fn note(&self, call: String) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(call);
    }

    /// The commands that the case ran, and what they said.
    pub(crate) fn journal(&self) -> String {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// What there is now, for people; whatever cannot be read is left out.
    pub(crate) fn told(&self) -> String {
        let mut told = BTreeMap::new();
        for verb in ["images", "ps"] {
            told.insert(verb, self.mocker(&[verb, "--format", "json"]).run().out());
        }
        format!("nodes: {:?}\n{told:#?}\n{}", self.node_numbers(), self.listing())
    }

    /// What lies in the root, the trees of the nodes included, as far as it is
    /// worth reading.
    fn listing(&self) -> String {
        const DEEP: usize = 7;
        const LINES: usize = 120;
        let found = walkdir::WalkDir::new(&self.root).max_depth(DEEP).sort_by_file_name();
        let line = |entry: walkdir::DirEntry| {
            let path =
                entry.path().strip_prefix(&self.root).unwrap_or(entry.path()).to_string_lossy().into_owned();
            let meta = entry.metadata().map(|meta| (meta.mode(), meta.size()));
            let (mode, size) = meta.unwrap_or_default();
            format!("{mode:6o} {size:9} {}\n", path.escape_default())
        };
        found.into_iter().flatten().take(LINES).map(line).collect()
    }

    /// Ends the case.
    ///
    /// # Errors
    /// What it leaves behind: processes, mounts, loop devices.
    pub(crate) fn close(self) -> Result<(), String> {
        let nodes = BACKENDS.iter().map(|backend| self.nodes_directory(backend));
        let trees: Vec<_> = nodes
            .flat_map(|nodes| names_in(&nodes).into_iter().map(move |name| nodes.join(name).join("fs")))
            .collect();
        let processes = leaks::processes_in(&trees);
        for view in self.views.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            crate::site::unmount(view)?;
        }
        let pool = self.root.join("btrfs");
        let mut mounts = leaks::mounts_below(&self.directory);
        // Its pool stays mounted between commands; anything else is a leak.
        if let Some(place) = mounts.iter().position(|mount| *mount == pool) {
            mounts.remove(place);
            crate::site::unmount(&pool)?;
        }
        let devices = leaks::loop_devices_below(&self.directory);
        if !(processes.is_empty() && mounts.is_empty() && devices.is_empty()) {
            // Told below; the lane and its other cases go on without them.
            for mount in &mounts {
                let _gone = crate::site::run(Command::new("umount").arg("--lazy").arg(mount));
            }
            return Err(format!(
                "left behind: processes {processes:?}, mounts {mounts:?}, loop devices {devices:?}"
            ));
        }
        if pool.join("nodes").exists() {
            // Subvolumes that lie right there go with the lane's whole file system.
            return Ok(());
        }
        let started = Instant::now();
        while let Err(error) = std::fs::remove_dir_all(&self.directory) {
            // What was removed last may just be freed in the background.
            if started.elapsed() > PATIENCE {
                return Err(format!("cannot remove '{}': {error}", self.directory.display()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Where the lane's file system is mounted.
    pub fn site(&self) -> &Path {
        self.site.path()
    }
}

/// The names in a directory, sorted; none where it does not exist.
pub(crate) fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}
