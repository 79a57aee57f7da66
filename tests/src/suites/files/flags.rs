//! F32: files and directories that chattr(1) protects, and a swap file in use:
//! deleting them works, or says what stands in the way.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use mocker_core::backend::{Reclaim, complete};
use rustix::fs::IFlags;

use crate::fixture::Fixture;
use crate::harness::Case;
use crate::nodes::{self, left_to_reclaim};
use crate::oracle;
use crate::script::How;

use super::{LAYER, Open, append, make_directory, make_file};

pub(super) fn cases() -> Vec<Case> {
    let case = |name, run, alone| Case { name, run, alone };
    vec![
        case("f32_what_is_immutable_or_append_only_is_deleted", protected_inside, false),
        case("f32_a_protected_top_is_committed_and_deleted", protected_top, false),
        // Whatever else runs should not be swapped out to it.
        case("f32_a_swap_file_in_use_is_named_and_then_goes", swap_file, true),
    ]
}

#[track_caller]
fn set_flags(path: &Path, flags: IFlags) {
    let file = File::open(path).unwrap();
    let kept = rustix::fs::ioctl_getflags(&file).unwrap();
    rustix::fs::ioctl_setflags(&file, kept.difference(IFlags::IMMUTABLE | IFlags::APPEND) | flags).unwrap();
}

/// Deletes everything that the case made, and looks whether it is gone.
#[track_caller]
fn assert_all_goes(mut open: Open) {
    open.close();
    let backend = &open.nodes.backend;
    for node in complete(backend.list()).unwrap().into_iter().rev() {
        complete(backend.delete(node)).unwrap_or_else(|error| panic!("{error}"));
    }
    complete(backend.reclaim()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(complete(backend.list()).unwrap(), []);
    assert_eq!(left_to_reclaim(&**backend), 0, "something was left to free");
}

/// The storage library, LXD and Docker could not delete such layers.
fn protected_inside(fixture: &Fixture) {
    for how in [How::Idle, How::Paused, How::Consume] {
        let mut open = Open::over(
            fixture,
            &[
                make_directory("full"),
                make_directory("full/deep"),
                make_file("full/deep/file"),
                make_file("log"),
                LAYER,
            ],
        );
        open.perform(&[make_file("full/new"), append("log", 1)]);
        for (path, flags) in [
            ("full/deep/file", IFlags::IMMUTABLE),
            ("full/new", IFlags::APPEND),
            ("full/deep", IFlags::APPEND),
            ("full", IFlags::IMMUTABLE),
            ("log", IFlags::APPEND),
        ] {
            set_flags(&open.path(path), flags);
        }
        let refused = std::fs::remove_file(open.path("full/deep/file")).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied, "the flags do nothing here");
        let before = nodes::look(open.view());
        open.commit(how);
        oracle::assert_equal(&before, &nodes::look(open.view()));
        assert_all_goes(open);
    }
}

fn protected_top(fixture: &Fixture) {
    for flags in [IFlags::IMMUTABLE, IFlags::APPEND] {
        for how in [How::Idle, How::Paused, How::Consume] {
            let mut open = Open::over(fixture, &[make_file("file")]);
            set_flags(&open.path("."), flags);
            let before = nodes::look(open.view());
            // A layer of it can be built on.
            open.commit(how);
            oracle::assert_equal(&before, &nodes::look(open.view()));
            open.commit(How::Consume);
            oracle::assert_equal(&before, &nodes::look(open.view()));
            assert_all_goes(open);
        }
    }
}

/// A swap file in use; no longer when this goes.
struct Swap(File);

impl Swap {
    /// Makes one of 64 pages, and has the kernel use it, after all others.
    fn on(path: PathBuf) -> Self {
        let shown = path.to_str().unwrap().to_owned();
        let script = ": > \"$1\"; chmod 600 \"$1\"; chattr +C \"$1\" 2>/dev/null || true
            dd if=/dev/zero of=\"$1\" bs=4096 count=64 status=none; mkswap -q \"$1\"; swapon --priority 0 \"$1\"";
        crate::site::run(Command::new("sh").args(["-ec", script, "swap", &shown])).unwrap();
        Self(File::open(path).unwrap())
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        // It may have been moved since.
        let path = format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd());
        let off = Command::new("swapoff").arg(path).status();
        assert!(std::thread::panicking() || off.is_ok_and(|off| off.success()), "the swap file stays in use");
    }
}

/// The file of a name in what the backend keeps: only there, not through an
/// overlay, can a swap file be used.
fn kept_file(fixture: &Fixture, name: &str) -> PathBuf {
    let found = walkdir::WalkDir::new(fixture.root()).into_iter().map(|found| found.unwrap());
    found.into_iter().find(|found| found.file_name() == name).unwrap().into_path()
}

/// Docker for Mac and Moby could not delete a container with a swap file, and did
/// not say why.
fn swap_file(fixture: &Fixture) {
    let mut open = Open::over(fixture, &[make_directory("var")]);
    open.perform(&[make_file("var/swap-file")]);
    open.close();
    let swap = Swap::on(kept_file(fixture, "swap-file"));
    let (nodes, work) = (&open.nodes, open.work.0);
    let deleted = complete(nodes.backend.delete(work));
    let refused = match nodes.capabilities().reclaim {
        Reclaim::FileSystem => deleted.unwrap_err(),
        Reclaim::Backend => {
            deleted.unwrap();
            complete(nodes.backend.reclaim()).unwrap_err()
        }
    };
    let said = format!("{refused} ({})", refused.hint().unwrap_or_default());
    assert!(said.contains("swapoff"), "no way out: {said}");
    assert!(said.contains(&work.to_string()), "what cannot be deleted is not named: {said}");
    drop(swap);
    assert_all_goes(open);
}
