//! Each edit does what it says, and leaves alone what it does not speak of.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, makedev};
use rustix::io::Errno;

use super::Edit;

/// A directory to edit.
struct Scene {
    folder: tempfile::TempDir,
    step: u64,
}

impl Scene {
    fn new() -> Self {
        Self { folder: tempfile::tempdir_in("/var/tmp").unwrap(), step: 0 }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn edit(&mut self, edit: &Edit) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::openat(CWD, self.folder.path(), flags, Mode::empty()).unwrap();
        self.step += 1;
        edit.apply(top.as_fd(), self.step)
    }

    /// The second of the modification time, counted from that of step 0.
    fn step_of(&self, name: &str) -> i64 {
        self.path(name).symlink_metadata().unwrap().mtime() - super::place::BEGINNING
    }
}

#[test]
fn contents_are_written_appended_and_cut() {
    let mut scene = Scene::new();
    let path = || "file".into();
    scene.edit(&Edit::Create { path: path(), mode: 0o600 }).unwrap();
    assert_eq!(scene.edit(&Edit::Create { path: path(), mode: 0o600 }), Err(Errno::EXIST));
    scene.edit(&Edit::Write { path: path(), at: 2, length: 2, byte: b'x' }).unwrap();
    scene.edit(&Edit::Append { path: path(), length: 2, byte: b'y' }).unwrap();
    scene.edit(&Edit::Truncate { path: path(), size: 5 }).unwrap();
    assert_eq!(std::fs::read(scene.path("file")).unwrap(), b"\0\0xxy");
    assert_eq!((scene.step_of("file"), scene.step_of(".")), (5, 1));
    let fifo = Edit::MakeNode { path: "fifo".into(), kind: FileType::Fifo, mode: 0o600, device: 0 };
    scene.edit(&fifo).unwrap();
    assert_eq!(scene.edit(&Edit::Append { path: "fifo".into(), length: 1, byte: 0 }), Err(Errno::INVAL));
}

#[test]
fn names_are_made_moved_and_removed() {
    let mut scene = Scene::new();
    scene.edit(&Edit::MakeDirectory { path: "d".into(), mode: 0o700 }).unwrap();
    scene.edit(&Edit::Symlink { path: "d/s".into(), target: "nowhere".into() }).unwrap();
    scene.edit(&Edit::Link { from: "d/s".into(), to: "t".into() }).unwrap();
    assert_eq!(std::fs::read_link(scene.path("t")).unwrap(), Path::new("nowhere"));
    scene.edit(&Edit::Rename { from: "d".into(), to: "e".into() }).unwrap();
    assert_eq!((scene.step_of("e"), scene.step_of("e/s"), scene.step_of(".")), (4, 2, 4));
    assert_eq!(scene.edit(&Edit::RemoveDirectory { path: "e".into() }), Err(Errno::NOTEMPTY));
    scene.edit(&Edit::MakeDirectory { path: "f".into(), mode: 0o700 }).unwrap();
    assert_eq!(scene.edit(&Edit::Rename { from: "f".into(), to: "e".into() }), Err(Errno::NOTEMPTY));
    scene.edit(&Edit::Unlink { path: "e/s".into() }).unwrap();
    scene.edit(&Edit::Rename { from: "f".into(), to: "e".into() }).unwrap();
    scene.edit(&Edit::RemoveDirectory { path: "e".into() }).unwrap();
    assert_eq!(scene.edit(&Edit::Unlink { path: "t/below".into() }), Err(Errno::LOOP));
    assert_eq!(scene.edit(&Edit::Unlink { path: "../t".into() }), Err(Errno::XDEV), "it left the tree");
}

#[test]
fn what_describes_an_entry_is_set_and_its_time_stays() {
    let mut scene = Scene::new();
    let null = makedev(1, 3);
    let make =
        Edit::MakeNode { path: "n".into(), kind: FileType::CharacterDevice, mode: 0o600, device: null };
    scene.edit(&make).unwrap();
    scene.edit(&Edit::Chown { path: "n".into(), uid: 5, gid: 6 }).unwrap();
    scene.edit(&Edit::Chmod { path: "n".into(), mode: 0o2641 }).unwrap();
    let name = "trusted.mark";
    scene.edit(&Edit::SetAttribute { path: "n".into(), name: name.into(), value: b"v".to_vec() }).unwrap();
    let mut value = [0; 8];
    assert_eq!(rustix::fs::lgetxattr(scene.path("n"), name, &mut value), Ok(1));
    let remove = Edit::RemoveAttribute { path: "n".into(), name: name.into() };
    scene.edit(&remove).unwrap();
    assert_eq!(rustix::fs::lgetxattr(scene.path("n"), name, &mut value), Err(Errno::NODATA));
    assert_eq!(scene.edit(&remove), Err(Errno::NODATA));
    let stat = scene.path("n").symlink_metadata().unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.uid(), stat.gid(), stat.rdev()), (0o2641, 5, 6, null));
    assert_eq!(scene.step_of("n"), 1);
    scene.edit(&Edit::Symlink { path: "s".into(), target: "n".into() }).unwrap();
    assert_eq!(scene.edit(&Edit::Chmod { path: "s".into(), mode: 0o777 }), Err(Errno::OPNOTSUPP));
}

#[test]
fn a_time_is_set_to_the_nanosecond_also_before_1970_and_of_a_symlink() {
    let mut scene = Scene::new();
    scene.edit(&Edit::Symlink { path: "s".into(), target: "nowhere".into() }).unwrap();
    for nanoseconds in [1_234_567_890_123_456_789, -1, 0] {
        scene.edit(&Edit::SetTime { path: "s".into(), nanoseconds }).unwrap();
        let stat = scene.path("s").symlink_metadata().unwrap();
        assert_eq!(stat.mtime() * 1_000_000_000 + stat.mtime_nsec(), nanoseconds);
    }
    assert_eq!(scene.step_of("."), 1);
}

#[test]
fn space_is_taken_and_given_back_without_a_change_of_what_is_read() {
    let mut scene = Scene::new();
    let path = || "file".into();
    scene.edit(&Edit::Create { path: path(), mode: 0o600 }).unwrap();
    scene.edit(&Edit::Write { path: path(), at: 0, length: 8192, byte: b'x' }).unwrap();
    scene.edit(&Edit::PunchHole { path: path(), at: 0, length: 4096 }).unwrap();
    let punched = [vec![0; 4096], vec![b'x'; 4096]].concat();
    assert_eq!(std::fs::read(scene.path("file")).unwrap(), punched);
    assert_eq!((scene.path("file").metadata().unwrap().blocks(), scene.step_of("file")), (8, 3));
    scene.edit(&Edit::Allocate { path: path(), at: 0, length: 12288 }).unwrap();
    assert_eq!(std::fs::read(scene.path("file")).unwrap(), [punched, vec![0; 4096]].concat());
    assert_eq!((scene.path("file").metadata().unwrap().blocks(), scene.step_of("file")), (24, 4));
}

#[test]
fn a_clone_has_the_content_of_the_other_file_or_is_refused() {
    let mut scene = Scene::new();
    for (name, byte) in [("one", b'1'), ("two", b'2')] {
        scene.edit(&Edit::Create { path: name.into(), mode: 0o600 }).unwrap();
        scene.edit(&Edit::Write { path: name.into(), at: 0, length: 4096, byte }).unwrap();
    }
    let content = match scene.edit(&Edit::Clone { from: "one".into(), to: "two".into() }) {
        Ok(()) => vec![b'1'; 4096],
        Err(errno) => {
            assert_eq!(errno, Errno::OPNOTSUPP);
            vec![b'2'; 4096]
        }
    };
    assert_eq!(std::fs::read(scene.path("two")).unwrap(), content, "refused, and changed");
    assert_eq!(scene.step_of("one"), 2);
}

#[test]
fn a_file_without_a_name_gets_one_that_is_free() {
    let mut scene = Scene::new();
    let make = Edit::CreateUnnamed { path: "late".into(), mode: 0o640 };
    scene.edit(&make).unwrap();
    let stat = scene.path("late").symlink_metadata().unwrap();
    assert_eq!((stat.mode() & 0o7777, stat.nlink()), (0o640, 1));
    assert_eq!((scene.step_of("late"), scene.step_of(".")), (1, 1));
    assert_eq!(scene.edit(&make), Err(Errno::EXIST));
}
