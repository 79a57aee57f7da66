//! Copies what the container writes to our own output and to its log.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};

use super::log::{LogWriter, Stream};
use crate::{Error, Result};

/// As much as a pipe holds (pipe(7)).
const CHUNK: usize = 64 << 10;

/// Copies from `pipe` to `ours` and to the log until the container has closed
/// it, or is dead and all that it wrote was read: a process outside may hold
/// the other end, and nobody shall wait for that one.
///
/// Where our own output is gone the pipe is closed, so that the container
/// meets what it would have met without us, `SIGPIPE`. Answers the first
/// failure of the log and of the output; a closed output is none.
pub(super) fn copy(
    pipe: OwnedFd,
    dead: BorrowedFd<'_>,
    ours: BorrowedFd<'_>,
    stream: Stream,
    log: &LogWriter,
) -> Vec<Error> {
    let mut lost = Vec::new();
    let mut log_failed = false;
    let mut buffer = vec![0; CHUNK];
    loop {
        let length =
            match wait(&pipe, dead).and_then(|more| if more { read(&pipe, &mut buffer) } else { Ok(0) }) {
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
        match write_all(ours, chunk) {
            Ok(()) => {}
            Err(Errno::PIPE) => break,
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

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write(to, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            // Somebody who shares our output made it non-blocking.
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::from_borrowed_fd(to.as_fd(), PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
