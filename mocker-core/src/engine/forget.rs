//! Forgetting everything that one backend held, when its storage goes.

use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Durability, container, journal, node};

impl Engine {
    /// Removes the records of all images and containers on a backend, whose
    /// storage is about to be destroyed as a whole. Answers how many there
    /// were.
    ///
    /// One transaction is the commit point. Stopped after it, the storage
    /// holds trees that nothing refers to.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where one of the containers runs, or any verb is
    /// under way.
    pub fn forget_backend(&self, name: &str) -> Result<usize> {
        let containers = self.store.write(Durability::Flushed, |tx| {
            let held = used_by(tx, name)?;
            node::forget_backend(tx, name)?;
            Ok(held)
        })?;
        self.keep_all_manifests();
        for id in &containers {
            self.remove_container_directory(id)?;
        }
        Ok(containers.len())
    }

    /// Refuses where a verb is under way or a container of a backend runs, so
    /// that its storage must stay where it is.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`], naming the holder.
    pub fn refuse_if_used(&self, name: &str) -> Result<()> {
        used_by(self.store.read(), name).map(drop)
    }
}

/// The containers on a backend, where none of them runs and no verb is under
/// way.
fn used_by(connection: &rusqlite::Connection, name: &str) -> Result<Vec<String>> {
    if let Some((verb, pid)) = journal::any(connection)? {
        return Err(Error::new(
            ErrorKind::Busy,
            format!("'mocker {verb}' (process {pid}) is at work in this root"),
        )
        .with_hint("try again when it is done"));
    }
    let held = container::on_backend(connection, name)?;
    if let Some((running, _)) = held.iter().find(|(_, runs)| *runs) {
        return Err(Error::new(ErrorKind::Busy, format!("container {running} is running"))
            .with_hint(format!("end it: mocker rm -f {running}")));
    }
    Ok(held.into_iter().map(|(id, _)| id).collect())
}
