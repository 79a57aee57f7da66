//! F14: what a directory lists, over layers of which some hide what others have.

use std::os::fd::OwnedFd;

use mocker_core::mount::View;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::script::How;

use super::{
    LAYER, Open, append, make_directory, make_file, make_node, make_symlink, remove_directory, rename, unlink,
};

pub(super) fn cases() -> Vec<Case> {
    cases![f14_a_directory_lists_each_name_once_with_its_type_and_nothing_deleted]
}

/// fuse-overlayfs listed whiteouts, and names twice.
fn f14_a_directory_lists_each_name_once_with_its_type_and_nothing_deleted(fixture: &Fixture) {
    let mut beneath = vec![make_directory("merged"), make_directory("again"), make_directory("emptied")];
    for directory in ["merged", "again", "emptied"] {
        beneath.extend([
            make_file(format!("{directory}/low")),
            make_file(format!("{directory}/both")),
            make_file(format!("{directory}/gone")),
            make_directory(format!("{directory}/turned")),
        ]);
    }
    // Enough for several calls of getdents64(2), which must fit together.
    beneath.extend((0..2000).map(|number| make_file(format!("merged/low-{number}"))));
    beneath.push(LAYER);
    let removed = |directory: &str| {
        let path = |name| format!("{directory}/{name}");
        [unlink(path("low")), unlink(path("both")), unlink(path("gone")), remove_directory(path("turned"))]
    };
    // One opaque directory, one that is empty but for whiteouts, one that has a bit of everything.
    beneath.extend(removed("again"));
    beneath.extend([remove_directory("again"), make_directory("again"), make_file("again/new")]);
    beneath.extend(removed("emptied"));
    beneath.push(LAYER);
    let mut open = Open::over(fixture, &beneath);
    open.perform(&[
        append("merged/both", 1),
        unlink("merged/gone"),
        remove_directory("merged/turned"),
        make_symlink("merged/turned", "low"),
        make_node("merged/fifo", FileType::Fifo, 0),
        make_node("merged/socket", FileType::Socket, 0),
        make_node("merged/null", FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
        make_directory("merged/directory"),
        make_file("again/low"),
    ]);
    open.perform(&(0..1000).map(|number| unlink(format!("merged/low-{number}"))).collect::<Vec<_>>());
    open.perform(
        &(1000..1500)
            .map(|number| rename(format!("merged/low-{number}"), format!("merged/renamed-{number}")))
            .collect::<Vec<_>>(),
    );
    for how in [How::Paused, How::Idle, How::Consume] {
        check(open.view());
        open.commit(how);
        check(&open.layer());
    }
    check(open.view());
}

fn check(view: &View) {
    let mut merged: Vec<String> =
        ["low", "both", "turned", "fifo", "socket", "null", "directory"].map(str::to_owned).into();
    merged.extend((1000..1500).map(|number| format!("renamed-{number}")));
    merged.extend((1500..2000).map(|number| format!("low-{number}")));
    let expected = [
        (".", ["merged", "again", "emptied"].map(str::to_owned).into()),
        ("merged", merged),
        ("again", ["new", "low"].map(str::to_owned).into()),
        ("emptied", Vec::new()),
    ];
    for (directory, mut names) in expected {
        let mut listed: Vec<_> = list(view, directory);
        listed.sort_unstable();
        names.sort_unstable();
        assert_eq!(listed, names, "in {directory}");
    }
}

/// The names in a directory, as often as they are listed. The type that each is
/// listed with must be what it is.
fn list(view: &View, directory: &str) -> Vec<String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened: OwnedFd = openat(view.top(), directory, flags, Mode::empty()).unwrap();
    let mut names = Vec::new();
    for entry in Dir::read_from(&opened).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_str().unwrap().to_owned();
        let stat = statat(&opened, &name, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        let is = FileType::from_raw_mode(stat.st_mode);
        assert_eq!(entry.file_type(), is, "{directory}/{name}");
        names.push(name);
    }
    for name in [".", ".."] {
        let place = names.iter().position(|found| found == name).expect("every directory lists it");
        names.swap_remove(place);
    }
    names
}
