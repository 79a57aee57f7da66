//! The list as JSON.

use std::os::unix::ffi::OsStrExt;

use mocker_core::Result;
use mocker_core::change::{Aspect, Change, Kind};
use mocker_core::engine::{Diff, Side};
use rustix::fs::FileType;
use serde::{Serialize, Serializer};

use super::Summary;
use crate::output;

#[derive(Serialize)]
struct Record<'a> {
    from: &'a Option<Side>,
    to: &'a Side,
    frozen: bool,
    summary: &'a Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Changes<'a>>,
}

/// Made one by one: there may be many.
struct Changes<'a>(&'a [Change]);

impl Serialize for Changes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(entry))
    }
}

#[derive(Serialize)]
struct Entry {
    path: String,
    /// The path as it is, where it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<Vec<u8>>,
    kind: &'static str,
    #[serde(rename = "type")]
    file_type: &'static str,
    /// In what it differs; nothing where it came or went.
    what: Vec<Aspect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_before: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

/// Shows what differs, and the changes one by one if wanted.
pub(super) fn show(diff: &Diff, summary: &Summary, one_by_one: bool) -> Result<()> {
    let changes = one_by_one.then_some(Changes(&diff.changes));
    output::json(&Record { from: &diff.from, to: &diff.to, frozen: diff.frozen, summary, changes })
}

fn entry(change: &Change) -> Entry {
    let path = format!("/{}", change.path.display());
    let is_file = change.file_type == FileType::RegularFile;
    let what = match change.kind {
        Kind::Modified(what) => what.aspects().collect(),
        Kind::Added | Kind::Deleted => Vec::new(),
    };
    Entry {
        path_bytes: change
            .path
            .to_str()
            .is_none()
            .then(|| [b"/", change.path.as_os_str().as_bytes()].concat()),
        path,
        kind: match change.kind {
            Kind::Added => "added",
            Kind::Deleted => "deleted",
            Kind::Modified(_) => "changed",
        },
        file_type: match change.file_type {
            FileType::RegularFile => "file",
            FileType::Directory => "directory",
            FileType::Symlink => "symlink",
            FileType::Fifo => "fifo",
            FileType::Socket => "socket",
            FileType::CharacterDevice => "character-device",
            FileType::BlockDevice => "block-device",
            FileType::Unknown => "unknown",
        },
        what,
        size: is_file.then_some(change.size),
        size_before: (is_file && matches!(change.kind, Kind::Modified(_))).then_some(change.size_before),
        link: change.link.as_ref().map(|link| format!("/{}", link.display())),
    }
}
