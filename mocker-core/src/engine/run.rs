//! `run` and `start`: a command in a work area.
//!
//! The container is forked as soon as it is known that there will be one, and
//! makes itself ready while its tree is made; then it gets the tree and its
//! order, and goes when it stands in the records.
//!
//! The container carries our lease for as long as its command runs. Whoever
//! later finds the lease free kills what is left of the container before
//! anything else, so it never outlives us.

use std::os::fd::AsFd;
use std::path::PathBuf;

use crate::backend::{Access, Chain, CommitConsistency, Node, OverlayPlan, Rootfs, WorkId, complete};
use crate::crash_point;
use crate::engine::rm::Removal;
use crate::engine::{Engine, RunRequest, command, host_files};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{check_container_name, fresh_container_id, printable};
use crate::mount::View;
use crate::sandbox::{self, Ended, LogWriter, Spawned, Spec};
use crate::store::container::{Container, End};
use crate::store::{Durability, container, image, journal, node, now};
use crate::tree::leave_out::{self, LeaveOut};

/// The status by which the shell's users know that the engine failed.
const ENGINE_FAILED: u8 = 125;

/// A container that has been forked and has its tree.
struct Ready {
    spawned: Spawned,
    view: View,
    /// The mount points that the tree lacks.
    missing: Vec<LeaveOut>,
}

impl Engine {
    /// Makes a container out of an image and runs its command to the end,
    /// handing through what it reads and prints.
    ///
    /// To be called from the main thread of a process without other threads
    /// and without a runtime: the container's life is tied to the thread that
    /// forks it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for the image, [`ErrorKind::InvalidInput`] for
    /// a request that makes no sense, [`ErrorKind::AlreadyExists`] for a name
    /// in use, [`ErrorKind::Unsupported`] for more layers than the backend
    /// takes, [`ErrorKind::NoSpace`]; whatever kept the command from being
    /// started, as far as it is not the command's own: that is in
    /// [`Ended::failure`].
    pub fn run(&self, request: &RunRequest) -> Result<Ended> {
        let (intent, mut new, chain) = self.begin_run(request)?;
        crash_point!("run.after-intent");
        let mut made = || -> Result<Ready> {
            self.refuse_deep(&new, &chain)?;
            let spawned = self.spawn(&new)?;
            crash_point!("run.after-fork");
            complete(self.make_work_area(&new, &chain))?;
            crash_point!("run.after-create");
            let ready = self.ready(&new, &chain, spawned)?;
            new.leave_out.clone_from(&ready.missing);
            if !new.auto_remove {
                // Whoever flushes the records next flushes this one too, and after a power cut it must
                // not stand for a tree that is not there.
                complete(async { self.backend(&new.backend).await?.persist(Node::Work(new.work)).await })?;
            }
            self.store.write(Durability::Quick, |tx| {
                container::insert(tx, &new, now())?;
                node::becomes_work(tx, new.work.0)?;
                journal::end(tx, intent)
            })?;
            Ok(ready)
        };
        let ready = match made() {
            Ok(ready) => ready,
            Err(error) => return complete(self.give_up(intent, error)),
        };
        crash_point!("run.after-commit-point");
        if !new.auto_remove {
            self.keep_manifests(&[&new.id]);
        }
        let ended = self.perform(&mut new, ready);
        self.finish(&new, ended)
    }

    /// Runs the command of a container that is not running once more, on its
    /// own work area; as [`Engine::run`] otherwise.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Busy`], naming the holder, where
    /// it is running or another verb works on it.
    pub fn start(&self, name: &str) -> Result<Ended> {
        let actor = self.actor()?;
        let mut found = self.store.write(Durability::Quick, |tx| {
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
        let mut made = || -> Result<Ready> {
            let chain = node::chain(self.store.read(), found.base)?;
            self.refuse_deep(&found, &chain)?;
            let spawned = self.spawn(&found)?;
            crash_point!("run.after-fork");
            complete(async { self.backend(&found.backend).await?.admit(0).await })?;
            let ready = self.ready(&found, &chain, spawned)?;
            if !ready.missing.is_empty() {
                self.store
                    .write(Durability::Quick, |tx| container::set_leave_out(tx, &found.id, &ready.missing))?;
                self.keep_manifests(&[&found.id]);
            }
            found.leave_out.clone_from(&ready.missing);
            Ok(ready)
        };
        let ready = match made() {
            Ok(ready) => ready,
            Err(error) => {
                let released =
                    self.store.write(Durability::Quick, |tx| container::release(tx, &found.id, actor.lease));
                return Err(error.after_cleanup(released));
            }
        };
        let ended = self.perform(&mut found, ready);
        self.finish(&found, ended)
    }

    /// Writes down that there will be a container; answers the intent, its
    /// record and the chain that it stands on.
    fn begin_run(&self, request: &RunRequest) -> Result<(i64, Container, Chain)> {
        if let Some(name) = &request.name {
            check_container_name(name)?;
        }
        let id = fresh_container_id()?;
        let hostname = request.hostname.clone().unwrap_or_else(|| id.clone());
        host_files::check_hostname(&hostname)?;
        let actor = self.actor()?;
        self.store.write(Durability::Quick, |tx| {
            let image = image::find(tx, &request.image)?;
            self.check_backend(&format!("image {}", image.id), &image.backend)?;
            let (config, argv) = command::resolve(&image.config, request)?;
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
                origin: image.layer,
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
        })
    }

    /// Refuses a chain that the backend does not take on this kernel, whoever
    /// made it, before anything is forked or mounted.
    fn refuse_deep(&self, of: &Container, chain: &Chain) -> Result<()> {
        let backend = complete(self.backend(&of.backend))?;
        Self::refuse_depth(backend.as_ref(), &format!("container {}", of.id), chain.depth())
    }

    fn spawn(&self, of: &Container) -> Result<Spawned> {
        let backend = complete(self.backend(&of.backend))?;
        let pauses = backend.capabilities().commit_running != CommitConsistency::Stopped;
        let working_dir = &of.config.working_dir;
        let spec = Spec {
            argv: of.argv.clone(),
            env: command::environment(&of.config, &of.hostname),
            cwd: PathBuf::from(if working_dir.is_empty() { "/" } else { working_dir }),
            user: of.config.user.clone(),
            hostname: of.hostname.clone(),
            files: host_files::files(&of.hostname, of.network)?,
            network: of.network,
            cgroup: pauses.then(|| of.id.clone()),
        };
        let lease = self.lease()?;
        let spawned = sandbox::spawn(&spec, lease.lock())
            .map_err(|error| error.context(format_args!("cannot run container {}", of.id)))?;
        self.store.with_reserve(|| lease.carry(spawned.identity()))?;
        Ok(spawned)
    }

    async fn make_work_area(&self, of: &Container, chain: &Chain) -> Result<()> {
        let backend = self.backend(&of.backend).await?;
        backend.admit(0).await?;
        host_files::make_directory(&self.root.container(&of.id))?;
        crate::story!("container {}: work area {} over layer {}", of.id, of.work, of.base);
        backend.create(of.work, chain).await
    }

    /// How to reach a container's tree, for writing.
    pub(super) async fn rootfs(&self, of: &Container, chain: &Chain) -> Result<Rootfs> {
        self.backend(&of.backend).await?.rootfs(Node::Work(of.work), chain, Access::Write).await
    }

    /// Opens a container's tree, which it is shown, and looks at what the tree
    /// lacks; changes nothing in it.
    fn ready(&self, of: &Container, chain: &Chain, spawned: Spawned) -> Result<Ready> {
        let mut rootfs = complete(self.rootfs(of, chain))?;
        if let Rootfs::Overlay(OverlayPlan { upper: Some(upper), .. }) = &mut rootfs {
            upper.volatile = of.auto_remove;
        }
        let view = View::open(&rootfs)?;
        spawned.show(view.detached()?.as_fd())?;
        let missing = leave_out::plan(view.top(), &host_files::wanted_targets())
            .map_err(|error| error.context(format_args!("cannot run container {}", of.id)))?;
        Ok(Ready { spawned, view, missing })
    }

    fn perform(&self, this: &mut Container, ready: Ready) -> Result<Ended> {
        let Ready { spawned, view, missing } = ready;
        if !missing.is_empty() {
            let shown: Vec<_> = missing.iter().map(|target| target.path.display().to_string()).collect();
            crate::story!("making the mount points that the tree lacks: {}", shown.join(" "));
            leave_out::make(view.top(), &missing)?;
        }
        // From now on the container alone holds the mount.
        drop(view);
        crash_point!("run.after-targets");
        let held = spawned.build()?;
        let directory = self.root.container(&this.id);
        host_files::make_directory(&directory)?;
        let log = LogWriter::open(directory.join("log"))?;
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
    fn finish(&self, this: &Container, ended: Result<Ended>) -> Result<Ended> {
        let cleaned = complete(self.finish_container(this, &ended));
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
        let (status, failure) = match ended {
            Ok(ended) => (ended.status, ended.failure.as_ref().map(ToString::to_string)),
            Err(error) => (ENGINE_FAILED, Some(error.to_string())),
        };
        let lease = this.lease.as_deref().unwrap_or_default();
        self.store.write(Durability::Flushed, |tx| {
            container::set_ended(tx, &this.id, lease, End { status, failure: failure.as_deref() }, now())
        })?;
        self.keep_manifests(&[&this.id]);
        Ok(())
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
