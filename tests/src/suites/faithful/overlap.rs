//! A directory that holds the root, or lies in it, is refused, by whatever way
//! it is reached: the copy would never end, or take other people's images
//! along.

use std::ffi::OsStr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::oracle;

use super::{Mounted, rootfs_at};
use crate::suites::background;

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run| Case { name, run, alone: false };
    vec![
        case("a_directory_that_holds_the_root_is_refused", holding),
        case("a_directory_in_the_root_is_refused", inside),
        case("a_directory_in_the_root_is_refused_behind_a_bind_mount", inside_behind_a_mount),
        case("a_directory_with_the_root_mounted_in_it_is_refused", mounted_inside),
        case("a_directory_beside_the_root_with_its_name_in_front_is_none_of_it", beside),
    ]
}

/// Looking takes milliseconds, copying all that there is takes minutes.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Tries each, and sees that nothing has come of it.
#[track_caller]
fn assert_refused(fixture: &Fixture, directory: &Path) {
    let state = fixture.state();
    let words: [&OsStr; 4] = ["init".as_ref(), "--name".as_ref(), "base".as_ref(), directory.as_ref()];
    // At once, not when the copy comes to itself.
    let ended = background::start(&mut background::mocker(fixture, &words)).end_within(AT_ONCE);
    let said = ended.refused_with_a_hint();
    assert!(said.contains("the root"), "{}: {said}", directory.display());
    assert_eq!(fixture.state(), state, "{}", directory.display());
}

/// An image and a container, so that there are trees to be taken along.
fn prepared(fixture: &Fixture) {
    fixture.image("base");
    fixture.ok(&["run", "--name", "work", "base", "true"]);
}

fn holding(fixture: &Fixture) {
    prepared(fixture);
    let above = fixture.root().parent().unwrap();
    symlink(above, fixture.scratch().join("link")).unwrap();
    symlink("link", fixture.scratch().join("link-to-link")).unwrap();
    let bound = Mounted::bind(above, fixture.scratch().join("bound"));
    for directory in [
        Path::new("/"),
        above,
        &above.join("scratch/.."),
        &fixture.scratch().join("link"),
        &fixture.scratch().join("link-to-link"),
        &fixture.scratch().join("bound"),
        &fixture.scratch().join("bound/scratch/.."),
        Path::new("/proc/self/root"),
    ] {
        assert_refused(fixture, directory);
    }
    drop(bound);
    fixture.assert_consistent();
}

/// The root and directories in it: those that a copy would find itself in, and
/// others.
fn of_the_root(fixture: &Fixture) -> [Vec<PathBuf>; 2] {
    let root = fixture.root().to_owned();
    let nodes = root.join(fixture.lane().backend()).join("nodes");
    let mut others = vec![root.join("containers")];
    others.extend(std::fs::read_dir(&nodes).unwrap().map(|node| node.unwrap().path().join("fs")));
    [vec![root, nodes.parent().unwrap().to_owned(), nodes], others]
}

fn inside(fixture: &Fixture) {
    prepared(fixture);
    for (number, directory) in of_the_root(fixture).concat().iter().enumerate() {
        let link = fixture.scratch().join(format!("link-{number}"));
        symlink(directory, &link).unwrap();
        assert_refused(fixture, directory);
        assert_refused(fixture, &link);
    }
    fixture.assert_consistent();
}

/// Refused, or, where the copy does not find itself, as good as any other
/// source.
#[track_caller]
fn assert_refused_or_copied(fixture: &Fixture, directory: &Path) {
    let words: [&OsStr; 4] = ["init".as_ref(), "--name".as_ref(), "copied".as_ref(), directory.as_ref()];
    let ended = background::run(fixture, &words);
    if ended.code == Some(0) {
        oracle::assert_same(directory, &fixture.tree("copied"));
        fixture.ok(&["rm", "copied"]);
    } else {
        ended.refused_with_a_hint();
    }
}

fn inside_behind_a_mount(fixture: &Fixture) {
    prepared(fixture);
    let [endless, others] = of_the_root(fixture);
    for (number, directory) in endless.iter().enumerate() {
        let bound = Mounted::bind(directory, fixture.scratch().join(format!("bound-{number}")));
        assert_refused(fixture, &bound.0);
    }
    for (number, directory) in others.iter().enumerate() {
        let bound = Mounted::bind(directory, fixture.scratch().join(format!("other-{number}")));
        assert_refused_or_copied(fixture, &bound.0);
    }
    fixture.assert_consistent();
}

fn mounted_inside(fixture: &Fixture) {
    prepared(fixture);
    let source = fixture.scratch().join("source");
    rootfs_at(fixture, &source);
    let [endless, others] = of_the_root(fixture);
    for directory in endless {
        let _bound = Mounted::bind(&directory, source.join("deep/bound"));
        assert_refused(fixture, &source);
    }
    for directory in others {
        let _bound = Mounted::bind(&directory, source.join("deep/bound"));
        assert_refused_or_copied(fixture, &source);
    }
    fixture.assert_consistent();
}

fn beside(fixture: &Fixture) {
    prepared(fixture);
    let beside = fixture.root().with_file_name("root-not");
    rootfs_at(fixture, &beside);
    let words: [&OsStr; 4] = ["init".as_ref(), "--name".as_ref(), "beside".as_ref(), beside.as_ref()];
    background::run(fixture, &words).ok();
    oracle::assert_same(&beside, &fixture.tree("beside"));
}
