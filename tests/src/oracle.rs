//! Compares trees in everything that a file system keeps, by plain system
//! calls and nothing of the program that is tested.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, SeekFrom};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

/// Holes are compared in units of this, the smallest block of the file systems
/// that the lanes have.
const BLOCK: u64 = 4096;
const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];

/// Differences that are told; more would say nothing new.
const TOLD: usize = 50;

/// A tree: its entries by path, the top one being `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(BTreeMap<PathBuf, Entry>);

/// Everything that can be asked about an entry.
#[derive(Clone, PartialEq, Eq)]
struct Entry {
    kind: &'static str,
    mode: u32,
    owner: (u32, u32),
    /// In nanoseconds since 1970.
    modified: i128,
    size: u64,
    device: u64,
    /// The first path of the same inode, where it has several.
    linked_with: Option<PathBuf>,
    target: Option<PathBuf>,
    /// Of every block that is not all zeros, with its place; so that it says
    /// nothing of holes.
    content: Option<String>,
    /// Where there is data, in blocks: first, and first after it. What is
    /// between is holes.
    data: Vec<(u64, u64)>,
    attributes: BTreeMap<String, String>,
}

/// Looks at a whole tree.
pub fn look(top: &Path) -> Tree {
    let mut first_names: HashMap<(u64, u64), PathBuf> = HashMap::new();
    let mut entries = BTreeMap::new();
    for found in walkdir::WalkDir::new(top).sort_by_file_name() {
        let found = found.expect("walk the tree");
        let path = Path::new("/").join(found.path().strip_prefix(top).expect("a path below the top"));
        let meta = std::fs::symlink_metadata(found.path()).expect("look at an entry");
        let mut entry = look_at(found.path(), &meta);
        if entry.kind != "directory" && meta.nlink() > 1 {
            let first = first_names.entry((meta.dev(), meta.ino())).or_insert_with(|| path.clone());
            // Names outside the tree are none of its links, and so a first name alone is no group.
            if *first != path {
                entry.linked_with = Some(first.clone());
            }
        }
        entries.insert(path, entry);
    }
    Tree(entries)
}

fn look_at(path: &Path, meta: &std::fs::Metadata) -> Entry {
    let kind = match FileType::from_raw_mode(meta.mode()) {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "symlink",
        FileType::Fifo => "FIFO",
        FileType::Socket => "socket",
        FileType::CharacterDevice => "character device",
        FileType::BlockDevice => "block device",
        FileType::Unknown => "unknown",
    };
    let mut entry = Entry {
        kind,
        mode: meta.mode() & 0o7777,
        owner: (meta.uid(), meta.gid()),
        modified: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        // Of a directory it says how the file system keeps it.
        size: if kind == "directory" { 0 } else { meta.size() },
        device: if kind.ends_with("device") { meta.rdev() } else { 0 },
        linked_with: None,
        target: (kind == "symlink").then(|| std::fs::read_link(path).expect("read a link")),
        content: None,
        data: Vec::new(),
        attributes: attributes(path),
    };
    if kind == "file" {
        let (content, data) = contents(path, meta.size());
        (entry.content, entry.data) = (Some(content), data);
    }
    entry
}

fn contents(path: &Path, size: u64) -> (String, Vec<(u64, u64)>) {
    let file = File::open(path).expect("open a file");
    let mut hash = Sha256::new();
    let mut data: Vec<(u64, u64)> = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(&file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(errno) => panic!("cannot look for data in {}: {errno}", path.display()),
        };
        let end = rustix::fs::seek(&file, SeekFrom::Hole(start)).expect("look for a hole").min(size);
        let (first, after) = (start / BLOCK, end.div_ceil(BLOCK));
        match data.last_mut() {
            Some(last) if last.1 >= first => last.1 = after,
            _ => data.push((first, after)),
        }
        let mut here = first * BLOCK;
        while here < end {
            let most = buffer.len().min(usize::try_from(end - here).unwrap_or(usize::MAX));
            file.read_exact_at(&mut buffer[..most], here).expect("read a file");
            for block in buffer[..most].chunks(ZEROS.len()) {
                if *block != ZEROS[..block.len()] {
                    hash.update((here / BLOCK).to_le_bytes());
                    hash.update(block);
                }
                here += block.len() as u64;
            }
        }
        at = end;
    }
    (hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(), data)
}

fn attributes(path: &Path) -> BTreeMap<String, String> {
    let mut names = vec![0; 1 << 16];
    let length = match rustix::fs::llistxattr(path, &mut names) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => 0,
        Err(errno) => panic!("cannot list the attributes of {}: {errno}", path.display()),
    };
    let mut found = BTreeMap::new();
    // XFS shows each ACL a second time, as it keeps it; what the ACL says is compared as it is.
    let told = |name: &&[u8]| !name.is_empty() && !name.starts_with(b"trusted.SGI_ACL_");
    for name in names[..length].split(|byte| *byte == 0).filter(told) {
        let mut value = vec![0; 1 << 16];
        let length = rustix::fs::lgetxattr(path, name, &mut value).expect("read an attribute");
        found.insert(name.escape_ascii().to_string(), value[..length].escape_ascii().to_string());
    }
    found
}

/// How the second tree differs from the first; empty where it does not.
pub fn differences(one: &Tree, other: &Tree) -> Vec<String> {
    let mut told = Vec::new();
    for (path, entry) in &one.0 {
        match other.0.get(path) {
            None => told.push(format!("{} is missing: {entry:?}", shown(path))),
            Some(found) if found == entry => {}
            Some(found) => told.push(format!("{}\n  was {entry:?}\n  is  {found:?}", shown(path))),
        }
    }
    for (path, entry) in other.0.iter().filter(|(path, _)| !one.0.contains_key(*path)) {
        told.push(format!("{} is new: {entry:?}", shown(path)));
    }
    told.truncate(TOLD);
    told
}

/// In what the second tree differs from the first, as a list of changes has to
/// say it, hard links aside: for each path what became of it, in words. A
/// directory that is gone is told without what was in it.
pub(crate) fn changes(one: &Tree, other: &Tree, holes: bool) -> BTreeMap<PathBuf, Vec<String>> {
    let stays = |path: &Path| match (one.0.get(path), other.0.get(path)) {
        (Some(entry), Some(found)) => entry.kind == found.kind,
        _ => false,
    };
    let mut told: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for path in one.0.keys().filter(|path| !stays(path) && path.parent().is_none_or(&stays)) {
        told.entry(path.clone()).or_default().push("deleted".to_owned());
    }
    for path in other.0.keys().filter(|path| !stays(path)) {
        told.entry(path.clone()).or_default().push("added".to_owned());
    }
    for (path, entry) in one.0.iter().filter(|(path, _)| stays(path)) {
        let found = &other.0[path];
        let held = |entry: &Entry| (entry.size, entry.device, entry.target.clone(), entry.content.clone());
        let same = held(entry) == held(found);
        let aspects = [
            ("content", !same),
            ("mode", entry.mode != found.mode),
            ("owner", entry.owner != found.owner),
            ("mtime", entry.modified != found.modified),
            ("xattr", entry.attributes != found.attributes),
            ("holes", same && holes && entry.data != found.data),
        ];
        let differing: Vec<_> =
            aspects.iter().filter(|(_, differs)| *differs).map(|(word, _)| (*word).to_owned()).collect();
        if !differing.is_empty() {
            told.insert(path.clone(), differing);
        }
    }
    told
}

/// Asserts that two trees are the same in everything.
#[track_caller]
pub fn assert_same(one: &Path, other: &Path) {
    assert_equal(&look(one), &look(other));
}

/// Asserts that two trees that were looked at are the same in everything.
#[track_caller]
pub fn assert_equal(expected: &Tree, found: &Tree) {
    let differences = differences(expected, found);
    assert!(differences.is_empty(), "the trees differ:\n{}", differences.join("\n"));
}

impl Tree {
    /// How many entries there are, the top one included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none, which no tree is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tree without one entry, for expected differences.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.0.remove(Path::new(path));
        self
    }

    /// The tree with the time of one entry forgotten, where that is expected to
    /// differ.
    #[must_use]
    pub fn without_time(mut self, path: &str) -> Self {
        if let Some(entry) = self.0.get_mut(Path::new(path)) {
            entry.modified = 0;
        }
        self
    }

    /// The tree with all holes forgotten, which read as zeros: for where they
    /// may be filled.
    #[must_use]
    pub fn without_holes(mut self) -> Self {
        for entry in self.0.values_mut() {
            entry.data.clear();
        }
        self
    }

    /// How long the file at a path is; 0 for anything else.
    pub(crate) fn file_size(&self, path: &Path) -> u64 {
        self.0.get(path).filter(|entry| entry.kind == "file").map_or(0, |entry| entry.size)
    }

    /// Whether a path is there.
    pub fn has(&self, path: &str) -> bool {
        self.0.contains_key(Path::new(path))
    }
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_default().to_string()
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, mode, owner: (uid, gid), modified, size, .. } = self;
        write!(f, "{kind} {mode:o} {uid}:{gid} {size} bytes, modified {modified}")?;
        if self.device != 0 {
            write!(f, ", device {:#x}", self.device)?;
        }
        if let Some(first) = &self.linked_with {
            write!(f, ", linked with {}", shown(first))?;
        }
        if let Some(target) = &self.target {
            write!(f, ", to {}", shown(target))?;
        }
        if let Some(content) = &self.content {
            write!(f, ", sha256 {content}, data in blocks {:?}", self.data)?;
        }
        if !self.attributes.is_empty() {
            write!(f, ", attributes {:?}", self.attributes)?;
        }
        Ok(())
    }
}
