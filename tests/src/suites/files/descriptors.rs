//! F11–F13, F15: inode numbers, counts of links, open descriptors and working
//! directories, while what they are about is changed.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};

use mocker_core::{FdCoherence, HardlinkCopyup};
use rustix::fs::{AtFlags, inotify, statat};

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::script::How;
use crate::sys::Mapping;

use super::{
    Open, append, chmod, chown, link, make_directory, make_file, make_symlink, rename, set_attribute, write,
};

pub(super) fn cases() -> Vec<Case> {
    cases![
        f11_the_count_of_links_does_not_depend_on_who_asks_first,
        f12_inode_numbers_are_unique_and_stay_as_declared,
        f13_a_descriptor_sees_what_a_later_one_writes_as_declared,
        f15_working_directories_stay_valid_while_those_above_change,
    ]
}

/// fuse-overlayfs counted the names that it had been asked for.
fn f11_the_count_of_links_does_not_depend_on_who_asks_first(fixture: &Fixture) {
    const NAMES: [&str; 3] = ["one", "two", "d/three"];
    let beneath = [make_directory("d"), make_file("one"), link("one", "two"), link("two", "d/three")];
    let mut open = Open::over(fixture, &beneath);
    let counts = |open: &mut Open| {
        let mut seen = Vec::new();
        for first in 0..NAMES.len() {
            for backwards in [false, true] {
                // A fresh look, which remembers nothing of the one before.
                open.reopen();
                let mut order: Vec<_> = (0..NAMES.len()).map(|place| (first + place) % NAMES.len()).collect();
                if backwards {
                    order.reverse();
                }
                let ask = |place: usize| (place, open.path(NAMES[place]).symlink_metadata().unwrap().nlink());
                seen.push(order.into_iter().map(ask).collect::<BTreeMap<_, _>>());
            }
        }
        assert!(seen.iter().all(|counts| *counts == seen[0]), "{seen:?}");
        seen[0].values().copied().collect::<Vec<_>>()
    };
    assert_eq!(counts(&mut open), [3, 3, 3]);
    open.perform(&[append("one", 1)]);
    let after = counts(&mut open);
    match fixture.capabilities().hardlink_copyup {
        HardlinkCopyup::Keep => assert_eq!(after, [3, 3, 3]),
        HardlinkCopyup::Break => assert_eq!(after[0], 1, "it is declared to be a file of its own"),
    }
    // Links of the work area itself are counted everywhere, and in the layer.
    open.perform(&[link("one", "four"), link("one", "d/five")]);
    let own = after[0] + 2;
    for _ in 0..2 {
        open.reopen();
        for name in ["d/five", "one", "four"] {
            assert_eq!(open.path(name).symlink_metadata().unwrap().nlink(), own, "{name}");
        }
        open.commit(How::Idle);
    }
}

/// Docker's suites had this as something to do: programs that remember inode
/// numbers, as tar and find do, took a file for another one.
fn f12_inode_numbers_are_unique_and_stay_as_declared(fixture: &Fixture) {
    const CHANGED: [&str; 7] = ["written", "chmodded", "d", "d/renamed", "d/marked", "symlink", "."];
    let beneath = [
        make_directory("d"),
        make_file("written"),
        make_file("chmodded"),
        make_file("d/renamed"),
        make_file("d/marked"),
        make_file("d/left"),
        make_symlink("symlink", "written"),
    ];
    let mut open = Open::over(fixture, &beneath);
    let number =
        |open: &Open, name: &str| statat(open.view().top(), name, AtFlags::SYMLINK_NOFOLLOW).unwrap().st_ino;
    let numbers = |open: &Open| CHANGED.map(|name| number(open, name));
    let before = numbers(&open);
    open.perform(&[
        append("written", 1),
        chmod("chmodded", 0o600),
        chown("d", 1, 1),
        set_attribute("d/marked", "user.mark", b"1"),
        rename("d/renamed", "d/moved"),
        rename("d/moved", "d/renamed"),
        chown("symlink", 1, 1),
        make_file("d/new"),
        chmod(".", 0o700),
    ]);
    let after = numbers(&open);
    // As another process finds them, without what this one remembers.
    open.reopen();
    let later = numbers(&open);
    let stays = before == after && after == later;
    assert_eq!(
        stays,
        open.nodes.capabilities().inode_stable,
        "{CHANGED:?}: {before:?} became {after:?}, and then {later:?}"
    );
    let mut seen = BTreeMap::new();
    for found in walkdir::WalkDir::new(open.path(".")) {
        let path = found.unwrap().into_path();
        let meta = path.symlink_metadata().unwrap();
        if let Some(other) = seen.insert((meta.dev(), meta.ino()), path.clone()) {
            panic!("{} and {} have one number", path.display(), other.display());
        }
    }
    assert_eq!(seen.len(), CHANGED.len() + 2);
}

/// Logs that were opened before somebody wrote to them stood still in containers.
fn f13_a_descriptor_sees_what_a_later_one_writes_as_declared(fixture: &Fixture) {
    let open = Open::over(fixture, &[make_file("file"), write("file", b'o', 4096)]);
    let read = |file: &File| {
        let mut first = [0];
        file.read_exact_at(&mut first, 0).unwrap();
        first[0]
    };
    let early = File::open(open.path("file")).unwrap();
    assert_eq!(read(&early), b'o');
    let mapped = Mapping::for_reading(&early, 4096);
    assert_eq!(mapped.first(), b'o');
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&watch, open.path("file"), inotify::WatchFlags::MODIFY).unwrap();
    let late = OpenOptions::new().write(true).open(open.path("file")).unwrap();
    late.write_all_at(b"n", 0).unwrap();
    let told = rustix::io::read(&watch, &mut [0; 4096]).is_ok();
    let (by_read, by_mapping) = (read(&early), mapped.first());
    let expected = match open.nodes.capabilities().fd_coherent {
        FdCoherence::Full => (b'n', b'n', true),
        FdCoherence::Reads => (b'n', b'o', true),
        FdCoherence::Stale => (b'o', b'o', false),
    };
    assert_eq!((by_read, by_mapping, told), expected, "by read(2), by a mapping, by inotify");
    // Whoever opens it now sees the change in any case, and maps it.
    let fresh = File::open(open.path("file")).unwrap();
    assert_eq!((read(&fresh), Mapping::for_reading(&fresh, 4096).first()), (b'n', b'n'));
}

/// In overlay2 of Docker, `getcwd` failed after a directory above was changed.
fn f15_working_directories_stay_valid_while_those_above_change(fixture: &Fixture) {
    let source = fixture.rootfs();
    std::fs::create_dir_all(source.join("a/b/c")).unwrap();
    std::fs::write(source.join("a/b/c/file"), "deep\n").unwrap();
    std::fs::write(source.join("a/above"), "above\n").unwrap();
    fixture.image("base");
    let script = "
        cd /a/b/c; look() { /bin/busybox pwd -P; cat file ../../above; }
        look
        chmod 700 /a/b; touch /a /a/b/c; chown 5 /a; : > /a/b/new; echo new > file; look
        mkdir -p /own/b/c; cd /own/b/c; echo deep > file; echo above > ../../above; look
        mv /own /moved; chmod 700 /moved; look";
    let seen = fixture.ok(&["run", "--rm", "base", "sh", "-ec", script]);
    let seen: Vec<_> = seen.split_whitespace().collect();
    let expected = [
        ["/a/b/c", "deep", "above"],
        ["/a/b/c", "new", "above"],
        ["/own/b/c", "deep", "above"],
        ["/moved/b/c", "deep", "above"],
    ];
    assert_eq!(seen, expected.concat());
}
