//! Subvolumes that were made inside a container: never an empty directory in
//! the image.

use std::path::Path;
use std::process::Command;

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::worked;
use crate::suites::living;

/// For the lanes of btrfs alone: that none can be made elsewhere, or what becomes of
/// them, is for S11 and the area `declared` to say.
pub(crate) fn cases() -> Vec<Case> {
    cases![
        nested_subvolumes_refuse_a_commit_by_their_paths,
        flattened_subvolumes_keep_all_that_is_in_them,
        subvolumes_of_a_running_container_are_not_flattened,
        a_subvolume_that_went_again_refuses_nothing,
        a_container_with_subvolumes_can_be_removed,
    ]
}

#[track_caller]
fn btrfs(words: &[&str], paths: &[&Path]) {
    let output = Command::new("btrfs").args(words).args(paths).output().unwrap();
    assert!(output.status.success(), "btrfs {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Makes four in the tree of `work`: one with everything in it, one inside that
/// one, a snapshot, and an empty one. Answers their paths in the container.
fn make(fixture: &Fixture) -> [&'static str; 4] {
    worked(fixture, "mkdir -p /srv/data");
    let work = fixture.tree("work");
    let outer = work.join("srv/data/outer");
    btrfs(&["subvolume", "create"], &[&outer]);
    let script =
        "cd \"$1\"; echo content > file; ln file link; ln -s file symbolic; mkfifo fifo; mknod null c 1 3
        truncate -s 1G hole; printf x >> hole; dd if=/dev/urandom of=much bs=1M count=3 2>/dev/null
        setfattr -n user.mark -v value file; setfattr -n user.mark -v value .; setfacl -m u:7:rw file
        chmod 2755 .; chown 5:6 . file; mkdir directory; touch -d @1000000000.123456789 file directory .";
    let made = Command::new("sh").args(["-ec", script, "sh"]).arg(&outer).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    btrfs(&["subvolume", "snapshot", "-r"], &[&outer, &work.join("snapshot")]);
    btrfs(&["subvolume", "create"], &[&outer.join("directory/inner")]);
    std::fs::write(outer.join("directory/inner/deep"), "deep").unwrap();
    btrfs(&["subvolume", "create"], &[&work.join("empty\nname")]);
    ["/srv/data/outer", "/srv/data/outer/directory/inner", "/snapshot", "/empty\\nname"]
}

fn nested_subvolumes_refuse_a_commit_by_their_paths(fixture: &Fixture) {
    let paths = make(fixture);
    let (state, tree) = (fixture.state(), oracle::look(&fixture.tree("work")));
    for target in [&["work"][..], &["work", "base"], &["work", "other"]] {
        let said = fixture.fails(&[&["commit"], target].concat(), 1);
        for path in paths {
            assert!(said.contains(path), "nothing is said of {path}: {said}");
        }
        assert!(said.contains("--flatten-subvolumes"), "no way out is named: {said}");
        assert_eq!(fixture.state(), state);
    }
    oracle::assert_equal(&tree, &oracle::look(&fixture.tree("work")));
    fixture.assert_consistent();
}

fn flattened_subvolumes_keep_all_that_is_in_them(fixture: &Fixture) {
    make(fixture);
    let before = oracle::look(&fixture.tree("work"));
    fixture.ok(&["commit", "--flatten-subvolumes", "work", "flat"]);
    oracle::assert_equal(&before, &oracle::look(&fixture.tree("flat")));
    // The container is as it was, and its subvolumes are still some.
    oracle::assert_equal(&before, &oracle::look(&fixture.tree("work")));
    fixture.fails(&["commit", "work", "other"], 1);
    let script =
        "cat /srv/data/outer/link /srv/data/outer/directory/inner/deep; rm -r /srv /snapshot && echo removed";
    assert_eq!(fixture.ok(&["run", "--name", "next", "flat", "sh", "-c", script]), "content\ndeepremoved");
    // What is committed next needs no flattening.
    fixture.ok(&["commit", "next", "flat"]);
    assert!(!fixture.tree("flat").join("snapshot").exists());
    // Where there is nothing to flatten, the option does no harm.
    fixture.ok(&["commit", "--flatten-subvolumes", "next", "flat"]);
    oracle::assert_same(&fixture.tree("next"), &fixture.tree("flat"));
    fixture.assert_consistent();
}

fn subvolumes_of_a_running_container_are_not_flattened(fixture: &Fixture) {
    fixture.image("base");
    let job = living::start(fixture, &[], living::UNTIL_ENDED);
    btrfs(&["subvolume", "create"], &[&fixture.tree("work").join("nested")]);
    let state = fixture.state();
    let said = fixture.fails(&["commit", "work", "flat"], 1);
    assert!(said.contains("/nested"), "{said}");
    let said = fixture.fails(&["commit", "--flatten-subvolumes", "work", "flat"], 1);
    assert!(said.contains("runs") && said.contains("\n  try: "), "{said}");
    assert_eq!(fixture.state(), state);
    living::end(fixture, job).ok();
    fixture.ok(&["commit", "--flatten-subvolumes", "work", "flat"]);
    assert!(fixture.tree("flat").join("nested").is_dir());
    fixture.assert_consistent();
}

fn a_subvolume_that_went_again_refuses_nothing(fixture: &Fixture) {
    worked(fixture, "true");
    let nested = fixture.tree("work").join("nested");
    btrfs(&["subvolume", "create"], &[&nested]);
    std::fs::write(nested.join("file"), "").unwrap();
    fixture.fails(&["commit", "work", "made"], 1);
    btrfs(&["subvolume", "delete"], &[&nested]);
    fixture.ok(&["commit", "work", "made"]);
    oracle::assert_same(&fixture.tree("work"), &fixture.tree("made"));
}

fn a_container_with_subvolumes_can_be_removed(fixture: &Fixture) {
    make(fixture);
    let work = fixture.tree("work");
    fixture.ok(&["rm", "work"]);
    assert!(!work.exists());
    fixture.assert_consistent();
}
