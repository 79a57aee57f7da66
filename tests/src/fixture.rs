//! What a case works with: a root of its own in a fresh directory, the program
//! under test, and a look at what there is.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub use crate::lane::Lane;
use crate::lane::Site;
use crate::{leaks, rootfs};

/// How long the program may go on freeing space behind our back.
const PATIENCE: Duration = Duration::from_secs(10);

/// Every backend; a root can have nodes of several.
pub const BACKENDS: [&str; 3] = ["btrfs", "overlay", "copy"];

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
    calls: Mutex<Vec<String>>,
    views: Mutex<Vec<PathBuf>>,
    site: Arc<Site>,
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit status; 128 and the number where a signal ended it.
    pub code: i32,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// The standard output as text, without the white space at its ends.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// The standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
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
            calls: Mutex::default(),
            views: Mutex::default(),
            site,
        })
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
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"MOCKER_") {
                command.env_remove(name);
            }
        }
        command.env("MOCKER_ROOT", &self.root).env("MOCKER_BACKEND", self.lane.backend());
        Call { fixture: self, command, stdin: Vec::new() }
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

    /// A directory on the host that shows the tree of a container or image as
    /// it is now. What is written into that of a running container is seen
    /// there; others are for reading.
    #[track_caller]
    pub fn tree(&self, object: &str) -> PathBuf {
        let record = self.record(object).unwrap_or_else(|| panic!("there is no '{object}'"));
        let node = record["work"].as_u64().or(record["layer"].as_u64()).expect("a node's number");
        // An image may have been converted to another backend than the lane's.
        let backend = record["backend"].as_str().expect("a backend's name");
        let changes = |node: u64| self.nodes_directory(backend).join(node.to_string()).join("fs");
        if backend != "overlay" {
            return changes(node);
        }
        if let Some(pid) = record["pid"].as_u64() {
            return format!("/proc/{pid}/root").into();
        }
        // Each layer holds the difference to the one beneath.
        let store = self.store();
        let mut beneath: Option<u64> = Some(node);
        if record["work"].is_u64() {
            let query = "SELECT base FROM container WHERE work = ?1";
            beneath = store.query_row(query, [node], |row| row.get(0)).expect("a container");
        }
        let mut lower = if record["work"].is_u64() { vec![changes(node)] } else { Vec::new() };
        while let Some(layer) = beneath {
            lower.push(changes(layer));
            let query = "SELECT parent FROM node WHERE id = ?1";
            beneath = store.query_row(query, [layer], |row| row.get(0)).expect("a layer");
        }
        // The kernel wants two at least.
        lower.push(self.root.join("overlay/empty"));
        let lower: Vec<_> = lower.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        let view = self.directory.join(format!("view-{}", views.len()));
        std::fs::create_dir(&view).expect("make a directory");
        let options = format!("ro,redirect_dir=nofollow,lowerdir={}", lower.join(":"));
        crate::lane::run(Command::new("mount").args(["-t", "overlay", "-o", &options, "view"]).arg(&view))
            .expect("show an overlay");
        views.push(view.clone());
        view
    }

    fn store(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.root.join("mocker.db")).expect("open the records")
    }

    fn nodes_directory(&self, backend: &str) -> PathBuf {
        self.root.join(backend).join("nodes")
    }

    /// What a user can see now.
    #[track_caller]
    pub fn state(&self) -> State {
        State {
            images: self.images(),
            containers: self.containers(),
            nodes: self.nodes(),
            container_directories: names_in(&self.root.join("containers")),
            leases: names_in(&self.root.join("leases")).len(),
        }
    }

    /// Those of all backends, which share their numbers.
    fn nodes(&self) -> Vec<u64> {
        let names = BACKENDS.iter().flat_map(|backend| names_in(&self.nodes_directory(backend)));
        let mut nodes: Vec<u64> = names.filter_map(|name| name.parse().ok()).collect();
        nodes.sort_unstable();
        nodes
    }

    /// Asserts that the records and the storage agree, and that nothing of a
    /// dead command is left in either.
    #[track_caller]
    pub fn assert_consistent(&self) {
        // Whatever a dead command left, the next one cleans up.
        self.ok(&["ps", "-q"]);
        let store = self.store();
        let numbers = |query: &str| -> Vec<u64> {
            let mut statement = store.prepare(query).expect("a query");
            let rows = statement.query_map([], |row| row.get(0)).expect("rows");
            rows.collect::<Result<_, _>>().expect("numbers")
        };
        assert_eq!(numbers("SELECT id FROM intent"), [0; 0], "an intent is left");
        let known = numbers("SELECT id FROM node ORDER BY id");
        assert_eq!(self.nodes(), known, "the storage and the records know different nodes");
        let unfinished = "SELECT id FROM node WHERE role NOT IN ('layer', 'work')";
        assert_eq!(numbers(unfinished), [0; 0], "a node is neither a layer nor a work area");
        let lost = "SELECT layer FROM version WHERE layer NOT IN (SELECT id FROM node WHERE role = 'layer') \
                    UNION SELECT base FROM container WHERE base NOT IN (SELECT id FROM node WHERE role = 'layer') \
                    UNION SELECT work FROM container WHERE work NOT IN (SELECT id FROM node WHERE role = 'work')";
        assert_eq!(numbers(lost), [0; 0], "something stands on a node that is not there");
        let idle = "SELECT id FROM node WHERE role = 'work' AND id NOT IN (SELECT work FROM container)";
        assert_eq!(numbers(idle), [0; 0], "a work area belongs to no container");
        let containers = self.containers();
        let mut ids: Vec<_> =
            containers.as_array().into_iter().flatten().filter_map(|record| record["id"].as_str()).collect();
        ids.sort_unstable();
        assert_eq!(names_in(&self.root.join("containers")), ids, "directories and containers differ");
        for lease in names_in(&self.root.join("leases")) {
            let file = std::fs::File::open(self.root.join("leases").join(&lease));
            // It may be gone by now, with whoever held it.
            let free = file.is_ok_and(|file| file.try_lock().is_ok());
            assert!(!free || !self.root.join("leases").join(&lease).exists(), "lease {lease} is nobody's");
        }
    }

    fn note(&self, call: String) {
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
        format!("nodes: {:?}\n{told:#?}", self.nodes())
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
            crate::lane::run(Command::new("umount").arg(view))?;
        }
        let pool = self.root.join("btrfs");
        let mut mounts = leaks::mounts_below(&self.directory);
        // Its pool stays mounted between commands; anything else is a leak.
        if let Some(place) = mounts.iter().position(|mount| *mount == pool) {
            mounts.remove(place);
            crate::lane::run(Command::new("umount").arg(&pool))?;
        }
        let devices = leaks::loop_devices_below(&self.directory);
        if !(processes.is_empty() && mounts.is_empty() && devices.is_empty()) {
            return Err(format!(
                "left behind: processes {processes:?}, mounts {mounts:?}, loop devices {devices:?}"
            ));
        }
        if self.lane == Lane::BtrfsNative || pool.join("nodes").exists() {
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

/// A command that is about to run.
#[derive(Debug)]
pub struct Call<'a> {
    fixture: &'a Fixture,
    command: Command,
    stdin: Vec<u8>,
}

impl Call<'_> {
    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes a variable out of its environment.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// What it reads.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Output {
        let words: Vec<OsString> = self.command.get_args().map(OsStr::to_owned).collect();
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().expect("start the program under test");
        let mut pipe = child.stdin.take().expect("a pipe to it");
        let bytes = std::mem::take(&mut self.stdin);
        let writer = std::thread::spawn(move || {
            // It need not read everything.
            let _written = pipe.write_all(&bytes);
        });
        let output = child.wait_with_output().expect("wait for the program under test");
        writer.join().expect("the writing thread");
        let code =
            output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        self.fixture.note(format!("$ mocker {} → {code}\n{said}", shown(&words)));
        Output { code, stdout: output.stdout, stderr: output.stderr }
    }
}

fn shown<W: AsRef<OsStr>>(words: &[W]) -> String {
    words.iter().map(|word| word.as_ref().to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// The names in a directory, sorted; none where it does not exist.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}
