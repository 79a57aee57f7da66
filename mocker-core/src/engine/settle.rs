//! Deleting what a verb leaves over, whether it succeeded, failed or died.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::image::{CONTAINER_PREFIX, IMAGE_PREFIX};
use crate::store::{Durability, container, image, journal, node, sql};

impl Engine {
    /// Deletes every pending or condemned node of an intent and the
    /// directories of containers that were not made or are gone, and ends it.
    ///
    /// Stopped at any point it can be repeated.
    ///
    /// # Errors
    /// Those of the backend and the store; the intent then stays, and a later
    /// open tries again.
    pub(super) async fn settle(&self, intent: i64) -> Result<()> {
        // What it read may have lost all its other users meanwhile, who left it to this intent.
        for name in journal::backends_read(self.store.read(), intent)? {
            let layers = self.backend(&name).await?.capabilities().layers;
            self.store
                .write(Durability::Quick, |tx| node::condemn_unreferenced(tx, intent, &name, layers))?;
        }
        let rubbish = journal::rubbish(self.store.read(), intent)?;
        let mut deleted = Vec::new();
        let mut failure: Option<Error> = None;
        for (node, name) in &rubbish {
            let delete = async {
                let backend = self.backend(name).await?;
                backend.delete(*node).await?;
                self.deleted_on.borrow_mut().insert(name.clone(), backend.capabilities().reclaim);
                Ok(())
            };
            match (delete.await, failure.take()) {
                (Ok(()), before) => {
                    deleted.push(*node);
                    failure = before;
                }
                (Err(error), None) => failure = Some(error),
                (Err(error), Some(before)) => failure = Some(before.and_also(&error)),
            }
        }
        let objects = self.objects_of(intent)?;
        self.thaw_of(&objects)?;
        let containers = objects.iter().filter_map(|object| object.strip_prefix("container "));
        let mut gone = Vec::new();
        for id in containers.filter(|id| id.starts_with(CONTAINER_PREFIX)) {
            if !container::exists(self.store.read(), id)? {
                self.remove_container_directory(id)?;
                gone.push(id);
            }
        }
        let images = objects.iter().filter_map(|object| object.strip_prefix("image "));
        for id in images.filter(|id| id.starts_with(IMAGE_PREFIX)) {
            if !image::exists(self.store.read(), id)? {
                gone.push(id);
            }
        }
        gone.retain(|id| self.store.manifests().has(id));
        self.keep_manifests(&gone);
        self.store.write(Durability::Quick, |tx| {
            deleted.iter().try_for_each(|node| journal::forget(tx, *node))?;
            if failure.is_none() { journal::end(tx, intent) } else { Ok(()) }
        })?;
        failure.map_or(Ok(()), Err)
    }

    /// Ends a verb that succeeded. What cannot be deleted now is no failure of
    /// the verb: it is said, and a later open tries again.
    pub(super) async fn settle_after(&self, intent: i64) -> Vec<String> {
        match self.settle(intent).await {
            Ok(()) => Vec::new(),
            Err(error) => vec![format!(
                "done, but something is left to clean up, which the next command tries again: {error}"
            )],
        }
    }

    /// Ends a verb that failed before its commit point: the old state stands.
    pub(super) async fn give_up<T>(&self, intent: i64, error: Error) -> Result<T> {
        crate::story!("giving up and deleting what was made so far");
        Err(error.after_cleanup(self.settle(intent).await))
    }

    pub(super) fn objects_of(&self, intent: i64) -> Result<Vec<String>> {
        let mut statement = self
            .store
            .read()
            .prepare_cached("SELECT object FROM intent_object WHERE intent = ?1")
            .map_err(sql)?;
        let rows = statement.query_map([intent], |row| row.get::<_, String>(0)).map_err(sql)?;
        rows.collect::<Result<_, _>>().map_err(sql)
    }

    pub(super) fn remove_container_directory(&self, id: &str) -> Result<()> {
        let path = self.root.container(id);
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format_args!("cannot remove '{}'", path.display()), error))
            }
            _ => Ok(()),
        }
    }
}
