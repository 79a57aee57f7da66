//! Getting the space of deleted nodes back.
//!
//! A verb that deletes does not wait for it. Where the file system frees space
//! by itself there is nothing to do; elsewhere somebody must remove the trees,
//! one process at a time, and may be stopped at any point.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;

use crate::backend::Reclaim;
use crate::engine::Engine;
use crate::error::{Error, Result};

impl Engine {
    /// The backends on which something was deleted through this engine whose
    /// space only [`Engine::reclaim`] brings back.
    pub fn rubbish(&self) -> Vec<String> {
        self.deleted_on
            .borrow()
            .iter()
            .filter(|(_, how)| **how == Reclaim::Backend)
            .map(|(n, _)| n.clone())
            .collect()
    }

    /// Removes for good what was deleted on these backends, unless another
    /// process is at it. Answers how many nodes' space came back.
    ///
    /// # Errors
    /// Those of the backends; a later call goes on.
    pub async fn reclaim(&self, backends: &[String]) -> Result<u64> {
        let lock = self.open_reclaim_lock()?;
        match lock.try_lock() {
            Ok(()) => self.reclaim_locked(backends).await,
            Err(TryLockError::WouldBlock) => Ok(0),
            Err(TryLockError::Error(error)) => Err(cannot_lock(error)),
        }
    }

    /// Returns when the space of everything that was deleted through this
    /// engine is back.
    ///
    /// # Errors
    /// As [`Engine::reclaim`].
    pub async fn wait_for_space(&self) -> Result<u64> {
        let backends: Vec<_> = self.deleted_on.borrow().keys().cloned().collect();
        let lock = self.open_reclaim_lock()?;
        lock.lock().map_err(cannot_lock)?;
        self.reclaim_locked(&backends).await
    }

    async fn reclaim_locked(&self, backends: &[String]) -> Result<u64> {
        let mut count = 0;
        for name in backends {
            let reclaimed = self.backend(name).await?.reclaim().await?;
            crate::story!("backend {name}: the space of {} deleted nodes is back", reclaimed.nodes);
            count += reclaimed.nodes;
            self.deleted_on.borrow_mut().remove(name);
        }
        Ok(count)
    }

    fn open_reclaim_lock(&self) -> Result<File> {
        let path = self.root.path().join("reclaim.lock");
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        open.map_err(|error| Error::io(format_args!("cannot open '{}'", path.display()), error))
    }
}

fn cannot_lock(error: std::io::Error) -> Error {
    Error::io("cannot lock the reclaiming of space", error)
}
