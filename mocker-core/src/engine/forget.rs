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
    pub async fn forget_backend(&self, name: &str) -> Result<usize> {
        let containers = self.store.write(Durability::Flushed, |tx| {
            if let Some((verb, pid)) = journal::any(tx)? {
                return Err(Error::new(
                    ErrorKind::Busy,
                    format!("'mocker {verb}' (process {pid}) is at work in this root"),
                )
                .with_hint("try again when it is done"));
            }
            let held = container::on_backend(tx, name)?;
            if let Some((running, _)) = held.iter().find(|(_, runs)| *runs) {
                return Err(Error::new(ErrorKind::Busy, format!("container {running} is running"))
                    .with_hint(format!("end it: mocker rm -f {running}")));
            }
            node::forget_backend(tx, name)?;
            Ok(held)
        })?;
        for (id, _) in &containers {
            self.remove_container_directory(id)?;
        }
        Ok(containers.len())
    }
}
