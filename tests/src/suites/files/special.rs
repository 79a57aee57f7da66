//! F25–F27, F30, F31: devices, FIFOs and sockets, and what has a meaning to some
//! archive or to overlayfs, are kept as what they are.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;
use std::time::Duration;

use mocker_core::OverlayMarks;
use rustix::fs::{FileType, Mode, makedev};
use rustix::io::Errno;
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::cases;
use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes;
use crate::script::How;

use super::{
    LAYER, Open, append, chmod, chown, link, make_directory, make_file, make_node, play, remove_directory,
    rename, set_attribute, unlink, write,
};

pub(super) fn cases() -> Vec<Case> {
    cases![
        f25_devices_keep_their_numbers,
        f25_a_device_is_refused_at_once_without_the_right,
        f26_fifos_survive_and_nothing_ever_opens_one,
        f27_sockets_work_in_a_work_area_also_by_another_name,
        f30_names_that_mean_a_deletion_in_archives_are_names,
        f31_what_means_something_to_overlayfs_is_kept_or_refused,
    ]
}

/// Longer than any of this takes; whoever opens a FIFO waits for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Images of the storage library had devices that were none any more.
fn f25_devices_keep_their_numbers(fixture: &Fixture) {
    // The smallest, usual ones, and the largest; XFS keeps no minor number above 2¹⁸.
    let devices = [(1, 3), (8, 17), (0, 1), (255, 255), (259, 262_143), (4095, 1_048_575)];
    let mut story = Vec::new();
    let names = || (0..devices.len()).map(|number| (format!("c{number}"), format!("b{number}")));
    for ((character, block), (major, minor)) in names().zip(devices) {
        story.extend([
            make_node(character, FileType::CharacterDevice, makedev(major, minor)),
            make_node(block, FileType::BlockDevice, makedev(major, minor)),
        ]);
    }
    story.push(LAYER);
    for (character, block) in names().take(3) {
        story.extend([chmod(&character, 0o600), chown(&block, 5, 6), link(&block, format!("{block}-too"))]);
    }
    story.extend([rename("c0", "renamed"), unlink("b1"), LAYER]);
    play(fixture, &story);
}

/// Does something as a user without rights.
pub(super) fn as_nobody<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let (uid, gid) = (rustix::fs::Uid::from_raw(65_534), rustix::fs::Gid::from_raw(65_534));
    let act = || {
        // Of this thread alone; the capabilities go with the user.
        set_thread_groups(&[]).unwrap();
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        act()
    };
    std::thread::scope(|scope| scope.spawn(act).join().unwrap())
}

fn f25_a_device_is_refused_at_once_without_the_right(fixture: &Fixture) {
    let open = Open::over(fixture, &[make_directory("theirs"), chmod("theirs", 0o777)]);
    let before = nodes::look(open.view());
    let top = open.view().top();
    let made = as_nobody(|| {
        let null = makedev(1, 3);
        rustix::fs::mknodat(top, "theirs/null", FileType::CharacterDevice, Mode::RUSR, null)
    });
    assert_eq!(made, Err(Errno::PERM));
    crate::oracle::assert_equal(&before, &nodes::look(open.view()));
}

/// umoci has a list of tools that open every entry, and wait for ever.
fn f26_fifos_survive_and_nothing_ever_opens_one(fixture: &Fixture) {
    let story = [
        make_directory("d"),
        make_node("d/fifo", FileType::Fifo, 0),
        make_node("gone", FileType::Fifo, 0),
        LAYER,
        chmod("d/fifo", 0o666),
        chown("d/fifo", 1, 2),
        set_attribute("d/fifo", "trusted.mark", b"1"),
        link("d/fifo", "d/linked"),
        unlink("gone"),
        LAYER,
        rename("d/linked", "moved"),
        make_node("gone", FileType::Fifo, 0),
        LAYER,
    ];
    let (done, is_done) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            play(fixture, &story);
            let open = Open::over(fixture, &story);
            open.usage();
            open.remove();
            done.send(()).unwrap();
        });
        match is_done.recv_timeout(PATIENCE) {
            Err(mpsc::RecvTimeoutError::Timeout) => {
                release_whoever_waits(fixture);
                panic!("something opened a FIFO, and waited for the other side");
            }
            // The thread's own panic is told where it is joined.
            Err(mpsc::RecvTimeoutError::Disconnected) | Ok(()) => {}
        }
    });
}

/// Opens every FIFO of the case for reading and writing, so that a thread that
/// waits for the other side goes on, and can be joined.
fn release_whoever_waits(fixture: &Fixture) {
    for found in walkdir::WalkDir::new(fixture.root()).into_iter().flatten() {
        if std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type()) {
            let opened = std::fs::File::options().read(true).write(true).open(found.path());
            // The thread has to get hold of it before this end is closed.
            std::thread::sleep(Duration::from_millis(50));
            drop(opened);
        }
    }
}

fn greet(path: &std::path::Path, listener: &UnixListener) {
    let mut client = UnixStream::connect(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    client.write_all(b"hello").unwrap();
    drop(client);
    let mut heard = String::new();
    listener.accept().unwrap().0.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "hello");
}

/// An application that makes its socket under a temporary name and links it into
/// place could not be connected to in Docker's overlay; and commits failed over
/// socket files.
fn f27_sockets_work_in_a_work_area_also_by_another_name(fixture: &Fixture) {
    let mut open = Open::over(fixture, &[make_directory("run"), make_node("run/old", FileType::Socket, 0)]);
    // The old one, from beneath, is in the way until it is removed, as it is everywhere.
    let taken = UnixListener::bind(open.path("run/old")).unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    std::fs::remove_file(open.path("run/old")).unwrap();
    let listener = UnixListener::bind(open.path("run/old")).unwrap();
    greet(&open.path("run/old"), &listener);
    std::fs::hard_link(open.path("run/old"), open.path("run/linked")).unwrap();
    std::fs::rename(open.path("run/old"), open.path("run/moved")).unwrap();
    greet(&open.path("run/linked"), &listener);
    greet(&open.path("run/moved"), &listener);
    // A commit while it lives neither fails over it nor disturbs it.
    let before = nodes::look(open.view());
    open.commit(How::Paused);
    greet(&open.path("run/linked"), &listener);
    drop(listener);
    open.commit(How::Consume);
    crate::oracle::assert_equal(&before, &nodes::look(open.view()));
    let refused = UnixStream::connect(open.path("run/linked")).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "nobody listens any more");
    open.remove();
    play(
        fixture,
        &[
            make_node("socket", FileType::Socket, 0),
            LAYER,
            chmod("socket", 0o777),
            chown("socket", 1, 1),
            link("socket", "linked"),
            LAYER,
            unlink("socket"),
            rename("linked", "socket"),
        ],
    );
}

/// In archives of layers a file `.wh.x` says that `x` is deleted
/// (`spec/layer.md` of opencontainers/image-spec); in a tree it says nothing.
fn f30_names_that_mean_a_deletion_in_archives_are_names(fixture: &Fixture) {
    play(
        fixture,
        &[
            make_file("x"),
            make_directory("d"),
            make_file("d/inside"),
            make_file("d/.wh.inside"),
            LAYER,
            make_file(".wh.x"),
            make_file("d/.wh..wh..opq"),
            make_directory(".wh.d"),
            make_file(".wh.d/.wh."),
            make_file(".wh..wh.plnk"),
            LAYER,
            write(".wh.x", b'w', 5000),
            append("d/.wh.inside", 1),
            unlink("d/inside"),
            rename(".wh..wh.plnk", ".wh..wh.aufs"),
            LAYER,
            unlink(".wh.x"),
            unlink(".wh.d/.wh."),
            remove_directory(".wh.d"),
            LAYER,
        ],
    );
}

/// The attributes that overlayfs goes by (`ovl_xattr_table` of
/// fs/overlayfs/overlayfs.h), with values that would mean something.
const MARKS: [(&str, &[u8]); 5] = [
    ("trusted.overlay.opaque", b"y"),
    ("trusted.overlay.redirect", b"/other"),
    ("trusted.overlay.whiteout", b"y"),
    ("trusted.overlay.metacopy", b""),
    ("trusted.overlay.overlay.opaque", b"y"),
];

/// An engine inside a container makes such things. Incus unpacked them as
/// deletions, gVisor refused them without a reason.
fn f31_what_means_something_to_overlayfs_is_kept_or_refused(fixture: &Fixture) {
    let declared = fixture.capabilities().overlay_marks;
    let beneath = [
        make_directory("d"),
        make_file("d/inside"),
        make_directory("other"),
        make_file("other/elsewhere"),
        make_file("f"),
        write("f", b'f', 100),
        make_file("gone"),
    ];
    for how in [How::Idle, How::Paused, How::Consume] {
        let mut open = Open::over(fixture, &beneath);
        // Where nothing is, and in the place of a file from beneath.
        std::fs::remove_file(open.path("gone")).unwrap();
        for name in ["new", "gone", "d/new"] {
            let kind = FileType::CharacterDevice;
            let made = rustix::fs::mknodat(open.view().top(), name, kind, Mode::RUSR, makedev(0, 0));
            let expected = if declared == OverlayMarks::Kept { Ok(()) } else { Err(Errno::PERM) };
            assert_eq!(made, expected, "a device 0:0 called {name}");
        }
        for path in [".", "d", "f"] {
            for (name, value) in MARKS {
                let set =
                    rustix::fs::lsetxattr(open.path(path), name, value, rustix::fs::XattrFlags::empty());
                let expected = if declared == OverlayMarks::Refused { Err(Errno::OPNOTSUPP) } else { Ok(()) };
                assert_eq!(set, expected, "{name} of {path}");
            }
        }
        let before = nodes::look(open.view());
        assert!(before.has("/d/inside") && before.has("/f") && !before.has("/d/elsewhere"));
        assert_eq!(std::fs::read(open.path("f")).unwrap(), [b'f'; 100]);
        // More layers on top change nothing.
        for _ in 0..3 {
            open.commit(how);
            crate::oracle::assert_equal(&before, &nodes::look(open.view()));
            crate::oracle::assert_equal(&before, &nodes::look(&open.layer()));
            open.reopen();
            crate::oracle::assert_equal(&before, &nodes::look(open.view()));
        }
        open.remove();
    }
}
