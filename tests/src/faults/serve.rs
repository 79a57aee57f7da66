//! The process that serves a disk: a FUSE file system of one file.
//!
//! It is a process of its own, which touches nothing that lies on the disk: the
//! kernel writes to the disk when it needs memory, and would wait for itself.
//! When it ends, however it does, the kernel fails whatever waits for the disk
//! (`fuse_dev_release` of fs/fuse/dev.c, Linux 6.18), so nothing hangs for long. It ends when
//! its input does, which comes with the end of the process that started it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request,
    Session, WriteFlags,
};

use super::blocks::Blocks;

/// The variables that make a process of this program serve a disk: the file, and
/// where the disk is mounted.
pub(super) const IMAGE: &str = "MOCKER_TEST_DISK";
pub(super) const PLACE: &str = "MOCKER_TEST_DISK_AT";
/// The one file there.
pub(super) const NAME: &str = "disk";
/// The answer to every order, and the first word.
pub(super) const DONE: &str = "done";

const DISK: INodeNo = INodeNo(2);
/// Nothing ever changes but the bytes.
const FOREVER: Duration = Duration::from_secs(1 << 30);

/// Serves a disk instead, where this process was started for that. Call it
/// first in `main`.
pub fn serve_if_asked() -> Option<ExitCode> {
    let (image, place) = (std::env::var_os(IMAGE)?, std::env::var_os(PLACE)?);
    let served = serve(Path::new(&image), Path::new(&place));
    Some(served.map_or_else(
        |error| {
            let _nobody = writeln!(io::stdout(), "cannot serve a disk: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    ))
}

fn serve(image: &Path, place: &Path) -> io::Result<()> {
    let image = File::options().read(true).write(true).open(image)?;
    let state = Arc::new(Mutex::new(State { blocks: Blocks::of(image), failing: Failing::default() }));
    // When memory is short, the kernel must not wait here for what this process has to write
    // (PR_SET_IO_FLUSHER of prctl(2), Linux 5.6). A container's root may lack the right to ask for
    // that, and short of memory it is seldom.
    let _refused = rustix::process::configure_io_flusher_behavior(true);
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("mocker-test-disk".to_owned()), MountOption::NoAtime];
    let session = Session::new(Server(state.clone()), place, &config)?.spawn()?;
    let mut answers = io::stdout();
    writeln!(answers, "{DONE}")?;
    for order in io::stdin().lock().lines() {
        lock(&state).obey(&order?)?;
        writeln!(answers, "{DONE}")?;
    }
    // Not unmounted: who started this does, or the janitor of the place.
    std::mem::forget(session);
    Ok(())
}

#[derive(Debug)]
struct State {
    blocks: Blocks,
    failing: Failing,
}

/// What fails from now on.
#[derive(Debug, Default, Clone, Copy)]
struct Failing {
    reads: bool,
    writes: bool,
    flushes: bool,
}

impl State {
    /// `fail [reads] [writes] [flushes]`; `cut SEED PERCENT`, after which
    /// nothing works any more, and that share of what was not flushed is kept.
    fn obey(&mut self, order: &str) -> io::Result<()> {
        let words: Vec<_> = order.split(' ').collect();
        let is = |word| words.contains(&word);
        match words.as_slice() {
            ["fail", ..] => {
                self.failing = Failing { reads: is("reads"), writes: is("writes"), flushes: is("flushes") };
                Ok(())
            }
            ["cut", seed, percent] => {
                self.failing = Failing { reads: true, writes: true, flushes: true };
                let number = |word: &str| word.parse().map_err(io::Error::other);
                let (mut chance, percent) = (fastrand::Rng::with_seed(number(seed)?), number(percent)?);
                self.blocks.lose(|| chance.u64(..100) < percent)
            }
            _ => Err(io::Error::other(format!("no such order: '{order}'"))),
        }
    }

    fn read(&self, offset: u64, size: usize) -> Result<Vec<u8>, Errno> {
        if self.failing.reads {
            return Err(Errno::EIO);
        }
        self.blocks.read(offset, size).map_err(Errno::from)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        if self.failing.writes {
            return Err(Errno::EIO);
        }
        self.blocks.write(offset, bytes).map_err(Errno::from)
    }

    fn flush(&mut self) -> Result<(), Errno> {
        if self.failing.flushes {
            return Err(Errno::EIO);
        }
        self.blocks.flush().map_err(Errno::from)
    }

    fn attributes(&self, node: INodeNo) -> FileAttr {
        let (kind, size) = match node {
            DISK => (FileType::RegularFile, self.blocks.size().unwrap_or_default()),
            _ => (FileType::Directory, 0),
        };
        FileAttr {
            ino: node,
            size,
            blocks: size / 512,
            atime: SystemTime::UNIX_EPOCH,
            mtime: SystemTime::UNIX_EPOCH,
            ctime: SystemTime::UNIX_EPOCH,
            crtime: SystemTime::UNIX_EPOCH,
            kind,
            perm: 0o700,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: 0,
            blksize: 4096,
        }
    }
}

struct Server(Arc<Mutex<State>>);

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Filesystem for Server {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if parent == INodeNo::ROOT && name == NAME {
            reply.entry(&FOREVER, &lock(&self.0).attributes(DISK), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&FOREVER, &lock(&self.0).attributes(node));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match lock(&self.0).read(offset, size as usize) {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match lock(&self.0).write(offset, bytes) {
            Ok(()) => reply.written(u32::try_from(bytes.len()).unwrap_or_default()),
            Err(errno) => reply.error(errno),
        }
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        match lock(&self.0).flush() {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    // What close(2) sends; it promises nothing.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }
}
