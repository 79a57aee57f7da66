//! C5: what a commit of a stopped container costs.
//!
//! The disk's own counters tell what was written; how long it takes is for the
//! benchmark to say.

use std::path::Path;
use std::process::Command;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::lane::Ground;
use mocker_core::backend::{CommitCost, Layers};

pub(super) fn cases() -> Vec<Case> {
    // Whatever else writes to the file system would be counted.
    vec![Case { name: "c5_a_commit_writes_what_is_declared", run: written, alone: true }]
}

/// What a container changes before each commit, in MiB.
const CHANGES: [u64; 3] = [0, 10, 1000];

/// What records may take: some pages of the store and of its log, a transaction
/// of the file system; and half of what the smallest change would take.
const RECORDS: u64 = 5 << 20;

fn written(fixture: &Fixture) {
    fixture.image("base");
    let constant = fixture.capabilities().commit_cost == CommitCost::Constant;
    for change in CHANGES {
        // Zeros take blocks like anything else: nothing here compresses or looks for holes.
        let script = format!(
            "if test -e /new; then echo more > /more; exit; fi; mkdir /new; \
             dd if=/dev/zero of=/new/{change} bs=1M count={change} 2>/dev/null; sync"
        );
        fixture.ok(&["run", "--name", "work", "base", "sh", "-c", &script]);
        settle(fixture.site());
        let before = bytes_written(fixture.site());
        fixture.ok(&["commit", "work", "result"]);
        settle(fixture.site());
        let written = bytes_written(fixture.site()) - before;
        if constant {
            assert!(written < RECORDS, "a commit of {change} MiB wrote {written} bytes");
        } else if change > 10 && fixture.lane().ground().kind() == Ground::Ext4 {
            // Elsewhere the file system can share what is copied.
            assert!(written > change << 20, "{change} MiB cost only {written} bytes, and more is declared");
        }
        assert_eq!(
            fixture.tree("result").join(format!("new/{change}")).metadata().unwrap().len(),
            change << 20
        );
        lives_on(fixture, change);
        fixture.ok(&["rm", "--wait", "work", "result"]);
    }
}

/// The container runs again, and its next commit holds only what is new.
fn lives_on(fixture: &Fixture, change: u64) {
    fixture.ok(&["start", "work"]);
    fixture.ok(&["commit", "work", "result"]);
    let tree = fixture.tree("result");
    assert_eq!(std::fs::read_to_string(tree.join("more")).unwrap(), "more\n");
    assert!(tree.join(format!("new/{change}")).exists());
    if fixture.capabilities().layers == Layers::Delta {
        let images = fixture.images();
        let named = |record: &&serde_json::Value| record["name"] == "result:latest";
        let layer = images.as_array().unwrap().iter().find(named).unwrap()["layer"].as_u64().unwrap();
        let layer = fixture.node(layer);
        let found = walkdir::WalkDir::new(&layer).min_depth(1).into_iter().map(|entry| entry.unwrap());
        let files: Vec<_> =
            found.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect();
        assert_eq!(
            files.iter().map(|file| file.file_name().unwrap()).collect::<Vec<_>>(),
            ["more"],
            "{files:?}"
        );
    }
}

/// Writes everything out, and lets what goes on in the background end.
pub(super) fn settle(site: &Path) {
    for _ in 0..3 {
        assert!(Command::new("sync").arg("-f").arg(site).status().unwrap().success());
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

/// Bytes that the disk beneath a mount was ever given to write
/// (Documentation/block/stat.rst: field 7, in sectors of 512 bytes).
pub(super) fn bytes_written(site: &Path) -> u64 {
    let found = Command::new("findmnt").args(["-no", "SOURCE", "-T"]).arg(site).output().unwrap();
    let source = String::from_utf8(found.stdout).unwrap();
    let device = Path::new(source.trim()).file_name().unwrap();
    let stat = std::fs::read_to_string(Path::new("/sys/class/block").join(device).join("stat")).unwrap();
    stat.split_whitespace().nth(6).unwrap().parse::<u64>().unwrap() * 512
}
