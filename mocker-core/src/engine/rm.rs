//! `rm`: containers and images go at once, their space soon after.

use std::time::{Duration, Instant};

use crate::backend::Layers;
use crate::crash_point;
use crate::engine::find::{Found, find};
use crate::engine::run::refuse_running;
use crate::engine::sweep::{end_carried, end_process};
use crate::engine::{Engine, Removed};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{printable, refuse_version};
use crate::sandbox::PATIENT;
use crate::store::container::Container;
use crate::store::image::Image;
use crate::store::lease::{Holder, Lease};
use crate::store::{Durability, container, image, journal, node};

/// How long the supervisor of a killed container may take to record the end.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(10);

/// On whose behalf a container is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// Somebody asked for it: refused while it runs or another verb works on it.
    Asked,
    /// Its command ended and it was run to be removed, or whoever ran it died:
    /// we hold its lease, and wait for a commit that still reads it.
    EndOfRun,
}

impl Engine {
    /// Removes containers and images, each for itself, in order.
    ///
    /// A running container is removed only with `force`, which kills it. An
    /// image goes although containers were made from it: they stay whole. With
    /// `wait` the call returns when the space is back as well.
    ///
    /// Each outcome stands beside the word that it is for. A removed object
    /// stays removed after a power cut.
    pub async fn remove(&self, names: &[String], force: bool, wait: bool) -> Vec<(String, Result<Removed>)> {
        let mut outcomes = Vec::new();
        for name in names {
            outcomes.push((name.clone(), self.remove_one(name, force).await));
        }
        if wait
            && outcomes.iter().any(|(_, outcome)| outcome.is_ok())
            && let Err(error) = self.wait_for_space().await
            && let Some((_, last)) = outcomes.iter_mut().rev().find(|(_, outcome)| outcome.is_ok())
        {
            *last = Err(error.context("removed, but cannot wait for the space"));
        }
        outcomes
    }

    async fn remove_one(&self, name: &str, force: bool) -> Result<Removed> {
        refuse_version(name, "an image is removed with all its versions", |image, _| {
            format!("'mocker rm {image}'")
        })?;
        match find(self.store.read(), name, None)? {
            Found::Image(found) => self.remove_image(name, &found).await,
            Found::Container(found) => {
                if force && let Some(lease) = &found.lease {
                    let nobody = self.end_run(&found, lease).await?;
                    // Run with --rm, it is gone by now.
                    if !container::exists(self.store.read(), &found.id)? {
                        return Ok(Removed { id: found.id, notes: Vec::new() });
                    }
                    if let Some(lease) = nobody {
                        end_carried(&lease)?;
                        self.sweep_intents(&lease).await?;
                        let notes = self.remove_container(&found, Removal::EndOfRun).await?;
                        return Ok(Removed { id: found.id, notes });
                    }
                }
                let notes = self.remove_container(&found, Removal::Asked).await?;
                Ok(Removed { id: found.id, notes })
            }
        }
    }

    /// Removes a container; see [`Removal`].
    pub(super) async fn remove_container(&self, this: &Container, removal: Removal) -> Result<Vec<String>> {
        let object = format!("container {}", this.id);
        let layers = self.backend(&this.backend).await?.capabilities().layers;
        crash_point!("rm.before-commit-point");
        let intent = loop {
            match self.record_removal(&this.id, &object, removal, layers) {
                Err(error) if error.kind() == ErrorKind::Busy && removal == Removal::EndOfRun => {
                    if let Some(holder) = journal::holder_of(self.store.read(), &object)? {
                        self.outwait(&holder).await?;
                    }
                }
                recorded => break recorded?,
            }
        };
        crash_point!("rm.after-commit-point");
        let notes = self.settle_after(intent).await;
        crash_point!("rm.after-delete");
        Ok(notes)
    }

    /// The commit point; answers the intent by which the rest is deleted.
    fn record_removal(&self, id: &str, object: &str, removal: Removal, layers: Layers) -> Result<i64> {
        // The end of a run needs no flush: if a power cut takes this back, the container still carries
        // a dead lease, and the next open removes it.
        let durability = match removal {
            Removal::Asked => Durability::Flushed,
            Removal::EndOfRun => Durability::Quick,
        };
        let actor = self.actor()?;
        self.store.write(durability, |tx| {
            let found = container::find(tx, id)?;
            if removal == Removal::Asked {
                refuse_running(&found)?;
            }
            let intent = journal::begin(tx, actor, &[object.to_owned()])?;
            container::delete(tx, id)?;
            node::condemn(tx, intent, found.work.0)?;
            node::condemn_unreferenced(tx, intent, &found.backend, layers)?;
            Ok(intent)
        })
    }

    async fn remove_image(&self, name: &str, found: &Image) -> Result<Removed> {
        let backend = self.backend(&found.backend).await?;
        let layers = backend.capabilities().layers;
        let actor = self.actor()?;
        let (intent, users) = self.store.write(Durability::Flushed, |tx| {
            // Read again inside the transaction; by its id, which cannot have been given to another.
            let found = image::find(tx, &found.id).map_err(|_gone| {
                Error::new(ErrorKind::NotFound, format!("No image named '{}' exists", printable(name)))
            })?;
            let mut objects = vec![format!("image {}", found.id)];
            objects.extend(found.name.iter().map(|name| format!("image {name}")));
            let intent = journal::begin(tx, actor, &objects)?;
            image::delete(tx, &found.id)?;
            node::condemn_unreferenced(tx, intent, &found.backend, layers)?;
            Ok((intent, container::count_of_image(tx, &found.id)?))
        })?;
        crash_point!("rm.after-commit-point");
        let mut notes = self.settle_after(intent).await;
        crash_point!("rm.after-delete");
        if users > 0 {
            notes.push(format!("{users} container(s) made from it stay, and keep the layers that they need"));
        }
        Ok(Removed { id: found.id.clone(), notes })
    }

    /// Kills what runs in a container and waits until its supervisor has
    /// recorded that. Answers its lease where it is dead instead, and what it
    /// should have done is ours.
    async fn end_run(&self, this: &Container, lease: &str) -> Result<Option<Lease>> {
        if this.process.is_none() && !matches!(Lease::try_take(&self.root.leases(), lease)?, Holder::Dead(_))
        {
            refuse_running(this)?;
        }
        crate::story!("container {}: killing what runs in it", this.id);
        end_process(this, PATIENT)?;
        let started = Instant::now();
        while started.elapsed() < SUPERVISOR_PATIENCE {
            if let Holder::Dead(lease) = Lease::try_take(&self.root.leases(), lease)? {
                let held = container::with_lease(self.store.read(), lease.token())?;
                return Ok(held.iter().any(|held| held.id == this.id).then_some(lease));
            }
            if !container::with_lease(self.store.read(), lease)?.iter().any(|held| held.id == this.id) {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(Error::new(
            ErrorKind::Busy,
            format!("container {} was killed, and the 'mocker run' that watched it does not end", this.id),
        )
        .with_hint("something may keep that process from writing its output; end it, and try again"))
    }
}
