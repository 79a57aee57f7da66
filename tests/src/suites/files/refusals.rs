//! F16, F17: every way to open everything answers what a plain directory does;
//! and what is refused changes nothing, not even where the bytes lie.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, Uid, chmodat, chownat, linkat, mkdirat, openat,
    renameat, unlinkat, utimensat,
};
use rustix::io::Errno;

use crate::cases;
use crate::edit;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes;
use crate::oracle;
use crate::script::{Action, How};

use super::special::as_nobody;
use super::{Open, chmod, make_directory, make_file, make_symlink, write};

pub(super) fn cases() -> Vec<Case> {
    cases![
        f16_every_way_to_open_everything_is_as_in_a_plain_directory,
        f17_what_another_user_is_refused_alters_and_copies_nothing,
    ]
}

/// What is opened, each in a directory of its own for each way to open it.
const TARGETS: [&str; 9] =
    ["file", "empty", "directory", "absent", "link", "link-link", "dangling", "to-directory", "file/below"];

fn targets(directory: &str) -> Vec<Action> {
    let path = |name| format!("{directory}/{name}");
    vec![
        make_directory(directory),
        make_file(path("file")),
        write(path("file"), b'f', 10),
        make_file(path("empty")),
        make_directory(path("directory")),
        make_symlink(path("link"), "file"),
        make_symlink(path("link-link"), "link"),
        make_symlink(path("dangling"), "nowhere"),
        make_symlink(path("to-directory"), "directory"),
    ]
}

/// Every combination of these with each way to read or write.
fn ways() -> Vec<OFlags> {
    let options =
        [OFlags::CREATE, OFlags::EXCL, OFlags::TRUNC, OFlags::APPEND, OFlags::DIRECTORY, OFlags::NOFOLLOW];
    let mut ways = vec![OFlags::RDONLY, OFlags::WRONLY, OFlags::RDWR];
    for option in options {
        ways.extend(ways.clone().into_iter().map(|way| way | option));
    }
    ways
}

/// Opens it, reads and writes a byte through it, and sets the times again that
/// this makes differ. Answers how each of the three went.
fn try_out(top: BorrowedFd<'_>, path: &Path, way: OFlags) -> [Result<usize, Errno>; 3] {
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
    let outcome = match openat(top, path, way | OFlags::CLOEXEC, mode) {
        Ok(opened) => [Ok(0), rustix::io::read(&opened, &mut [0; 1]), rustix::io::write(&opened, b"written")],
        Err(errno) => [Err(errno); 3],
    };
    let directory = path.components().next().map(|first| Path::new(first.as_os_str())).unwrap();
    for name in ["", "file", "empty", "directory", "nowhere", "absent"] {
        match edit::stamp(top, &directory.join(name).components().collect::<std::path::PathBuf>(), 7) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => panic!("cannot set the time of {name}: {errno}"),
        }
    }
    outcome
}

/// The suite of union mounts has this in 33 files: what open(2) answers over an
/// entry of a lower layer was wrong for many of them once.
fn f16_every_way_to_open_everything_is_as_in_a_plain_directory(fixture: &Fixture) {
    let ways = ways();
    let plain = fixture.beside_the_trees();
    std::fs::create_dir(&plain).unwrap();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let plain_top = openat(CWD, &plain, flags, Mode::empty()).unwrap();
    let mut story = Vec::new();
    for number in 0..ways.len() * TARGETS.len() {
        story.extend(targets(&number.to_string()));
    }
    story.extend([chmod(".", 0o755)]);
    for (action, step) in story.iter().zip(1..) {
        let Action::Edit(edit) = action else { continue };
        edit.apply(plain_top.as_fd(), step).unwrap();
    }
    let mut open = Open::over(fixture, &story);
    let pairs = || ways.iter().flat_map(|way| TARGETS.iter().map(move |target| (*way, *target)));
    // A second time over what the first left, which is in the work area then.
    for _ in 0..2 {
        for ((way, target), number) in pairs().zip(0..) {
            let path = Path::new(&number.to_string()).join(target);
            let found = try_out(open.view().top(), &path, way);
            let expected = try_out(plain_top.as_fd(), &path, way);
            assert_eq!(found, expected, "{target} opened {way:?}");
        }
        oracle::assert_equal(&oracle::look(&plain), &nodes::look(open.view()));
    }
    open.commit(How::Consume);
    oracle::assert_equal(&oracle::look(&plain), &nodes::look(open.view()));
}

type Refused = (&'static str, fn(BorrowedFd<'_>) -> rustix::io::Result<()>);

/// What only the owner may do, or who may write.
const REFUSED: [Refused; 11] = [
    ("truncate", |top| openat(top, "d/file", OFlags::WRONLY | OFlags::TRUNC, Mode::empty()).map(drop)),
    ("append", |top| openat(top, "d/file", OFlags::WRONLY | OFlags::APPEND, Mode::empty()).map(drop)),
    ("read and write", |top| openat(top, "d/file", OFlags::RDWR, Mode::empty()).map(drop)),
    ("read what is secret", |top| openat(top, "d/secret", OFlags::RDONLY, Mode::empty()).map(drop)),
    ("set the times", |top| {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        utimensat(top, "d/file", &Timestamps { last_access: zero, last_modification: zero }, AtFlags::empty())
    }),
    ("chmod", |top| chmodat(top, "d/file", Mode::RWXU, AtFlags::empty())),
    ("chown", |top| chownat(top, "d/file", Some(Uid::from_raw(65_534)), None, AtFlags::empty())),
    ("unlink", |top| unlinkat(top, "d/file", AtFlags::empty())),
    ("rename", |top| renameat(top, "d/file", top, "d/other")),
    ("link", |top| linkat(top, "d/file", top, "d/other", AtFlags::empty())),
    ("mkdir", |top| mkdirat(top, "d/new", Mode::RWXU)),
];

/// The suite of union mounts asks whether a refusal comes before the copy-up.
fn f17_what_another_user_is_refused_alters_and_copies_nothing(fixture: &Fixture) {
    let mut open = Open::over(
        fixture,
        &[
            make_directory("d"),
            make_file("d/file"),
            write("d/file", b'f', 1 << 20),
            make_file("d/secret"),
            chmod("d/secret", 0o600),
        ],
    );
    let number =
        |open: &Open| open.path("d/file").metadata().map(|meta| (meta.ino(), meta.ctime_nsec())).unwrap();
    let (tree, numbers, usage) = (nodes::look(open.view()), number(&open), open.usage());
    for (doing, act) in REFUSED {
        let top = open.view().top();
        let outcome = as_nobody(|| act(top));
        assert!(matches!(outcome, Err(Errno::ACCESS | Errno::PERM)), "{doing}: {outcome:?}");
        assert_eq!(
            (number(&open), open.usage()),
            (numbers, usage),
            "{doing} was refused, and copied something"
        );
    }
    oracle::assert_equal(&tree, &nodes::look(open.view()));
    open.reopen();
    oracle::assert_equal(&tree, &nodes::look(open.view()));
}
