//! `prune`: old versions of images, stopped containers and what nothing refers to
//! give their space back.
//!
//! A version that is pruned keeps its entry in the history; its tree goes. It
//! stays as it is where that would bring nothing back, because something that is
//! kept stands on the same layers.

use std::collections::BTreeSet;
use std::time::Instant;

use serde::Serialize;

use crate::backend::Measure;
use crate::crash_point;
use crate::engine::Engine;
use crate::engine::rm::Removal;
use crate::error::{ErrorKind, Result};
use crate::image::refuse_version;
use crate::store::survey::survey;
use crate::store::{Durability, container, image, journal, node, version};

mod plan;

use plan::{Choice, Layered, Plan};

/// What `prune` is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruneRequest {
    /// The images: ids, unique prefixes of ids, or names; all where there is none.
    pub images: Vec<String>,
    /// How many versions of an image to keep, the current one among them.
    pub keep: u32,
    /// Remove containers too that do not run.
    pub containers: bool,
}

/// What goes, or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Pruned {
    /// Versions whose tree goes.
    pub versions: Vec<PrunedVersion>,
    /// Versions that are as old and stay.
    pub stay: Vec<StayingVersion>,
    /// Containers, by id.
    pub containers: Vec<String>,
    /// Trees that no record knows of.
    pub strays: u32,
    /// What comes back, in bytes; `None` where that could not be found out.
    pub bytes: Option<u64>,
    /// How long the space took to come back, in milliseconds, where that was
    /// waited for.
    pub waited_ms: Option<u64>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// A version whose tree goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrunedVersion {
    /// The image's id.
    pub image: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The number of the version.
    pub version: u32,
}

/// A version that is old enough to go, and stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StayingVersion {
    /// The version.
    #[serde(flatten)]
    pub version: PrunedVersion,
    /// Why.
    pub because: Because,
}

/// Why a version stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Because {
    /// This container stands on it.
    Container(String),
    /// Something that is kept stands on its layer, so that nothing would come
    /// back.
    Layer,
}

impl Pruned {
    /// Whether there is nothing that goes.
    pub fn is_nothing(&self) -> bool {
        self.versions.is_empty() && self.containers.is_empty() && self.strays == 0
    }
}

impl Engine {
    /// What [`Engine::prune`] would do now. Changes nothing.
    ///
    /// # Errors
    /// As [`Engine::prune`].
    pub async fn prune_plan(&self, request: &PruneRequest) -> Result<Pruned> {
        let choice = self.choice(request).await?;
        let survey = self.store.look(survey)?;
        let plan = Plan::of(&survey, &choice, &[]);
        let mut pruned = plan.told(Vec::new());
        (pruned.bytes, pruned.notes) = match self.measure_gone(&plan).await {
            Ok(bytes) => (bytes, Vec::new()),
            // Whoever prunes may have no room left for that.
            Err(error) => (None, vec![format!("cannot say how much comes back: {error}")]),
        };
        if !self.strays_are_spared()? {
            for name in node::backends(self.store.read())? {
                for found in self.backend(&name).await?.list().await? {
                    pruned.strays += u32::from(!node::is_known(self.store.read(), found)?);
                }
            }
        }
        Ok(pruned)
    }

    /// Lets the trees of old versions go, of each image all but the current
    /// version and those that are newest, `request.keep` in all; stopped
    /// containers where that is asked for; and whatever no record knows of. With
    /// `wait` the call returns when the space is back as well.
    ///
    /// A version stays that a container stands on, and one whose layer something
    /// needs that is kept. Of a pruned one the history keeps the entry.
    ///
    /// All versions go in one transaction, and they stay gone after a power cut
    /// once this returned; stopped before it, they are all there. The containers go
    /// before, each for itself.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an image; those of the backends and the store.
    /// What cannot go now because it is in use is no error: it is said.
    pub async fn prune(&self, request: &PruneRequest, wait: bool) -> Result<Pruned> {
        let before = self.prune_plan(request).await?;
        // Containers that are to go are gone by the time that the versions do.
        let choice = Choice { containers: false, ..self.choice(request).await? };
        let mut notes = before.notes;
        let mut containers = Vec::new();
        for id in before.containers {
            match self.prune_container(&id).await {
                Ok(told) => {
                    notes.extend(told);
                    containers.push(id);
                }
                // Started or removed by somebody else meanwhile.
                Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::NotFound) => {
                    notes.push(format!("container {id} stays: {error}"));
                }
                Err(error) => return Err(error),
            }
        }
        let actor = self.actor()?;
        crash_point!("prune.before-commit-point");
        let (intent, mut pruned) = self.store.write(Durability::Flushed, |tx| {
            let survey = survey(tx)?;
            let intent = journal::begin(tx, actor, &[])?;
            let mut busy = Vec::new();
            for chosen in Plan::of(&survey, &choice, &[]).images() {
                match journal::hold(tx, intent, &format!("image {chosen}")) {
                    Err(error) if error.kind() == ErrorKind::Busy => busy.push((chosen, error.to_string())),
                    held => held?,
                }
            }
            let plan = Plan::of(&survey, &choice, &busy);
            for gone in plan.versions() {
                version::prune(tx, &gone.image, gone.version)?;
            }
            for Layered { backend, layers } in &choice.backends {
                node::condemn_unreferenced(tx, intent, backend, *layers)?;
            }
            Ok((intent, plan.told(busy)))
        })?;
        crash_point!("prune.after-commit-point");
        let images: BTreeSet<&str> = pruned.versions.iter().map(|gone| gone.image.as_str()).collect();
        self.keep_manifests(&images.into_iter().collect::<Vec<_>>());
        notes.extend(self.settle_after(intent).await);
        crash_point!("prune.after-delete");
        for name in node::backends(self.store.read())? {
            pruned.strays += self.delete_strays(&name).await?;
        }
        if !self.strays_are_spared()? {
            // What no record knows goes here too.
            self.keep_all_manifests();
        }
        pruned.containers = containers;
        pruned.bytes = before.bytes;
        pruned.notes.extend(notes);
        if wait {
            let started = Instant::now();
            self.wait_for_space()
                .await
                .map_err(|error| error.context("pruned, but cannot wait for the space"))?;
            pruned.waited_ms = u64::try_from(started.elapsed().as_millis()).ok();
        }
        Ok(pruned)
    }

    async fn prune_container(&self, id: &str) -> Result<Vec<String>> {
        let found = container::find(self.store.read(), id)?;
        self.remove_container(&found, Removal::Asked).await
    }

    /// The request, with the ids of the images, and how the backends keep layers.
    async fn choice(&self, request: &PruneRequest) -> Result<Choice> {
        let mut images = Vec::new();
        for text in &request.images {
            refuse_version(text, "versions are pruned by their age", |image, _| {
                format!("'mocker prune --keep N {image}' keeps the newest ones")
            })?;
            images.push(image::find(self.store.read(), text)?.id);
        }
        let mut backends = Vec::new();
        for backend in node::backends(self.store.read())? {
            let layers = self.backend(&backend).await?.capabilities().layers;
            backends.push(Layered { backend, layers });
        }
        let images = (!images.is_empty()).then_some(images);
        Ok(Choice { images, keep: request.keep, containers: request.containers, backends })
    }

    /// What comes back when everything goes that is to; nothing where something
    /// of it has just gone.
    async fn measure_gone(&self, plan: &Plan<'_>) -> Result<Option<u64>> {
        let mut sum = Some(0);
        for (name, set) in plan.gone(Measure::Alone) {
            let figures = self.backend(name).await?.usage(&[set]).await?;
            sum = sum.zip(figures.first().copied().flatten()).map(|(sum, bytes)| sum + bytes);
        }
        Ok(sum)
    }
}
