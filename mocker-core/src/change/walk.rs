//! Reaching every place that may differ, in both trees at once, through
//! directory descriptors: the names in a tree are chosen by whoever made it.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::{AtFlags, Dir, FileType, OFlags, Stat, Timespec, statat};
use rustix::io::Errno;

use super::cursor::{Cursor, Pair};
use super::entry::{Place, differs};
use super::links::{self, Linked};
use super::{Candidate, Candidates, Change, Kind, What};
use crate::error::Result;
use crate::tree::attributes::open_quietly;
use crate::tree::copy::raise_descriptor_limit;
use crate::tree::failure::{Failure, during};
use crate::tree::tasks::{lock, perform_all};

/// Entries that are handed to a worker at once.
const BATCH: usize = 64;

/// What the kernel says of an entry that went, or became something else, since it
/// was looked at; and how often it may.
const MOVED_ON: [Errno; 8] = [
    Errno::NOENT,
    Errno::STALE,
    Errno::NOTDIR,
    Errno::ISDIR,
    Errno::LOOP,
    Errno::INVAL,
    Errno::NXIO,
    Errno::SPIPE,
];
const MOST_TRIES: usize = 20;

/// Two trees, and how to compare them.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// The top of the first tree; `None` stands for a tree that holds nothing.
    pub from: Option<BorrowedFd<'a>>,
    /// The top of the second tree.
    pub to: BorrowedFd<'a>,
    /// Whether both sides keep holes, so that another place of holes is a
    /// change.
    pub holes: bool,
    /// Whether both lie on one file system, so that what they share there need
    /// not be read.
    pub one_file_system: bool,
}

/// Lists in what the second tree differs from the first, looking at the
/// candidates and at nothing else.
///
/// The list is in the order of the paths, a directory before what is in it; a
/// deletion comes before what took its place, and says nothing of what was
/// beneath it. Taking one change after the other from the second tree turns the
/// first one into it.
///
/// Where the second tree changes meanwhile, an entry is compared as it was at
/// one moment or another.
///
/// # Errors
/// Those of reading the trees, with the path.
pub fn compare(trees: Comparison<'_>, candidates: Candidates) -> Result<Vec<Change>> {
    raise_descriptor_limit();
    let (paths, unchanged_before) = match candidates {
        Candidates::Everything { unchanged_before } => (vec![Candidate::beneath("")], unchanged_before),
        Candidates::Paths(mut paths) => {
            paths.sort_unstable();
            paths.dedup_by(|later, earlier| {
                let same = later.path == earlier.path;
                earlier.beneath |= same && later.beneath;
                same
            });
            (paths, None)
        }
    };
    let walk = Walk { trees, unchanged_before, changes: Mutex::default(), linked: Mutex::default() };
    perform_all(vec![Task::Look(paths)], |task, _: &mut ()| walk.perform(task))?;
    let mut changes = lock(&walk.changes).split_off(0);
    changes.sort_unstable_by(|one, other| (&one.path, one.kind).cmp(&(&other.path, other.kind)));
    let linked = lock(&walk.linked).split_off(0);
    links::sort_out(trees, &mut changes, linked)?;
    Ok(changes)
}

enum Task {
    /// Compare the entries at these places, which are in order.
    Look(Vec<Candidate>),
    /// Compare these entries and everything beneath them.
    Compare(Arc<Pair>, Vec<CString>),
    /// List a directory that is in the second tree, and in the first or not.
    Enter(Arc<Pair>, CString, Entered),
}

#[derive(Clone, Copy)]
struct Entered {
    in_both: bool,
    trusted: bool,
    touched: bool,
}

struct Walk<'a> {
    trees: Comparison<'a>,
    unchanged_before: Option<Timespec>,
    changes: Mutex<Vec<Change>>,
    linked: Mutex<Vec<Linked>>,
}

impl Walk<'_> {
    fn perform(&self, task: Task) -> Result<Vec<Task>> {
        match task {
            Task::Look(candidates) => self.look(candidates),
            Task::Compare(pair, names) => {
                let mut more = Vec::new();
                for name in &names {
                    more.extend(self.compare_entry(&pair, name, true)?.1);
                }
                Ok(more)
            }
            Task::Enter(pair, name, entered) => self.enter(&pair, &name, entered),
        }
    }

    /// Looks at candidates one after the other. What is beneath one that was
    /// looked at as a whole has been seen.
    fn look(&self, candidates: Vec<Candidate>) -> Result<Vec<Task>> {
        let mut cursor = Cursor::at(self.top()?);
        let mut more = Vec::new();
        let mut whole: Option<PathBuf> = None;
        for Candidate { path, beneath } in candidates {
            if whole.as_ref().is_some_and(|whole| path.starts_with(whole)) {
                continue;
            }
            // Above what one tree alone has, the whole of that is the place to look at.
            let (pair, name, cut) = cursor.go_to(&path)?;
            let (one_sided, tasks) = self.compare_entry(&pair, &name, beneath)?;
            more.extend(tasks);
            if one_sided || beneath || cut {
                whole = Some(if cut { pair.path.join(bytes(&name)) } else { path });
            }
        }
        Ok(more)
    }

    fn top(&self) -> Result<Pair> {
        let open = |side: BorrowedFd<'_>| {
            open_directory(side, c".")
                .map_err(|errno| Failure::Kernel("open", errno).into_error(Path::new("/")))
        };
        Ok(Pair {
            path: PathBuf::new(),
            from: self.trees.from.map(open).transpose()?,
            to: Some(open(self.trees.to)?),
            trusted: true,
            // Nobody moves the top.
            touched: false,
        })
    }

    /// Compares one entry. Answers whether only one of the trees has it, or each
    /// another type of it, and what is to be done beneath it. Where it goes, or
    /// something else takes its place, while it is looked at, it is looked at again.
    fn compare_entry(&self, pair: &Arc<Pair>, name: &CStr, beneath: bool) -> Result<(bool, Vec<Task>)> {
        let path = if name == c"." { PathBuf::new() } else { pair.path.join(bytes(name)) };
        let mut tries = 1;
        loop {
            match self.try_to_compare(pair, name, &path, beneath) {
                Err(Failure::Kernel(_, errno)) if MOVED_ON.contains(&errno) && tries < MOST_TRIES => {
                    tries += 1;
                }
                outcome => return outcome.map_err(|failure| failure.into_error(&Path::new("/").join(&path))),
            }
        }
    }

    /// Adds nothing to what was found where it fails.
    fn try_to_compare(
        &self,
        pair: &Arc<Pair>,
        name: &CStr,
        path: &Path,
        beneath: bool,
    ) -> Result<(bool, Vec<Task>), Failure> {
        let (from, to) = (look_at(pair.from.as_ref(), name)?, look_at(pair.to.as_ref(), name)?);
        let (from, to) = (from.as_ref(), to.as_ref());
        if let (Some((from_side, a)), Some((to_side, b))) = (from, to) {
            let one = Place { directory: from_side.as_fd(), name, stat: a };
            let other = Place { directory: to_side.as_fd(), name, stat: b };
            if one.file_type() == other.file_type() {
                let changed = self.unchanged_before.is_none_or(|then| !is_before(b, then));
                let what =
                    if changed || !pair.trusted { differs(one, other, &self.trees)? } else { What::NOTHING };
                let is_directory = other.file_type() == FileType::Directory;
                if !is_directory && (a.st_nlink > 1 || b.st_nlink > 1) {
                    lock(&self.linked).push(Linked::of(path, Some(a), Some(b), !what.is_nothing()));
                }
                if !what.is_nothing() {
                    let change = Change::of(path.to_owned(), Kind::Modified(what), b);
                    lock(&self.changes).push(Change { size_before: size_of(a), ..change });
                }
                let mut more = Vec::new();
                if is_directory && beneath {
                    let moved = pair.touched && changed;
                    let entered =
                        Entered { in_both: true, trusted: pair.trusted && !moved, touched: changed };
                    more.push(Task::Enter(pair.clone(), name.to_owned(), entered));
                }
                return Ok((false, more));
            }
        }
        if let Some((_, stat)) = from {
            if stat.st_nlink > 1 && !is_directory(stat) {
                lock(&self.linked).push(Linked::of(path, Some(stat), None, true));
            }
            lock(&self.changes).push(Change::of(path.to_owned(), Kind::Deleted, stat));
        }
        let mut more = Vec::new();
        if let Some((_, stat)) = to {
            if is_directory(stat) {
                let entered = Entered { in_both: false, trusted: false, touched: true };
                more.push(Task::Enter(pair.clone(), name.to_owned(), entered));
            } else if stat.st_nlink > 1 {
                lock(&self.linked).push(Linked::of(path, None, Some(stat), true));
            }
            lock(&self.changes).push(Change::of(path.to_owned(), Kind::Added, stat));
        }
        Ok((true, more))
    }

    fn enter(&self, pair: &Arc<Pair>, name: &CStr, entered: Entered) -> Result<Vec<Task>> {
        let path = if name == c"." { PathBuf::new() } else { pair.path.join(bytes(name)) };
        let failed = |failure: Failure| failure.into_error(&Path::new("/").join(&path));
        let open = |side: &OwnedFd| match open_directory(side.as_fd(), name) {
            Ok(opened) => Ok(Some(opened)),
            // Gone since it was looked at, or something else by now.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(errno) => Err(Failure::Kernel("open", errno)),
        };
        let side = |wanted: bool, side: &Option<OwnedFd>| match side {
            Some(side) if wanted => open(side),
            _ => Ok(None),
        };
        let from = side(entered.in_both, &pair.from).map_err(failed)?;
        let to = side(true, &pair.to).map_err(failed)?;
        let mut names = Vec::new();
        for directory in from.iter().chain(&to) {
            list(directory, &mut names).map_err(failed)?;
        }
        names.sort_unstable();
        names.dedup();
        let Entered { trusted, touched, .. } = entered;
        let inner = Arc::new(Pair { path, from, to, trusted, touched });
        Ok(names.chunks(BATCH).map(|names| Task::Compare(inner.clone(), names.to_vec())).collect())
    }
}

impl Change {
    fn of(path: PathBuf, kind: Kind, stat: &Stat) -> Self {
        let file_type = FileType::from_raw_mode(stat.st_mode);
        Self { path, kind, file_type, size: size_of(stat), size_before: 0, link: None }
    }
}

pub(super) fn size_of(stat: &Stat) -> u64 {
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
        stat.st_size.unsigned_abs()
    } else {
        0
    }
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn is_before(stat: &Stat, then: Timespec) -> bool {
    (stat.st_ctime, stat.st_ctime_nsec) < (then.tv_sec, then.tv_nsec.unsigned_abs())
}

/// Looks at an entry; `None` where there is none, or no directory.
fn look_at<'a>(side: Option<&'a OwnedFd>, name: &CStr) -> Result<Option<(&'a OwnedFd, Stat)>, Failure> {
    let Some(side) = side else { return Ok(None) };
    match statat(side, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some((side, stat))),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(Failure::Kernel("look at", errno)),
    }
}

/// Looks at the entry at a path, component by component: a path may be longer
/// than the kernel takes, and a container may put a symlink into it meanwhile.
pub(super) fn look_up(top: BorrowedFd<'_>, path: &Path) -> Result<Option<Stat>, Failure> {
    let mut here = open_directory(top, c".").map_err(during("open"))?;
    let mut names = path.iter().filter_map(|name| CString::new(name.as_bytes()).ok()).peekable();
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            return Ok(look_at(Some(&here), &name)?.map(|(_, stat)| stat));
        }
        here = match open_directory(here.as_fd(), &name) {
            Ok(opened) => opened,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(errno) => return Err(Failure::Kernel("open", errno)),
        };
    }
    rustix::fs::fstat(&here).map(Some).map_err(during("look at"))
}

pub(super) fn open_directory(at: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    open_quietly(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)
}

/// Adds the names in a directory.
pub(super) fn list(directory: &OwnedFd, names: &mut Vec<CString>) -> Result<(), Failure> {
    // Through a descriptor of its own: the place in a listing is the descriptor's.
    let listing = open_directory(directory.as_fd(), c".").map_err(during("list"))?;
    for entry in Dir::new(listing).map_err(during("list"))? {
        let entry = entry.map_err(during("list"))?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(())
}

pub(super) fn bytes(name: &CStr) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()))
}
