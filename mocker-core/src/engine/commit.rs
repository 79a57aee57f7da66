//! `commit`: a container's tree as a new version of an image, or a new image.
//!
//! As a rule nothing is walked and nothing is copied: the backend freezes the
//! tree, and one transaction says which image it belongs to.

use std::sync::Arc;

use crate::backend::{
    Access, Chain, CommitConsistency, Layers, Nested, Node, NodeId, Seal, Sealed, SnapshotBackend, Then,
    WorkState,
};
use crate::crash_point;
use crate::engine::init::Target;
use crate::engine::pause::Paused;
use crate::engine::restack::Step;
use crate::engine::run::refuse_running;
use crate::engine::{CommitRequest, ConfigFrom, Created, Engine, Progress, Squash, command};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Config, IMAGE_PREFIX, apply_change, fresh_image_id, refuse_version};
use crate::store::container::Container;
use crate::store::image::NewVersion;
use crate::store::{Durability, container, image, journal, node, now, version};
use crate::tree::copy::Unwatched;

/// What the first transaction of a commit found.
struct Plan {
    intent: i64,
    container: Container,
    chain: Chain,
    /// What the new layer lies over: `chain`, or less of it.
    base: Chain,
    spare: NodeId,
    /// One more, where layers may have to be made one.
    second: Option<NodeId>,
    target: Target,
    config: Config,
    notes: Vec<String>,
}

impl Engine {
    /// Makes a version out of a container's tree. The container lives on, and
    /// runs on if it runs.
    ///
    /// A target that is an image gets a new version, in one step; its older
    /// versions stay. The version survives a power cut once this returned;
    /// stopped before, the old state stands.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for the container or the `img_…` id;
    /// [`ErrorKind::Busy`], naming the holder, where another verb works on
    /// one of them; [`ErrorKind::Conflict`] where the tree holds nested
    /// subvolumes; [`ErrorKind::Unsupported`] where the backend cannot commit
    /// a running container, or one more layer.
    pub async fn commit(&self, request: CommitRequest) -> Result<Created> {
        let fresh = fresh_image_id()?;
        let mut plan = self.plan_commit(&request, &fresh)?;
        crash_point!("commit.after-intent");
        let sealed = match self.seal(&request, &mut plan).await {
            Ok(sealed) => sealed,
            Err(error) => {
                let subject = format!("cannot commit container {}", plan.container.id);
                return self.give_up(plan.intent, error.context(subject)).await;
            }
        };
        crash_point!("commit.after-snapshot");
        let recorded = self.record_commit(&request, &plan, sealed);
        crash_point!("commit.after-commit-point");
        match recorded {
            Ok(mut created) => {
                let mut changed = vec![created.image.as_str()];
                if sealed.work != Some(plan.container.work) {
                    changed.push(&plan.container.id);
                }
                self.keep_manifests(&changed);
                created.notes.append(&mut plan.notes);
                if plan.second.is_some() {
                    created.notes.extend(self.settle_after(plan.intent).await);
                }
                Ok(created)
            }
            Err(error) => self.give_up(plan.intent, error).await,
        }
    }

    /// Freezes the tree into a layer that is on the disk.
    async fn seal(&self, request: &CommitRequest, plan: &mut Plan) -> Result<Sealed> {
        let this = &plan.container;
        let backend = self.backend(&this.backend).await?;
        let mut state = check_capabilities(backend.as_ref(), this, &plan.base, request)?;
        backend.admit(0).await?;
        let paused = match state {
            WorkState::Paused => match self.pause(plan.intent, this) {
                // The tree is frozen as it is; files that are written to at this moment may be caught a
                // little apart from one another.
                Err(error)
                    if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Busy)
                        && backend.capabilities().commit_running == CommitConsistency::Atomic =>
                {
                    plan.notes.push(format!("not paused: {error}"));
                    state = WorkState::Running;
                    None
                }
                paused => Some(paused?),
            },
            WorkState::Idle | WorkState::Running => None,
        };
        if paused.is_some() {
            crash_point!("commit.after-pause");
        }
        let sealed = match plan.second {
            // A layer that is a whole tree shows nothing of those beneath it anyway.
            Some(second) if backend.capabilities().layers == Layers::Delta => {
                self.squash(&backend, plan, state, second).await
            }
            _ => {
                let seal = Seal {
                    work: this.work,
                    base: &plan.chain,
                    state,
                    spare: plan.spare,
                    then: Then::Continue,
                    flatten: request.flatten,
                    leave_out: &this.leave_out,
                };
                backend.snapshot(seal).await
            }
        };
        let resumed = paused.map(Paused::resume).transpose();
        let (sealed, time) = match (sealed, resumed) {
            (Ok(sealed), Ok(time)) => (sealed, time),
            (Ok(_), Err(error)) => return Err(error.context("cannot let the container run on")),
            (Err(error), resumed) => return Err(error.after_cleanup(resumed)),
        };
        backend.persist(Node::Layer(sealed.layer)).await?;
        plan.notes.extend(
            time.map(|time| format!("the container was paused for {:.1} ms", time.as_secs_f64() * 1e3)),
        );
        Ok(sealed)
    }

    /// Makes one layer of all that the container shows over `plan.base`. Its
    /// work area is only read.
    async fn squash(
        &self,
        backend: &Arc<dyn SnapshotBackend>,
        plan: &Plan,
        state: WorkState,
        second: NodeId,
    ) -> Result<Sealed> {
        // A paused container has its tree mounted, and no second mount may have the same upper.
        let access = if state == WorkState::Idle { Access::Write } else { Access::Read };
        let this = &plan.container;
        let view = backend.rootfs(Node::Work(this.work), &plan.chain, access).await?;
        let step = Step { view, leave_out: this.leave_out.clone(), nodes: [plan.spare, second] };
        let unwatched: Arc<dyn Progress + Send + Sync> = Arc::new(Unwatched);
        let made = self.restack(backend, plan.base.clone(), vec![step], &unwatched).await?;
        match made.first() {
            Some(layer) => Ok(Sealed { layer: *layer, work: Some(this.work) }),
            None => Err(Error::new(ErrorKind::Io, "no layer was made")),
        }
    }

    /// The commit point.
    fn record_commit(&self, request: &CommitRequest, plan: &Plan, sealed: Sealed) -> Result<Created> {
        let this = &plan.container;
        self.store.write(Durability::Flushed, |tx| {
            node::becomes_layer(tx, sealed.layer, plan.base.tip())?;
            match sealed.work {
                Some(work) if work != this.work => {
                    // The roles changed: what was the work area is the layer, and the base of the new one.
                    node::becomes_work(tx, work.0)?;
                    container::set_nodes(tx, &this.id, work, sealed.layer)?;
                }
                Some(_) => {}
                None => return Err(Error::new(ErrorKind::Io, "the backend ended a work area that lives on")),
            }
            let created = plan.target.record(
                tx,
                &this.backend,
                &format!("commit of {}", this.id),
                &NewVersion {
                    layer: sealed.layer,
                    config: &plan.config,
                    created: now(),
                    created_by: &command::shown(&this.argv),
                    author: request.author.as_deref(),
                    message: request.message.as_deref(),
                },
            )?;
            if plan.second.is_none() {
                journal::end(tx, plan.intent)?;
            }
            Ok(created)
        })
    }

    fn plan_commit(&self, request: &CommitRequest, fresh: &str) -> Result<Plan> {
        let actor = self.actor()?;
        self.store.write(Durability::Quick, |tx| {
            let container = container::find(tx, &request.container)?;
            self.check_backend(&format!("container {}", container.id), &container.backend)?;
            if container.process.is_none() {
                refuse_running(&container)?;
            }
            if let Some(target) = &request.target {
                refuse_version(target, "a commit always appends a version", |image, version| {
                    format!(
                        "'mocker commit {} {image}'; to go on from version {version}, run {image}@{version}",
                        container.id
                    )
                })?;
            }
            let target = match request.target.as_deref() {
                None => Target::New(fresh.to_owned(), None),
                Some(id) if id.starts_with(IMAGE_PREFIX) => Target::Append(Box::new(image::find(tx, id)?)),
                Some(name) => Target::for_name(tx, Some(&name.parse()?), fresh)?,
            };
            target.check_backend(&container.backend)?;
            let of_image = version::config(tx, &container.image, container.image_version)?;
            let (mut config, notes) = merged_config(request, &container, of_image)?;
            request.changes.iter().try_for_each(|change| apply_change(&mut config, change))?;

            let mut objects = target.objects();
            objects.push(format!("container {}", container.id));
            let intent = journal::begin(tx, actor, &objects)?;
            node::pin(tx, intent, container.base.0)?;
            node::pin(tx, intent, container.work.0)?;
            let spare = node::allocate(tx, intent, &container.backend)?;
            let chain = node::chain(tx, container.base)?;
            let base = match request.squash {
                None => chain.clone(),
                Some(Squash::All) => Chain::EMPTY,
                Some(Squash::New) => node::chain(tx, container.origin)?,
            };
            let second = match request.squash {
                Some(_) => Some(node::allocate(tx, intent, &container.backend)?),
                None => None,
            };
            Ok(Plan { intent, container, chain, base, spare, second, target, config, notes })
        })
    }
}

/// Whose settings the version gets, and what the user should know about it.
fn merged_config(
    request: &CommitRequest,
    container: &Container,
    of_image: Option<Config>,
) -> Result<(Config, Vec<String>)> {
    let command =
        |config: &Config| command::shown(&[config.entrypoint.as_slice(), config.cmd.as_slice()].concat());
    match (request.config_from, of_image) {
        (ConfigFrom::Image, Some(config)) => Ok((config, Vec::new())),
        (ConfigFrom::Image, None) => Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "version {} of image {} is gone, and its settings with it",
                container.image_version, container.image
            ),
        )
        .with_hint("leave --config-from away to keep the container's settings")),
        (ConfigFrom::Container, of_image) => {
            if let Some(word) = container.argv.iter().find(|word| word.to_str().is_none()) {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    format!(
                        "the container's command holds '{}', which is not UTF-8 and cannot stand in an image's settings",
                        word.to_string_lossy()
                    ),
                )
                .with_hint("keep the image's settings with --config-from image"));
            }
            let kept = command(&container.config);
            let mut given = request.changes.iter().map(|change| change.trim_start().to_ascii_uppercase());
            let notes = match of_image {
                _ if given.any(|change| change.starts_with("CMD") || change.starts_with("ENTRYPOINT")) => {
                    Vec::new()
                }
                Some(image) if command(&image) == kept => Vec::new(),
                _ => vec![format!(
                    "the image's command is now the container's: {kept} \
                     (--config-from image keeps the one of the image, -c 'CMD …' sets another)"
                )],
            };
            Ok((container.config.clone(), notes))
        }
    }
}

/// Refuses what the backend does not declare, before it is reached; answers in
/// what state the container is to be committed.
fn check_capabilities(
    backend: &dyn SnapshotBackend,
    container: &Container,
    base: &Chain,
    request: &CommitRequest,
) -> Result<WorkState> {
    let capabilities = backend.capabilities();
    let running = container.lease.is_some();
    let refuse_running = |why: &str| {
        Err(Error::new(ErrorKind::Unsupported, format!("container {} runs, and {why}", container.id))
            .with_hint("wait for the container to end"))
    };
    let state = match (running, capabilities.commit_running) {
        (false, _) => WorkState::Idle,
        (true, CommitConsistency::Atomic) if request.never_pause => WorkState::Running,
        (true, CommitConsistency::Atomic) => WorkState::Paused,
        (true, CommitConsistency::Paused) if request.never_pause => {
            let why = format!("'{}' cannot commit it unless it may be paused meanwhile", backend.name());
            return refuse_running(&why);
        }
        (true, CommitConsistency::Paused) => WorkState::Paused,
        (true, CommitConsistency::Stopped) => {
            return refuse_running(&format!("backend '{}' commits stopped ones only", backend.name()));
        }
    };
    let flatten = request.flatten;
    if flatten && capabilities.nested != Nested::Flattened {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("backend '{}' has no nested subvolumes to flatten", backend.name()),
        )
        .with_hint("leave --flatten-subvolumes away"));
    }
    if flatten && running {
        return Err(Error::new(
            ErrorKind::Busy,
            format!(
                "container {} runs: nested subvolumes can be flattened only when nobody writes",
                container.id
            ),
        )
        .with_hint("wait for the container to end"));
    }
    Engine::refuse_depth(backend, &format!("the commit of container {}", container.id), base.depth() + 1)?;
    Ok(state)
}
