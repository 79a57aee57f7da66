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
use crate::store::node;

impl Engine {
    /// Whether something was deleted through this engine whose space only
    /// [`Engine::reclaim`] brings back.
    pub fn has_rubbish(&self) -> bool {
        self.rubbish.get()
    }

    /// Removes for good what was deleted, unless another process is at it.
    /// Answers how many nodes' space came back.
    ///
    /// # Errors
    /// Those of the backends; a later call goes on.
    pub async fn reclaim(&self) -> Result<u64> {
        let lock = self.open_reclaim_lock()?;
        match lock.try_lock() {
            Ok(()) => self.reclaim_locked(|reclaim| reclaim == Reclaim::Backend).await,
            Err(TryLockError::WouldBlock) => Ok(0),
            Err(TryLockError::Error(error)) => Err(cannot_lock(error)),
        }
    }

    /// Returns when the space of everything deleted so far is back.
    ///
    /// # Errors
    /// As [`Engine::reclaim`].
    pub async fn wait_for_space(&self) -> Result<u64> {
        let lock = self.open_reclaim_lock()?;
        lock.lock().map_err(cannot_lock)?;
        self.reclaim_locked(|_| true).await
    }

    async fn reclaim_locked(&self, wanted: impl Fn(Reclaim) -> bool) -> Result<u64> {
        let mut count = 0;
        for name in node::backends(self.store.read())? {
            let backend = self.backend(&name).await?;
            if !wanted(backend.capabilities().reclaim) {
                continue;
            }
            let reclaimed = backend.reclaim().await?;
            crate::story!("backend {name}: the space of {} deleted nodes is back", reclaimed.nodes);
            count += reclaimed.nodes;
        }
        self.rubbish.set(false);
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
