//! A queue of tasks that make further tasks, worked off by a few threads.

use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::{Error, Result};

/// More workers than this do not make a disk faster.
const MOST_WORKERS: usize = 8;

struct Queue<T> {
    tasks: Vec<T>,
    busy: usize,
    workers: usize,
    failure: Option<Error>,
}

struct Work<T, P> {
    queue: Mutex<Queue<T>>,
    changed: Condvar,
    perform: P,
    /// Asked for only when a second one is wanted: the answer is read from the
    /// files of the control groups.
    most_workers: OnceLock<usize>,
}

/// Performs all tasks and those that they answer, the newest first: depth
/// before breadth keeps few directories open. A second thread starts when there
/// is a second task, and so on. Each thread has an `S` of its own to work with.
///
/// # Errors
/// The first failure of any task; those that had not begun are dropped then.
pub(crate) fn perform_all<T, S>(
    first: Vec<T>,
    perform: impl Fn(T, &mut S) -> Result<Vec<T>> + Sync,
) -> Result<()>
where
    T: Send,
    S: Default,
{
    let queue = Queue { tasks: first, busy: 0, workers: 1, failure: None };
    let work =
        Work { queue: Mutex::new(queue), changed: Condvar::new(), perform, most_workers: OnceLock::new() };
    std::thread::scope(|scope| work.work_in(scope));
    match lock(&work.queue).failure.take() {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

fn most_workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, MOST_WORKERS)
}

impl<T: Send, P> Work<T, P> {
    fn work_in<'scope, S: Default>(&'scope self, scope: &'scope std::thread::Scope<'scope, '_>)
    where
        P: Fn(T, &mut S) -> Result<Vec<T>> + Sync,
    {
        let mut own = S::default();
        let mut queue = lock(&self.queue);
        loop {
            if queue.failure.is_some() {
                queue.tasks.clear();
                return;
            }
            if let Some(task) = queue.tasks.pop() {
                queue.busy += 1;
                if !queue.tasks.is_empty() && queue.workers < *self.most_workers.get_or_init(most_workers) {
                    queue.workers += 1;
                    scope.spawn(move || self.work_in(scope));
                }
                drop(queue);
                let outcome = (self.perform)(task, &mut own);
                queue = lock(&self.queue);
                queue.busy -= 1;
                match outcome {
                    Ok(more) => queue.tasks.extend(more),
                    Err(error) => {
                        queue.failure.get_or_insert(error);
                    }
                }
                self.changed.notify_all();
            } else if queue.busy == 0 {
                return;
            } else {
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A worker that panicked left nothing half-changed: each change is one push or one insert.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn tasks_make_tasks_until_there_are_none() {
        let done = AtomicUsize::new(0);
        let split = |size: usize, _: &mut ()| {
            done.fetch_add(1, Ordering::Relaxed);
            Ok(if size > 1 { vec![size / 2, size - size / 2] } else { Vec::new() })
        };
        perform_all(vec![1000], split).unwrap();
        assert_eq!(done.into_inner(), 1999);
    }

    #[test]
    fn the_first_failure_comes_out_and_ends_it() {
        let fail = |number: u32, _: &mut ()| match number {
            7 => Err(Error::new(ErrorKind::Conflict, "seven")),
            _ => Ok(vec![number + 1]),
        };
        assert_eq!(perform_all(vec![0], fail).unwrap_err().to_string(), "seven");
    }
}
