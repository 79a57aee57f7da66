//! F34, F35: what the first change of a large file from a layer beneath writes.
//!
//! Measured is what the thread makes the kernel write
//! (`write_bytes` of Documentation/filesystems/proc.rst: counted when a page is
//! made dirty, so that neither other cases nor delays disturb it). A backend that
//! copied in another process or thread would have to be measured at the disk.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use mocker_core::CopyupUnit;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::script::Action;

use super::{Open, make_file};
use crate::edit::Edit;

pub(super) fn cases() -> Vec<Case> {
    cases![
        f34_a_byte_appended_to_a_large_file_writes_what_is_declared,
        f35_mode_and_owner_of_a_large_file_write_what_is_declared,
    ]
}

/// How large the file is.
fn size() -> u64 {
    if crate::soaks() { 1 << 30 } else { 64 << 20 }
}

/// What a change may take beside data: blocks of records, and of the change
/// itself; for a shared file, the records of its extents.
const RECORDS: u64 = 4 << 20;

/// What this thread has made the kernel write.
fn bytes_written() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/io")
        .expect("a kernel that counts (CONFIG_TASK_IO_ACCOUNTING)");
    let count = told.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    count.parse().unwrap()
}

/// A large file that is beneath and on the disk, so that nothing of it has to be
/// written any more.
fn with_large_file(fixture: &Fixture) -> Open {
    let piece = |at| Edit::Write { path: "large".into(), at, length: 1 << 20, byte: b'x' };
    let mut story = vec![make_file("large")];
    story.extend((0..size() >> 20).map(|number| Action::Edit(piece(number << 20))));
    let open = Open::over(fixture, &story);
    rustix::fs::syncfs(open.view().top()).unwrap();
    open
}

#[track_caller]
fn assert_written(what: &str, written: u64, whole: bool) {
    if whole {
        assert!(written >= size(), "{what} wrote {written} bytes, and a copy is declared");
    } else {
        assert!(written < RECORDS, "{what} wrote {written} bytes, and no copy is declared");
    }
}

/// Overlay drivers copy a whole file for one byte of it, as several studies of
/// them measured.
fn f34_a_byte_appended_to_a_large_file_writes_what_is_declared(fixture: &Fixture) {
    let open = with_large_file(fixture);
    let copies = open.nodes.capabilities().copyup_unit == CopyupUnit::File;
    for whole in [copies, false] {
        let before = bytes_written();
        let mut file = OpenOptions::new().append(true).open(open.path("large")).unwrap();
        file.write_all(b"1").unwrap();
        file.sync_all().unwrap();
        let written = bytes_written() - before;
        assert_written("one byte", written, whole);
    }
    assert_eq!(open.path("large").metadata().unwrap().len(), size() + 2);
}

type Change = (&'static str, fn(&Path));

const CHANGES: [Change; 2] = [
    ("chmod", |path| std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap()),
    ("chown", |path| chown(path, Some(1), Some(2)).unwrap()),
];

/// OpenShift and Docker for Linux filled disks with a `chown -R` of an image.
fn f35_mode_and_owner_of_a_large_file_write_what_is_declared(fixture: &Fixture) {
    let capabilities = fixture.capabilities();
    let copies = capabilities.metadata_change_copies_data && capabilities.copyup_unit == CopyupUnit::File;
    for (what, change) in CHANGES {
        let open = with_large_file(fixture);
        for whole in [copies, false] {
            let before = bytes_written();
            change(&open.path("large"));
            rustix::fs::syncfs(open.view().top()).unwrap();
            assert_written(what, bytes_written() - before, whole);
        }
        open.remove();
    }
}
