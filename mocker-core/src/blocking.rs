//! Where the work of a storage call is done, with a runtime and without one.
//!
//! The methods of a backend are async, so that a program that serves many can
//! await them; each does its work in one blocking closure. On tokio that runs
//! on the pool for such work. A program that does one thing and ends, such as
//! the command line, has no runtime: there it runs at once on the calling
//! thread, which saves a thread for each call and leaves the process fit to be
//! forked.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tokio::runtime::Handle;

use crate::error::{Error, ErrorKind, Result};

/// Runs one backend call: on the blocking pool of the runtime that the caller
/// is in, or at once where there is none.
///
/// # Errors
/// Whatever `call` returns, and [`ErrorKind::Io`] if it panicked on the pool.
pub async fn blocking<T, F>(call: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    if Handle::try_current().is_err() {
        return call();
    }
    tokio::task::spawn_blocking(call).await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Io, format!("a storage call did not finish: {error}")))
    })
}

/// Runs a future of this library to its end on a thread that is in no runtime.
///
/// # Errors
/// What the future answers; [`ErrorKind::Unsupported`] where it has to wait for
/// something else than a storage call, as a backend of somebody else may, which
/// needs a runtime.
pub fn complete<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => Err(Error::new(
            ErrorKind::Unsupported,
            "a storage backend waits for something that only an async runtime can wake it for",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_runtime_a_call_is_made_at_once_on_this_thread() {
        let here = std::thread::current().id();
        let there = complete(blocking(|| Ok(std::thread::current().id()))).unwrap();
        assert_eq!(here, there);
    }

    #[test]
    fn in_a_runtime_a_call_is_made_on_its_pool() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let here = std::thread::current().id();
        let there = runtime.block_on(blocking(|| Ok(std::thread::current().id()))).unwrap();
        assert_ne!(here, there);
    }

    #[test]
    fn a_future_that_never_ends_is_an_error_and_no_hang() {
        let never = complete(std::future::pending::<Result<()>>());
        assert_eq!(never.unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
