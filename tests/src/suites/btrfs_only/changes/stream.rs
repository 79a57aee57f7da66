//! What the kernel says was touched between two subvolumes: the stream of
//! `BTRFS_IOC_SEND` without file data, as `btrfs send --no-data` prints it.
//!
//! Wherever an inode differs, there is a command for it, a `utimes` at least
//! (seen with every kind of change on Linux 6.18). But a path in it is one at that
//! moment, between renames; of a file with several names there is one; and what
//! is beneath a directory that moved is not there at all. So the renames are
//! followed, names are found by their inodes, and what lies beneath counts too.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use mocker_core::change::{Change, Kind};

/// `BTRFS_SEND_STREAM_MAGIC` of fs/btrfs/send.h, behind which is the version.
const MAGIC: &[u8] = b"btrfs-stream\0";

/// `BTRFS_SEND_C_…` and `BTRFS_SEND_A_…` of the same file, which are wanted.
const RENAME: u16 = 9;
const PATH: u16 = 15;
const PATH_TO: u16 = 16;
const PATH_LINK: u16 = 17;

/// One command: what it does, and its paths in the order of their attributes.
struct Sent {
    kind: u16,
    paths: Vec<PathBuf>,
}

/// What was touched, as it was called before and as it is called now.
#[derive(Debug, Default)]
pub(super) struct Touched {
    before: HashSet<PathBuf>,
    now: HashSet<PathBuf>,
    /// What moved, with all beneath it.
    moved_from: HashSet<PathBuf>,
    moved_to: HashSet<PathBuf>,
    inodes: HashSet<u64>,
    trees: [PathBuf; 2],
}

/// Asks the kernel what differs between two subvolumes that are read-only.
#[track_caller]
pub(super) fn touched(older: &Path, newer: &Path) -> Touched {
    let mut send = Command::new("btrfs");
    send.args(["send", "--quiet", "--no-data", "-p"]).arg(older).arg(newer);
    let output = send.output().unwrap();
    assert!(output.status.success(), "{send:?}: {}", String::from_utf8_lossy(&output.stderr));
    let commands = parse(&output.stdout);
    let mut touched = Touched { trees: [older.to_owned(), newer.to_owned()], ..Touched::default() };
    for (at, command) in commands.iter().enumerate() {
        for path in &command.paths {
            let (before, now) = (before(path, &commands[..at]), now(path, &commands[at + 1..]));
            if command.kind == RENAME {
                touched.moved_from.insert(before.clone());
                touched.moved_to.insert(now.clone());
            }
            touched.before.insert(before);
            touched.now.insert(now);
        }
    }
    for (tree, paths) in touched.trees.iter().zip([&touched.before, &touched.now]) {
        let found = paths.iter().filter_map(|path| tree.join(path).symlink_metadata().ok());
        touched.inodes.extend(found.map(|meta| meta.ino()));
    }
    touched
}

/// Header: magic, version. Command: length (4 bytes), kind (2), checksum (4), then
/// so many bytes of attributes: kind, length (2 each), value.
fn parse(stream: &[u8]) -> Vec<Sent> {
    let number = |at: usize| u16::from_le_bytes(stream[at..at + 2].try_into().unwrap());
    assert!(stream.starts_with(MAGIC), "no stream: {:?}", &stream[..stream.len().min(20)]);
    let mut commands = Vec::new();
    let mut at = MAGIC.len() + 4;
    while at < stream.len() {
        let length = u32::from_le_bytes(stream[at..at + 4].try_into().unwrap());
        let (kind, mut inner) = (number(at + 4), at + 10);
        let end = inner + usize::try_from(length).unwrap();
        let mut paths = Vec::new();
        while inner < end {
            let (attribute, length) = (number(inner), usize::from(number(inner + 2)));
            let value = &stream[inner + 4..inner + 4 + length];
            if [PATH, PATH_TO, PATH_LINK].contains(&attribute) {
                paths.push(PathBuf::from(OsStr::from_bytes(value)));
            }
            inner += 4 + length;
        }
        commands.push(Sent { kind, paths });
        at = end;
    }
    commands
}

/// What a path was called before these commands.
fn before(path: &Path, done: &[Sent]) -> PathBuf {
    done.iter().rev().filter(|command| command.kind == RENAME).fold(path.to_owned(), |path, command| {
        let [from, to] = command.paths.as_slice() else { return path };
        moved(&path, to, from).unwrap_or(path)
    })
}

/// What it is called after them.
fn now(path: &Path, coming: &[Sent]) -> PathBuf {
    coming.iter().filter(|command| command.kind == RENAME).fold(path.to_owned(), |path, command| {
        let [from, to] = command.paths.as_slice() else { return path };
        moved(&path, from, to).unwrap_or(path)
    })
}

fn moved(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    let rest = path.strip_prefix(from).ok()?;
    Some(if rest == Path::new("") { to.to_owned() } else { to.join(rest) })
}

impl Touched {
    /// Whether the kernel knows of something at the place of a change.
    pub(super) fn covers(&self, change: &Change) -> bool {
        let path = &change.path;
        let (named, moved) = match change.kind {
            Kind::Deleted => (&self.before, &self.moved_from),
            _ => (&self.now, &self.moved_to),
        };
        let inode = |tree: &PathBuf| tree.join(path).symlink_metadata().map(|meta| meta.ino());
        let mut inodes = self.trees.iter().filter_map(|tree| inode(tree).ok());
        named.contains(path)
            || path.ancestors().any(|above| above != Path::new("") && moved.contains(above))
            || inodes.any(|inode| self.inodes.contains(&inode))
    }
}

impl fmt::Display for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { before, now, moved_from, moved_to, .. } = self;
        write!(f, "before: {before:?}\nnow: {now:?}\nmoved: {moved_from:?} to {moved_to:?}")
    }
}
