//! Real input: a Debian root file system goes through init, run, commit and
//! run, and is the same as before but for what was done to it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use crate::suites::background;

pub(super) fn cases() -> Vec<Case> {
    vec![Case {
        name: "a_debian_root_file_system_goes_through_init_run_commit_and_run",
        run: debian,
        alone: false,
    }]
}

/// Where it is, or will be.
const PLACE: &str = "MOCKER_TEST_DEBIAN";

/// Fewer entries are no Debian.
const LEAST: usize = 3000;

/// The root file system, made by whoever comes first: it takes a minute, and
/// the mirror.
fn rootfs() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let of_target = || {
            let own = std::env::current_exe().unwrap();
            own.ancestors().nth(3).unwrap().join("debian-rootfs")
        };
        let place = std::env::var_os(PLACE).map_or_else(of_target, PathBuf::from);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("debian-rootfs.sh");
        let output = Command::new("bash").arg(script).arg(&place).output().unwrap();
        assert!(
            output.status.success(),
            "cannot make a Debian root file system at {} ({PLACE} names one that is there):\n{}",
            place.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        place
    })
}

fn debian(fixture: &Fixture) {
    let source = rootfs();
    super::init(fixture, "debian", source);
    let expected = oracle::look(source);
    assert!(expected.len() > LEAST, "{} entries are no Debian", expected.len());
    oracle::assert_equal(&expected, &oracle::look(&fixture.tree("debian")));

    let script = "apt-get --version && touch /made-here";
    let ended = background::run(fixture, &["run", "--name", "work", "debian", "sh", "-c", script]);
    assert!(ended.ok().starts_with("apt "), "{ended:?}");
    background::run(fixture, &["commit", "work", "debian"]).ok();
    background::run(fixture, &["run", "--name", "again", "debian", "test", "-e", "/made-here"]).ok();

    let expected = expected.without_time("/");
    for object in ["work", "debian", "again"] {
        let found = oracle::look(&fixture.tree(object));
        assert!(found.has("/made-here"), "{object}");
        oracle::assert_equal(&expected, &found.without("/made-here").without_time("/"));
    }
    // Only the top may have another time, and it has that of the change.
    let made = fixture.tree("debian").join("made-here");
    let time = |path: &Path| std::fs::symlink_metadata(path).unwrap().modified().unwrap();
    assert!(time(made.parent().unwrap()) <= time(&made), "something was done at the top after the command");
    background::run(fixture, &["rm", "--wait", "work", "again", "debian"]).ok();
    fixture.assert_consistent();
}
