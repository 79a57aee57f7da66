//! `run` and `start`: a command in a work area.
//!
//! Three steps, because forking needs a process without threads and the rest
//! needs a runtime: [`Engine::prepare_run`] (or [`Engine::prepare_start`]),
//! then [`Engine::supervise`] with no runtime alive, then [`Engine::finish`].
//!
//! The container carries our lease for as long as its command runs. Whoever
//! later finds the lease free kills what is left of the container before
//! anything else, so it never outlives us.

use std::os::fd::AsFd;
use std::path::PathBuf;

use crate::backend::{Access, Chain, CommitConsistency, Node, Rootfs, WorkId};
use crate::crash_point;
use crate::engine::rm::Removal;
use crate::engine::{Engine, RunRequest, command, host_files};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{check_container_name, fresh_container_id, printable};
use crate::mount::View;
use crate::sandbox::{self, Ended, LogWriter, Spec};
use crate::store::container::{Container, End};
use crate::store::{Durability, container, image, journal, node, now};
use crate::tree::leave_out;

/// The status by which the shell's users know that the engine failed.
const ENGINE_FAILED: u8 = 125;

/// A container that is ready to run its command, and held by our lease.
#[derive(Debug)]
pub struct Prepared {
    container: Container,
    rootfs: Rootfs,
    /// The name of its control group, where a commit may pause it.
    cgroup: Option<String>,
}

impl Prepared {
    /// The container's id.
    pub fn container(&self) -> &str {
        &self.container.id
    }
}

impl Engine {
    /// Makes a container out of an image, ready to run.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for the image, [`ErrorKind::InvalidInput`] for
    /// a request that makes no sense, [`ErrorKind::AlreadyExists`] for a name
    /// in use, [`ErrorKind::NoSpace`].
    pub async fn prepare_run(&self, request: RunRequest) -> Result<Prepared> {
        if let Some(name) = &request.name {
            check_container_name(name)?;
        }
        let id = fresh_container_id()?;
        let hostname = request.hostname.clone().unwrap_or_else(|| id.clone());
        host_files::check_hostname(&hostname)?;
        let actor = self.actor()?;
        let (intent, new, chain) = self.store.write(Durability::Quick, |tx| {
            let image = image::find(tx, &request.image)?;
            self.check_backend(&format!("image {}", image.id), &image.backend)?;
            let (config, argv) = command::resolve(&image.config, &request)?;
            if let Some(name) = &request.name
                && container::name_is_taken(tx, name)?
            {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    format!("a container named '{}' exists", printable(name)),
                )
                .with_hint(format!("choose another name, or remove it: mocker rm {name}")));
            }
            let objects =
                [Some(format!("container {id}")), request.name.as_ref().map(|n| format!("container {n}"))];
            let intent = journal::begin(tx, actor, &objects.into_iter().flatten().collect::<Vec<_>>())?;
            node::pin(tx, intent, image.layer.0)?;
            let new = Container {
                id: id.clone(),
                name: request.name.clone(),
                image: image.id,
                image_version: image.version,
                work: WorkId(node::allocate(tx, intent, &image.backend)?),
                backend: image.backend,
                base: image.layer,
                config,
                argv,
                hostname: hostname.clone(),
                network: request.network,
                auto_remove: request.remove,
                leave_out: Vec::new(),
                lease: Some(actor.lease.to_owned()),
                holder: Some(std::process::id()),
                process: None,
            };
            Ok((intent, new, node::chain(tx, image.layer)?))
        })?;
        crash_point!("run.after-intent");
        if let Err(error) = self.make_work_area(&new, &chain).await {
            return self.give_up(intent, error).await;
        }
        crash_point!("run.after-create");
        let recorded = self.store.write(Durability::Quick, |tx| {
            container::insert(tx, &new, now())?;
            node::becomes_work(tx, new.work.0)?;
            journal::end(tx, intent)
        });
        if let Err(error) = recorded {
            return self.give_up(intent, error).await;
        }
        crash_point!("run.after-commit-point");
        self.prepared(new).await
    }

    async fn prepared(&self, container: Container) -> Result<Prepared> {
        let rootfs = self.rootfs(&container).await?;
        let pauses = self.backend(&container.backend).await?.capabilities().commit_running
            != CommitConsistency::Stopped;
        Ok(Prepared { cgroup: pauses.then(|| container.id.clone()), container, rootfs })
    }

    async fn make_work_area(&self, of: &Container, chain: &Chain) -> Result<()> {
        let backend = self.backend(&of.backend).await?;
        backend.admit(0).await?;
        host_files::make_directory(&self.root.container(&of.id))?;
        crate::story!("container {}: work area {} over layer {}", of.id, of.work, of.base);
        backend.create(of.work, chain).await
    }

    /// Makes a container that is not running ready to run its command again,
    /// on its own work area.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Busy`], naming the holder, where
    /// it is running or another verb works on it.
    pub async fn prepare_start(&self, name: &str) -> Result<Prepared> {
        let actor = self.actor()?;
        let found = self.store.write(Durability::Quick, |tx| {
            let mut found = container::find(tx, name)?;
            self.check_backend(&format!("container {}", found.id), &found.backend)?;
            refuse_running(&found)?;
            // Begun and ended at once: it only has to fail where somebody else holds the container.
            let intent = journal::begin(tx, actor, &[format!("container {}", found.id)])?;
            journal::end(tx, intent)?;
            container::set_lease(tx, &found.id, actor.lease)?;
            found.lease = Some(actor.lease.to_owned());
            Ok(found)
        })?;
        let ready = async {
            self.backend(&found.backend).await?.admit(0).await?;
            self.prepared(found.clone()).await
        };
        match ready.await {
            Ok(prepared) => Ok(prepared),
            Err(error) => {
                let released =
                    self.store.write(Durability::Quick, |tx| container::release(tx, &found.id, actor.lease));
                Err(error.after_cleanup(released))
            }
        }
    }

    /// How to reach a container's tree, for writing.
    pub(super) async fn rootfs(&self, of: &Container) -> Result<Rootfs> {
        let backend = self.backend(&of.backend).await?;
        let chain = node::chain(self.store.read(), of.base)?;
        backend.rootfs(Node::Work(of.work), &chain, Access::Write).await
    }

    /// Runs the command to its end, handing through what it reads and prints.
    ///
    /// To be called from the main thread of a process without other threads:
    /// the container's life is tied to the thread that forks it.
    ///
    /// # Errors
    /// Whatever kept the command from being started, as far as it is not the
    /// command's own: that is in [`Ended::failure`].
    pub fn supervise(&self, prepared: &mut Prepared) -> Result<Ended> {
        let Prepared { container: this, rootfs, cgroup } = prepared;
        let directory = self.root.container(&this.id);
        let files = host_files::write(&directory, &this.hostname, this.network)?;
        let view = View::open(rootfs)?;
        let missing = leave_out::plan(view.top(), &host_files::wanted_targets())
            .map_err(|error| error.context(format_args!("cannot run container {}", this.id)))?;
        if !missing.is_empty() {
            let shown: Vec<_> = missing.iter().map(|target| target.path.display().to_string()).collect();
            crate::story!("making the mount points that the tree lacks: {}", shown.join(" "));
            self.store.write(Durability::Quick, |tx| container::set_leave_out(tx, &this.id, &missing))?;
            this.leave_out = missing;
            leave_out::make(view.top(), &this.leave_out)?;
        }
        let tree = view.into_mount()?;
        crash_point!("run.after-targets");
        let log = LogWriter::open(directory.join("log"))?;
        let spec = Spec {
            place: directory,
            argv: this.argv.clone(),
            env: command::environment(&this.config, &this.hostname),
            cwd: if this.config.working_dir.is_empty() {
                "/".into()
            } else {
                PathBuf::from(&this.config.working_dir)
            },
            user: this.config.user.clone(),
            hostname: this.hostname.clone(),
            network: this.network,
            files,
            cgroup: cgroup.clone(),
        };
        let held = sandbox::spawn(&spec, tree.as_fd(), self.lease()?.lock())?;
        // From now on the container alone holds the mount.
        drop(tree);
        crash_point!("run.after-fork");
        let process = held.identity();
        self.store.write(Durability::Quick, |tx| container::set_running(tx, &this.id, process, now()))?;
        this.process = Some(process);
        crash_point!("run.after-start");
        crate::story!("container {}: running {}", this.id, command::shown(&this.argv));
        let ended = held.supervise(&log)?;
        crash_point!("run.after-exit");
        Ok(ended)
    }

    /// Records how the command ended, and removes the container if it was run
    /// so. Hands `ended` back.
    ///
    /// # Errors
    /// That of `ended`, and those of the clean-up.
    pub async fn finish(&self, prepared: Prepared, ended: Result<Ended>) -> Result<Ended> {
        let this = &prepared.container;
        let cleaned = self.finish_container(this, &ended).await;
        crash_point!("run.after-finish");
        match (ended, cleaned) {
            (Ok(ended), Ok(())) => Ok(ended),
            (Ok(_), Err(error)) => Err(error),
            (Err(error), cleaned) => Err(error.after_cleanup(cleaned)),
        }
    }

    async fn finish_container(&self, this: &Container, ended: &Result<Ended>) -> Result<()> {
        if this.auto_remove {
            for note in self.remove_container(this, Removal::EndOfRun).await? {
                crate::notice!("{note}");
            }
            return Ok(());
        }
        self.clean_targets(this).await?;
        crash_point!("run.after-clean-targets");
        self.backend(&this.backend).await?.persist(Node::Work(this.work)).await?;
        let (status, failure) = match ended {
            Ok(ended) => (ended.status, ended.failure.as_ref().map(ToString::to_string)),
            Err(error) => (ENGINE_FAILED, Some(error.to_string())),
        };
        let lease = this.lease.as_deref().unwrap_or_default();
        self.store.write(Durability::Flushed, |tx| {
            container::set_ended(tx, &this.id, lease, End { status, failure: failure.as_deref() }, now())
        })
    }
}

/// Refuses what needs a container that is not running.
pub(super) fn refuse_running(found: &Container) -> Result<()> {
    if found.lease.is_none() {
        return Ok(());
    }
    let (state, process) = match (found.process, found.holder) {
        (Some(process), _) => ("is running", process.pid.unsigned_abs()),
        (None, holder) => ("is just starting", holder.unwrap_or_default()),
    };
    Err(Error::new(ErrorKind::Busy, format!("container {} {state} (process {process})", found.id))
        .with_hint(format!("wait for it to end, or remove it with 'mocker rm -f {}'", found.id)))
}
