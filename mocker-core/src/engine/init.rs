//! `init`: an image out of a directory.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::{
    Access, Chain, Node, Rootfs, Seal, SnapshotBackend, Then, WorkId, WorkState, blocking, complete,
};
use crate::crash_point;
use crate::engine::root::{lies_in, open_directory};
use crate::engine::{Created, Engine, InitRequest, Progress};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Config, Reference, fresh_image_id, printable};
use crate::mount::{self, View};
use crate::store::image::NewVersion;
use crate::store::{Durability, image, journal, node, now};
use crate::tree::copy::copy_tree;

/// How many bytes a copy writes between two looks at the free space.
const ADMITTED_AT_ONCE: u64 = 64 << 20;

impl Engine {
    /// Makes an image whose tree is a faithful copy of a directory.
    ///
    /// A name that an image has already gets a new version; the old ones stay.
    /// The source is not changed. The image survives a power cut once this
    /// returned; stopped before, nothing was made.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no such directory,
    /// [`ErrorKind::Conflict`] where it holds the root or lies in it,
    /// [`ErrorKind::NoSpace`], [`ErrorKind::Interrupted`] where `progress`
    /// says so.
    pub async fn init(
        &self,
        request: InitRequest,
        progress: Arc<dyn Progress + Send + Sync>,
    ) -> Result<Created> {
        let source = open_source(&request.directory)?;
        self.refuse_overlap(&request.directory, &source)?;
        let driver = self.driver_for_new()?;
        let backend = self.backend(driver.name).await?;
        backend.admit(0).await?;
        self.store.take_in_ballast()?;

        let fresh = fresh_image_id()?;
        let actor = self.actor()?;
        let (intent, target, work, spare) = self.store.write(Durability::Quick, |tx| {
            let target = Target::for_name(tx, request.name.as_ref(), &fresh)?;
            target.check_backend(driver.name)?;
            let intent = journal::begin(tx, actor, &target.objects())?;
            let work = node::allocate(tx, intent, driver.name)?;
            let spare = node::allocate(tx, intent, driver.name)?;
            Ok((intent, target, WorkId(work), spare))
        })?;
        crash_point!("init.after-intent");

        let copied = async {
            backend.create(work, &Chain::EMPTY).await?;
            crash_point!("init.after-create");
            let rootfs = backend.rootfs(Node::Work(work), &Chain::EMPTY, Access::Write).await?;
            let forbidden = self.directories_around(&rootfs)?;
            let admission = Admission::new(backend.clone(), progress).keeping_out_of(forbidden);
            let copied = blocking(move || {
                let destination = View::open(&rootfs)?;
                let quiet = mount::quietly(source.as_fd());
                let source = quiet.as_ref().unwrap_or(&source);
                copy_tree(source.as_fd(), destination.top(), &admission)
            })
            .await
            .map_err(|error| {
                error.context(format_args!(
                    "cannot copy '{}'",
                    printable(&request.directory.to_string_lossy())
                ))
            })?;
            crate::story!(
                "copied {} entries: {} bytes written, {} bytes shared with the source by reflink",
                copied.entries,
                copied.bytes,
                copied.reflinked
            );
            crash_point!("init.after-copy");
            let seal = Seal {
                work,
                base: &Chain::EMPTY,
                state: WorkState::Idle,
                spare,
                then: Then::Consume,
                flatten: false,
                leave_out: &[],
            };
            let sealed = backend.snapshot(seal).await?;
            backend.persist(Node::Layer(sealed.layer)).await?;
            Ok(sealed)
        };
        let sealed = match copied.await {
            Ok(sealed) => sealed,
            Err(error) => return self.give_up(intent, error).await,
        };
        crash_point!("init.after-snapshot");

        let from = std::path::absolute(&request.directory).unwrap_or(request.directory);
        let from = from.to_string_lossy();
        let recorded = self.store.write(Durability::Flushed, |tx| {
            node::becomes_layer(tx, sealed.layer, None)?;
            for left in [work.0, spare].into_iter().filter(|node| *node != sealed.layer.0) {
                node::condemn(tx, intent, left)?;
            }
            let config = target.config().cloned().unwrap_or_default();
            target.record(
                tx,
                driver.name,
                &from,
                &NewVersion {
                    layer: sealed.layer,
                    config: &config,
                    created: now(),
                    created_by: &format!("mocker init {from}"),
                    author: None,
                    message: None,
                },
            )
        });
        let mut created = match recorded {
            Ok(created) => created,
            Err(error) => return self.give_up(intent, error).await,
        };
        crash_point!("init.after-commit-point");
        self.keep_manifests(&[&created.image]);
        created.notes.extend(self.settle_after(intent).await);
        crash_point!("init.after-delete");
        Ok(created)
    }

    /// The directories from the root down to where a new tree lies. They can be
    /// met in what is copied through another mount.
    fn directories_around(&self, rootfs: &Rootfs) -> Result<Vec<(u64, u64)>> {
        let tree = match rootfs {
            Rootfs::Directory(path) => path,
            Rootfs::Overlay(plan) => match &plan.upper {
                Some(upper) => &upper.directory,
                None => return Ok(Vec::new()),
            },
        };
        let ours = tree.ancestors().take_while(|path| path.starts_with(self.root.path()));
        let identity = |path: &Path| {
            let stat = rustix::fs::stat(path)?;
            Ok::<_, rustix::io::Errno>((stat.st_dev, stat.st_ino))
        };
        ours.map(|path| {
            identity(path)
                .map_err(|errno| Error::io(format_args!("cannot look at '{}'", path.display()), errno))
        })
        .collect()
    }

    /// Copying a tree into itself would never end, and copying the root would
    /// take other people's images along.
    fn refuse_overlap(&self, directory: &Path, source: &std::os::fd::OwnedFd) -> Result<()> {
        let root = open_directory(self.root.path())?;
        let shown = printable(&directory.to_string_lossy());
        let why = if lies_in(&root, source)? {
            "contains the root"
        } else if lies_in(source, &root)? {
            "lies inside the root"
        } else {
            return Ok(());
        };
        Err(Error::new(
            ErrorKind::Conflict,
            format!("the directory '{shown}' {why} '{}'", self.root.path().display()),
        )
        .with_hint("choose another directory, or another root with --root"))
    }
}

/// Refuses a root that would be made inside the directory to be copied, before
/// anything is made.
///
/// # Errors
/// As [`Engine::init`] for the directory; [`ErrorKind::Conflict`].
pub fn check_source(root: &Path, directory: &Path) -> Result<()> {
    let source = open_source(directory)?;
    let root = std::path::absolute(root)
        .map_err(|error| Error::io(format_args!("cannot use '{}' as the root", root.display()), error))?;
    let Some(above) = root.ancestors().find(|path| path.is_dir()) else { return Ok(()) };
    if !lies_in(&open_directory(above)?, &source)? {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Conflict,
        format!(
            "the directory '{}' contains the root '{}'",
            printable(&directory.to_string_lossy()),
            root.display()
        ),
    )
    .with_hint("choose another directory, or another root with --root"))
}

fn open_source(directory: &Path) -> Result<std::os::fd::OwnedFd> {
    let shown = printable(&directory.to_string_lossy());
    match std::fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => open_directory(directory),
        Ok(_) => Err(Error::new(ErrorKind::InvalidInput, format!("'{shown}' is not a directory"))
            .with_hint("name the directory that holds a root file system")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::new(ErrorKind::NotFound, format!("No directory named '{shown}' exists")))
        }
        Err(error) => Err(Error::io(format_args!("cannot open the directory '{shown}'"), error)),
    }
}

/// Looks at the free space as a copy goes on, and passes progress on.
pub(super) struct Admission {
    backend: Arc<dyn SnapshotBackend>,
    /// The runtime that the copy was started from, if any: the copy's own threads are in none.
    runtime: Option<tokio::runtime::Handle>,
    written: AtomicU64,
    forbidden: Vec<(u64, u64)>,
    watcher: Arc<dyn Progress + Send + Sync>,
}

impl Admission {
    pub(super) fn new(backend: Arc<dyn SnapshotBackend>, watcher: Arc<dyn Progress + Send + Sync>) -> Self {
        Self {
            backend,
            runtime: tokio::runtime::Handle::try_current().ok(),
            written: AtomicU64::new(0),
            forbidden: Vec::new(),
            watcher,
        }
    }
}

impl Admission {
    /// Refuses to copy these directories, by device and inode number.
    fn keeping_out_of(self, forbidden: Vec<(u64, u64)>) -> Self {
        Self { forbidden, ..self }
    }
}

impl Progress for Admission {
    fn directory(&self, identity: (u64, u64)) -> Result<()> {
        if self.forbidden.contains(&identity) {
            return Err(Error::new(ErrorKind::Conflict, "this is where the copy itself lies").with_hint(
                "something is mounted there that holds the root; unmount it, or use another root",
            ));
        }
        self.watcher.directory(identity)
    }

    fn entries(&self, count: u64) -> Result<()> {
        self.watcher.entries(count)
    }

    fn data(&self, bytes: u64) -> Result<()> {
        self.watcher.data(bytes)?;
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        if before / ADMITTED_AT_ONCE != (before + bytes) / ADMITTED_AT_ONCE {
            let admitted = self.backend.admit(ADMITTED_AT_ONCE);
            match &self.runtime {
                Some(runtime) => runtime.block_on(admitted)?,
                None => complete(admitted)?,
            }
        }
        Ok(())
    }
}

/// Where a new version goes.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// A new image, by id, with or without a name.
    New(String, Option<Reference>),
    /// One more version of an image that there is.
    Append(Box<image::Image>),
}

impl Target {
    pub(super) fn for_name(
        connection: &rusqlite::Connection,
        name: Option<&Reference>,
        fresh: &str,
    ) -> Result<Self> {
        let existing = name.map(|name| image::by_name(connection, name)).transpose()?.flatten();
        Ok(match existing {
            Some(existing) => Self::Append(Box::new(existing)),
            None => Self::New(fresh.to_owned(), name.cloned()),
        })
    }

    /// What nobody else may change until the version is there.
    pub(super) fn objects(&self) -> Vec<String> {
        match self {
            Self::New(_, None) => Vec::new(),
            Self::New(_, Some(name)) => vec![format!("image {name}")],
            Self::Append(existing) => {
                let name = existing.name.iter().map(|name| format!("image {name}"));
                name.chain([format!("image {}", existing.id)]).collect()
            }
        }
    }

    /// Layers of one image are all on one backend.
    pub(super) fn check_backend(&self, backend: &str) -> Result<()> {
        match self {
            Self::Append(existing) if existing.backend != backend => Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "image {} is on backend '{}', and this would be on '{backend}'",
                    existing.id, existing.backend
                ),
            )
            .with_hint("give the new image another name")),
            _ => Ok(()),
        }
    }

    fn config(&self) -> Option<&Config> {
        match self {
            Self::New(..) => None,
            Self::Append(existing) => Some(&existing.config),
        }
    }

    /// Writes the version down.
    pub(super) fn record(
        &self,
        tx: &rusqlite::Transaction<'_>,
        backend: &str,
        source: &str,
        version: &NewVersion<'_>,
    ) -> Result<Created> {
        let (id, name) = match self {
            Self::New(id, name) => {
                image::insert(tx, id, name.as_ref(), backend, source)?;
                (id, name)
            }
            Self::Append(existing) => (&existing.id, &existing.name),
        };
        let number = image::append(tx, id, version)?;
        Ok(Created {
            image: id.clone(),
            name: name.as_ref().map(Reference::to_string),
            version: number,
            notes: Vec::new(),
        })
    }
}
