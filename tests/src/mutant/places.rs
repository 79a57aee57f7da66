//! What mutants say of where a tree may differ.

use std::collections::HashSet;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use mocker_core::backend::{Candidate, Candidates, Observed, Rootfs};
use mocker_core::mount::View;
use rustix::fs::Timespec;

use super::Bug;

/// What a backend with this bug answers; `since` is the layer that the tree is
/// compared with.
pub(super) fn spoil(bug: Bug, mut seen: Observed, since: Option<&Rootfs>) -> Observed {
    match bug {
        Bug::SaysFrozen => seen.frozen = true,
        Bug::NamesNothing if since.is_none() => seen.candidates = Candidates::Paths(Vec::new()),
        Bug::TrustsForTooLong => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
            let now = Timespec { tv_sec: now.as_secs().cast_signed(), tv_nsec: now.subsec_nanos().into() };
            if let Candidates::Everything { unchanged_before: Some(then) } = &mut seen.candidates {
                *then = now;
            }
        }
        Bug::ForgetsDeletions | Bug::ForgetsNames | Bug::LooksAtTimes | Bug::ForgetsHidden => {
            if let (Candidates::Paths(paths), Some(since)) = (&mut seen.candidates, since) {
                let (before, now) = (View::open(since), View::open(&seen.view));
                let (before, now) = (before.expect("open a layer"), now.expect("open a tree"));
                forget(bug, paths, &top(&before), &top(&now));
            }
        }
        _ => {}
    }
    seen
}

fn top(view: &View) -> PathBuf {
    Path::new("/proc/self/fd").join(view.top().as_raw_fd().to_string()).join(".")
}

fn forget(bug: Bug, paths: &mut Vec<Candidate>, before: &Path, now: &Path) {
    let mut inodes = HashSet::new();
    paths.retain_mut(|candidate| {
        let meta = |top: &Path| std::fs::symlink_metadata(top.join(&candidate.path)).ok();
        let (before, now) = (meta(before), meta(now));
        match bug {
            Bug::ForgetsDeletions => now.is_some(),
            Bug::ForgetsNames => {
                now.is_none_or(|meta| meta.is_dir() || meta.nlink() == 1 || inodes.insert(meta.ino()))
            }
            Bug::LooksAtTimes => {
                let known = |meta: std::fs::Metadata| {
                    (meta.mode(), meta.uid(), meta.gid(), meta.size(), meta.mtime(), meta.mtime_nsec())
                };
                before.is_none() || before.map(known) != now.map(known)
            }
            _ => {
                candidate.beneath = false;
                true
            }
        }
    });
}
