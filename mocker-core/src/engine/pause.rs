//! Holding a running container still while its tree is copied.

use std::time::{Duration, Instant};

use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::sandbox::Cgroup;
use crate::store::container::Container;
use crate::store::{Durability, journal};

/// What an intent holds while it has a container frozen, so that whoever
/// cleans up after its process thaws it.
const FROZEN: &str = "frozen ";

/// A container that stands still. Dropping it lets it run on.
#[derive(Debug)]
pub(super) struct Paused {
    /// `None` where somebody else had frozen it before: then it stays so.
    ours: Option<Cgroup>,
    since: Instant,
}

impl Engine {
    /// Freezes a container on behalf of an intent.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where it has no control group;
    /// [`ErrorKind::Busy`] where it does not stand still.
    pub(super) fn pause(&self, intent: i64, this: &Container) -> Result<Paused> {
        let since = Instant::now();
        let Some(group) = Cgroup::of(&this.id)? else {
            if this.process.is_some_and(|process| !process.is_alive()) {
                return Err(Error::new(ErrorKind::Busy, "it ended just now").with_hint("try again"));
            }
            return Err(Error::new(
                ErrorKind::Unsupported,
                "it cannot be paused, because there was no control group to start it in",
            )
            .with_hint(
                "wait for it to end; or mount a cgroup2 file system at /sys/fs/cgroup, writable, and start it \
                 again",
            ));
        };
        let ended = |error: Error| {
            if error.kind() == ErrorKind::NotFound {
                Error::new(ErrorKind::Busy, "it ended just now").with_hint("try again")
            } else {
                error
            }
        };
        if group.is_frozen().map_err(ended)? {
            crate::story!("container {} is paused already, and stays so", this.id);
            return Ok(Paused { ours: None, since });
        }
        let object = format!("{FROZEN}{}", this.id);
        self.store.write(Durability::Quick, |tx| journal::hold(tx, intent, &object))?;
        group.freeze().map_err(ended)?;
        Ok(Paused { ours: Some(group), since })
    }

    /// Thaws the containers that an intent had frozen.
    pub(super) fn thaw_of(&self, objects: &[String]) -> Result<()> {
        for id in objects.iter().filter_map(|object| object.strip_prefix(FROZEN)) {
            if let Some(group) = Cgroup::of(id)? {
                group.thaw()?;
            }
        }
        Ok(())
    }
}

impl Paused {
    /// Lets the container run on; answers for how long it stood still.
    pub(super) fn resume(mut self) -> Result<Duration> {
        self.ours.take().map_or(Ok(()), |group| group.thaw())?;
        Ok(self.since.elapsed())
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        if let Some(group) = self.ours.take()
            && let Err(error) = group.thaw()
        {
            // Ending the intent tries again, and reports it.
            crate::story!("{error}");
        }
    }
}
