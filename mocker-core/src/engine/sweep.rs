//! Cleaning up after processes that died, when a root is opened.
//!
//! An ordinary open looks only at leases, which are few, and at what carries one
//! that is free: finding nothing costs microseconds. The first
//! open after a boot compares every backend with the store as well, because a
//! power cut can take back the record of an intent and keep what it made.

use std::time::Duration;

use crate::backend::NodeId;
use crate::engine::rm::Removal;
use crate::engine::{Engine, host_files};
use crate::error::{Error, ErrorKind, Result};
use crate::image::CONTAINER_PREFIX;
use crate::mount::View;
use crate::sandbox::{Cgroup, HASTY};
use crate::store::container::{Container, End};
use crate::store::lease::{Holder, Lease};
use crate::store::manifest::rebuild::SPARED;
use crate::store::{Durability, container, journal, node, now, sql};
use crate::tree::leave_out;

/// The exit status of a command that was killed.
const KILLED: u8 = 137;

impl Engine {
    /// Cleans up after dead processes; see the module.
    ///
    /// # Errors
    /// Those of the backends and the store.
    pub(super) async fn sweep(&self) -> Result<()> {
        let boot = self.store.boot()?;
        let first = meta(self, "boot")?.as_deref() != Some(boot);
        let mut somebody_died = false;
        // A process that died when all its work was done left nothing but the file.
        let mut tokens = list_names(&self.root.leases())?;
        tokens.extend(journal::leases(self.store.read())?);
        tokens.sort_unstable();
        tokens.dedup();
        for token in tokens {
            if self.lease.get().is_some_and(|own| own.token() == token) {
                continue;
            }
            if let Holder::Dead(lease) = Lease::try_take(&self.root.leases(), &token)? {
                somebody_died = true;
                self.sweep_lease(&lease, first).await?;
            }
        }
        if first {
            self.sweep_after_boot(boot).await?;
        }
        if first || somebody_died || !self.store.has_manifests() {
            // Whoever died may have come past its commit point, and no further; a power cut may take
            // what was written last.
            self.keep_all_manifests();
        }
        Ok(())
    }

    /// Cleans up after one dead process. Holding its lease keeps others away;
    /// everything is read after it was taken.
    ///
    /// Its intents end before its containers are looked after: it may have died
    /// while it removed one of them, and that intent would then be in the way.
    ///
    /// What cannot be cleaned up is said, and stays for the next command to
    /// try; it is in the way of verbs on the same object alone.
    async fn sweep_lease(&self, lease: &Lease, of_another_boot: bool) -> Result<()> {
        let mut dead = Vec::new();
        for container in container::with_lease(self.store.read(), lease.token())? {
            let subject = format!("container {}", container.id);
            crate::story!("{subject}: the process that ran it is gone; ending what is left of it");
            // A process of another boot is dead, and its number may be anybody's by now.
            if of_another_boot || said(&subject, &end_run_of(&container)) {
                dead.push(container);
            }
        }
        // After those that have a record, which may be frozen and are thawed first.
        if !of_another_boot && !said("what a dead command forked", &end_carried(lease)) {
            return Ok(());
        }
        self.sweep_intents(lease).await?;
        for container in dead {
            let subject = format!("container {}", container.id);
            said(&subject, &self.clean_up_container(&container).await);
        }
        Ok(())
    }

    async fn clean_up_container(&self, dead: &Container) -> Result<()> {
        if dead.auto_remove {
            for note in self.remove_container(dead, Removal::EndOfRun).await? {
                crate::notice!("{note}");
            }
            return Ok(());
        }
        self.clean_targets(dead).await?;
        self.record_death(dead)
    }

    pub(super) async fn sweep_intents(&self, lease: &Lease) -> Result<()> {
        for intent in journal::intents_of(self.store.read(), lease.token())? {
            crate::story!("intent {intent}: its process is gone; deleting what it left unfinished");
            let settled = match self.remove_control_groups(intent) {
                Ok(()) => self.settle(intent).await,
                failed => failed,
            };
            said("what a dead command left", &settled);
        }
        Ok(())
    }

    /// A run that died early had a process in a group, and no record yet.
    fn remove_control_groups(&self, intent: i64) -> Result<()> {
        for object in self.objects_of(intent)? {
            if let Some(id) = object.strip_prefix("container ")
                && id.starts_with(CONTAINER_PREFIX)
                && !container::exists(self.store.read(), id)?
                && let Some(group) = Cgroup::of(id)?
            {
                group.remove()?;
            }
        }
        Ok(())
    }

    /// Waits until whoever has this lease is gone, and ends its intents where
    /// it could not.
    pub(super) async fn outwait(&self, token: &str) -> Result<()> {
        Lease::wait_for(&self.root.leases(), token)?;
        match Lease::try_take(&self.root.leases(), token)? {
            Holder::Dead(lease) => {
                end_carried(&lease)?;
                self.sweep_intents(&lease).await
            }
            Holder::Alive => Ok(()),
        }
    }

    fn record_death(&self, dead: &Container) -> Result<()> {
        let lease = dead.lease.as_deref().unwrap_or_default();
        self.store.write(Durability::Quick, |tx| match dead.process {
            Some(_) => {
                let end = End { status: KILLED, failure: Some("the mocker process that ran it was killed") };
                container::set_ended(tx, &dead.id, lease, end, now())
            }
            // Its command was never started: it is as it was before.
            None => container::release(tx, &dead.id, lease),
        })
    }

    /// Removes the mount points that a run made in a container's tree.
    pub(super) async fn clean_targets(&self, of: &Container) -> Result<()> {
        if of.leave_out.is_empty() {
            return Ok(());
        }
        // A commit may still be copying the tree of a container that was killed while it was paused.
        let object = format!("container {}", of.id);
        while let Some(holder) = journal::holder_of(self.store.read(), &object)? {
            let is_ours = self.lease.get().is_some_and(|own| own.token() == holder);
            if is_ours || of.lease.as_ref() == Some(&holder) {
                break;
            }
            self.outwait(&holder).await?;
        }
        let rootfs = match self.rootfs(of, &node::chain(self.store.read(), of.base)?).await {
            // A power cut took the tree back, and the mount points with it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        let view = View::open(&rootfs)?;
        let removed = leave_out::remove_if_empty(view.top(), &of.leave_out)?;
        crate::story!("removed {} mount points that the run had made in the tree", removed.len());
        Ok(())
    }

    async fn sweep_after_boot(&self, boot: &str) -> Result<()> {
        let spared = self.strays_are_spared()?;
        for name in node::backends(self.store.read())?.into_iter().filter(|_| !spared) {
            crate::story!("first use since the boot: comparing backend {name} with the records");
            let opened = self.backend(&name).await;
            if opened.is_err() {
                said(&format!("backend {name}"), &opened.map(drop));
                continue;
            }
            self.delete_strays(&name).await?;
        }
        let directories = if spared { Vec::new() } else { list_names(&self.root.containers())? };
        for entry in directories {
            // Whoever makes a container holds it first and records it later, so this is the order that
            // misses none.
            let held = journal::holder_of(self.store.read(), &format!("container {entry}"))?.is_some();
            if !held && !container::exists(self.store.read(), &entry)? {
                self.remove_container_directory(&entry)?;
            }
        }
        // Nobody flushes these: what is in them may be lost, and some file systems lose them with it.
        for container in container::list(self.store.read())? {
            host_files::make_directory(&self.root.container(&container.id))?;
        }
        self.store.write(Durability::Quick, |tx| {
            tx.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('boot', ?1)", [boot])
                .map_err(sql)?;
            Ok(())
        })
    }
}

/// Tells of a failed clean-up; answers whether it went well.
fn said(subject: &str, outcome: &Result<()>) -> bool {
    if let Err(error) = outcome {
        crate::notice!("{subject} cannot be cleaned up yet: {error}");
    }
    outcome.is_ok()
}

/// Ends the container that a dead process had forked, whether there is a record
/// of it or not.
pub(super) fn end_carried(lease: &Lease) -> Result<()> {
    match lease.carried()? {
        Some(process) => process.kill(HASTY).map(drop),
        None => Ok(()),
    }
}

/// Ends a container whose supervisor is dead.
fn end_run_of(container: &Container) -> Result<()> {
    end_process(container, HASTY)?;
    match Cgroup::of(&container.id)? {
        Some(group) => group.remove(),
        None => Ok(()),
    }
}

/// Kills what is left of a container. It may be frozen: by a commit that died,
/// or by somebody; in a hierarchy of cgroup v1 it could not even be killed then.
pub(super) fn end_process(container: &Container, patience: Duration) -> Result<()> {
    if let Some(group) = Cgroup::of(&container.id)? {
        group.thaw()?;
    }
    if let Some(process) = &container.process {
        process.kill(patience)?;
    }
    Ok(())
}

impl Engine {
    /// Whether what no record knows may be what a damaged database held: then only
    /// `check --repair` deletes it.
    pub(super) fn strays_are_spared(&self) -> Result<bool> {
        Ok(meta(self, SPARED)?.is_some())
    }

    /// Deletes the nodes of a backend that no record knows of, unless they are
    /// spared; answers how many there were. The backend is looked at before the records, so that what is
    /// being made is known by then.
    pub(super) async fn delete_strays(&self, backend: &str) -> Result<u32> {
        let mut count = 0;
        if self.strays_are_spared()? {
            return Ok(0);
        }
        for found in self.backend(backend).await?.list().await? {
            match self.delete_stray(backend, found).await {
                Ok(was_one) => count += u32::from(was_one),
                failed => drop(said(&format!("node {found} of {backend}"), &failed.map(drop))),
            }
        }
        Ok(count)
    }

    /// Deletes a node that nobody knows. It is made ours first, in one step
    /// with the look whether it is known: a power cut takes back numbers too,
    /// and somebody may be given this one at any moment.
    pub(super) async fn delete_stray(&self, backend: &str, found: NodeId) -> Result<bool> {
        let actor = self.actor()?;
        let intent = self.store.write(Durability::Quick, |tx| {
            if node::is_known(tx, found)? {
                return Ok(None);
            }
            let intent = journal::begin(tx, actor, &[])?;
            node::adopt(tx, intent, backend, found)?;
            Ok(Some(intent))
        })?;
        match intent {
            Some(intent) => {
                crate::story!("node {found} of {backend} belongs to nothing; deleting it");
                self.settle(intent).await.map(|()| true)
            }
            None => Ok(false),
        }
    }
}

fn meta(engine: &Engine, key: &str) -> Result<Option<String>> {
    use rusqlite::OptionalExtension;
    engine
        .store
        .read()
        .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
        .optional()
        .map_err(sql)
}

pub(super) fn list_names(directory: &std::path::Path) -> Result<Vec<String>> {
    let describe = |error| Error::io(format_args!("cannot list '{}'", directory.display()), error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(describe)? {
        // Every name there is ours, and plain letters.
        names.extend(entry.map_err(describe)?.file_name().into_string());
    }
    Ok(names)
}
