//! What `--repair` does, finding by finding. Nothing that an image or container
//! needs is ever touched.

use rustix::mount::UnmountFlags;

use super::look::{Cure, Found};
use crate::backend::NodeId;
use crate::engine::rm::Removal;
use crate::engine::{Engine, host_files};
use crate::error::{Error, ErrorKind, Result};
use crate::sandbox::Cgroup;
use crate::store::manifest::rebuild::SPARED;
use crate::store::{Durability, container, image, journal, node, sql, version};

impl Engine {
    /// Does what can be done about a finding. Whether it helped is seen by looking
    /// again.
    pub(super) async fn cure(&self, found: &Found) -> Result<()> {
        match &found.cure {
            Cure::None => Ok(()),
            Cure::Sweep => self.sweep().await,
            Cure::Stray { backend, node } => self.delete_stray(backend, *node).await.map(drop),
            Cure::Unneeded(node) => self.delete_unneeded(*node).await,
            Cure::RemoveDirectory(id) => self.remove_container_directory(id),
            Cure::MakeDirectory(id) => host_files::make_directory(&self.root.container(id)),
            Cure::Unmount(path) => rustix::mount::unmount(path, UnmountFlags::NOFOLLOW)
                .map_err(|errno| Error::io(format_args!("cannot unmount '{}'", path.display()), errno)),
            Cure::RemoveGroup(id) => match Cgroup::of(id)? {
                Some(group) => group.remove(),
                None => Ok(()),
            },
            Cure::Manifests => self.store.manifests().keep_all(&self.store).map(drop),
            Cure::RemoveVersion { image, number } => self.remove_version(image, *number).await,
            Cure::RemoveContainer(id) => {
                let found = container::find(self.store.read(), id)?;
                self.remove_container(&found, Removal::Asked).await.map(drop)
            }
        }
    }

    /// Deletes a node that the records know, unless something has come to need it.
    async fn delete_unneeded(&self, node: NodeId) -> Result<()> {
        let actor = self.actor()?;
        let intent = self.store.write(Durability::Quick, |tx| {
            if node::is_needed(tx, node)? {
                return Ok(None);
            }
            let intent = journal::begin(tx, actor, &[])?;
            node::condemn(tx, intent, node)?;
            Ok(Some(intent))
        })?;
        crate::crash_point!("check.after-condemned");
        match intent {
            Some(intent) => self.settle(intent).await,
            None => Ok(()),
        }
    }

    /// Removes a version whose layers are gone, and the image with its last one.
    async fn remove_version(&self, id: &str, number: u32) -> Result<()> {
        let actor = self.actor()?;
        let intent = self.store.write(Durability::Flushed, |tx| {
            let intent = journal::begin(tx, actor, &[format!("image {id}")])?;
            version::delete(tx, id, number)?;
            tx.execute(
                "UPDATE image SET head = coalesce((SELECT max(number) FROM version WHERE image = ?1 \
                 AND layer IS NOT NULL), head) WHERE id = ?1 AND head = ?2",
                rusqlite::params![id, number],
            )
            .map_err(sql)?;
            if !version::any_present(tx, id)? {
                image::delete(tx, id)?;
            }
            Ok(intent)
        })?;
        crate::crash_point!("check.after-removed");
        self.keep_manifests(&[id]);
        // Layers beneath that nothing needs any more are found by the next look.
        self.settle(intent).await
    }

    /// Nodes that nothing refers to were deleted, as somebody asked for it.
    pub(super) fn spare_no_more(&self) -> Result<()> {
        self.store.write(Durability::Quick, |tx| {
            tx.execute("DELETE FROM meta WHERE key = ?1", [SPARED]).map(drop).map_err(sql)
        })
    }

    /// Frees the space of what was deleted, by whoever.
    pub(super) async fn reclaim_everywhere(&self) -> Result<u64> {
        let names = node::backends(self.store.read())?;
        match self.reclaim(&names).await {
            Err(error) if error.kind() == ErrorKind::Busy => Ok(0),
            reclaimed => reclaimed,
        }
    }
}
