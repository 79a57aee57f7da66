//! Copies what the container writes to our own output and to its log.

use std::io::IoSlice;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ReadWriteFlags, pwritev2, read, write};

use super::log::{LogWriter, Stream};
use crate::{Error, ErrorKind, Result};

/// As much as a pipe holds (pipe(7)).
const CHUNK: usize = 64 << 10;

/// As much as is written in one piece (`PIPE_BUF`, pipe(7)).
const AT_ONCE: usize = 4096;

/// What a copy listens to, and where it goes.
pub(super) struct Ends<'a> {
    /// Our own output.
    pub(super) ours: BorrowedFd<'a>,
    /// Becomes readable when the container is dead.
    pub(super) dead: BorrowedFd<'a>,
    /// Becomes readable when nobody wants to wait for the reader any longer.
    pub(super) give_up: BorrowedFd<'a>,
}

/// Copies from `pipe` to our own output and to the log until the container has closed
/// it, or is dead and all that it wrote was read: a process outside may hold
/// the other end, and nobody shall wait for that one.
///
/// Where our own output is gone the pipe is closed, so that the container
/// meets what it would have met without us, `SIGPIPE`. Answers the first
/// failure of the log and of the output; a closed output is none.
pub(super) fn copy(pipe: OwnedFd, ends: &Ends<'_>, stream: Stream, log: &LogWriter) -> Vec<Error> {
    let mut lost = Vec::new();
    let mut log_failed = false;
    let mut buffer = vec![0; CHUNK];
    loop {
        let length = match wait(&pipe, ends.dead)
            .and_then(|more| if more { read(&pipe, &mut buffer) } else { Ok(0) })
        {
            Ok(0) => break,
            Ok(length) => length,
            Err(Errno::INTR) => continue,
            Err(error) => {
                lost.push(Error::io("cannot read the container's output", error));
                break;
            }
        };
        let chunk = &buffer[..length];
        if let Err(error) = log.append(stream, chunk)
            && !log_failed
        {
            log_failed = true;
            lost.push(error);
        }
        match write_all(ends, chunk) {
            Ok(()) => {}
            Err(Errno::PIPE) => break,
            Err(Errno::CANCELED) => {
                lost.push(Error::new(ErrorKind::Interrupted, "the rest of the output was given up"));
                break;
            }
            Err(error) => {
                lost.push(Error::io("cannot pass the container's output on", error));
                break;
            }
        }
    }
    // Closed now, not when the container is reaped: see above.
    drop(pipe);
    lost
}

/// Waits until there is something to read (or its end), and answers false
/// when there will never be any more.
fn wait(pipe: &OwnedFd, dead: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut both = [PollFd::new(pipe, PollFlags::IN), PollFd::from_borrowed_fd(dead, PollFlags::IN)];
    poll(&mut both, None)?;
    if !both[0].revents().is_empty() {
        return Ok(true);
    }
    // Dead, and the pipe was empty before that was known: look once more.
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&now))? > 0)
}

/// Writes all of it, however long the reader takes; `CANCELED` where we are
/// told not to wait any longer.
fn write_all(ends: &Ends<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write_some(ends.ours, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let ours = PollFd::from_borrowed_fd(ends.ours, PollFlags::OUT);
                let mut both = [ours, PollFd::from_borrowed_fd(ends.give_up, PollFlags::IN)];
                poll(&mut both, None)?;
                if !both[1].revents().is_empty() {
                    return Err(Errno::CANCELED);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes what can be written without waiting for a reader; `AGAIN` where that
/// is nothing.
fn write_some(to: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    // An offset of -1 is the descriptor's own position (pwritev2(2)).
    match pwritev2(to, &[IoSlice::new(bytes)], u64::MAX, ReadWriteFlags::NOWAIT) {
        // A terminal or a file that does not know it: little at once, and only when there is room.
        Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::SPIPE) => {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            if poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], Some(&now))? == 0 {
                return Err(Errno::AGAIN);
            }
            write(to, &bytes[..bytes.len().min(AT_ONCE)])
        }
        outcome => outcome,
    }
}
