//! The engine: what names, versions and containers mean, one file per verb.
//!
//! Every verb goes the same way. One transaction reads what the verb acts on
//! and writes down its intent ([`crate::store::journal`]); the backend works,
//! outside any transaction; one transaction is the commit point. Before it the
//! old state stands, after it the new one, and whatever is then left over is
//! rubbish that `Engine::settle` deletes, now or, after a crash, at a later
//! open.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::backend::{Driver, Probe, Reclaim, SnapshotBackend, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::sandbox::LogReader;
use crate::store::journal::Actor;
use crate::store::lease::Lease;
use crate::store::{Durability, Store, container, image, node};

mod check;
mod command;
mod commit;
mod convert;
mod diff;
mod du;
mod find;
mod forget;
mod history;
mod host_files;
mod init;
mod inspect;
mod lineage;
mod manifests;
mod needs;
mod pause;
mod prune;
mod reclaim;
mod records;
mod restack;
mod rm;
mod rollback;
mod root;
mod run;
mod settle;
mod sweep;
mod tag;
#[cfg(test)]
mod undeclared;

pub use check::{CheckRequest, Code, Finding, Outcome, Report};
pub use command::shown as shown_command;
pub use diff::{Diff, DiffRequest, Side};
pub use du::{
    BackendSpace, Bytes, ContainerSpace, FileSystemSpace, ImageSpace, KindSpace, Space, Totals, VersionSpace,
};
pub use find::Kind;
pub use history::VersionSummary;
pub use init::check_source;
pub use inspect::{
    ContainerConfig, ContainerDetails, HostConfig, ImageDetails, Inspected, LayerHistory, RootFs, State,
};
pub use lineage::{ContainerLeaf, ImageLine, Lineage, Parent, VersionStep};
pub use prune::{Because, PruneRequest, Pruned, PrunedVersion, StayingVersion};
pub use records::{
    CommitRequest, ConfigFrom, ContainerSummary, ConvertRequest, Created, ImageSummary, InitRequest,
    Progress, Removed, RunRequest, Squash, Status,
};
pub use rollback::RolledBack;
pub use root::Root;

/// How to open an engine.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory that holds everything.
    pub root: PathBuf,
    /// The storage drivers that there are, the preferred ones first.
    pub drivers: &'static [Driver],
    /// The driver that the user asked for.
    pub preferred: Option<String>,
    /// The verb on whose behalf this is, for naming the holder to others.
    pub verb: &'static str,
}

/// An open root.
#[derive(Debug)]
pub struct Engine {
    root: Root,
    /// Keeps whoever exchanges the records away.
    _in_use: File,
    store: Store,
    drivers: &'static [Driver],
    preferred: Option<&'static Driver>,
    verb: &'static str,
    lease: OnceCell<Lease>,
    backends: RefCell<HashMap<String, Arc<dyn SnapshotBackend>>>,
    /// Where something was deleted, and who frees its space.
    deleted_on: RefCell<BTreeMap<String, Reclaim>>,
}

impl Engine {
    /// Opens a root, setting it up where there is none, and cleans up after
    /// processes that died.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for an unknown driver; those of
    /// [`Root::open`], [`Store::open`] and of the clean-up.
    pub async fn open(options: Options) -> Result<Self> {
        let preferred = match &options.preferred {
            None => None,
            Some(name) => Some(find_driver(options.drivers, name)?),
        };
        let engine = Self::open_as_it_is(&options, preferred)?;
        engine.sweep().await?;
        Ok(engine)
    }

    /// The same without the clean-up.
    fn open_as_it_is(options: &Options, preferred: Option<&'static Driver>) -> Result<Self> {
        let root = Root::open(&options.root)?;
        let in_use = root.hold(false)?;
        let store = Store::open(&root.database())
            .map_err(|error| error.context(format_args!("root '{}'", root.path().display())))?;
        Ok(Self {
            root,
            _in_use: in_use,
            store,
            drivers: options.drivers,
            preferred,
            verb: options.verb,
            lease: OnceCell::new(),
            backends: RefCell::default(),
            deleted_on: RefCell::default(),
        })
    }

    /// The directory that holds everything, absolute.
    pub fn root_directory(&self) -> &std::path::Path {
        self.root.path()
    }

    /// All images, the newest version first.
    ///
    /// # Errors
    /// Those of the store.
    pub fn images(&self) -> Result<Vec<ImageSummary>> {
        image::list(self.store.read())
    }

    /// All containers, the newest first.
    ///
    /// # Errors
    /// Those of the store.
    pub fn containers(&self) -> Result<Vec<ContainerSummary>> {
        container::list(self.store.read())
    }

    /// Reads what a container printed so far; `None` where its command was
    /// never started.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown container; those of the file.
    pub fn logs(&self, name: &str) -> Result<Option<LogReader>> {
        let container = container::find(self.store.read(), name)?;
        match LogReader::open(&self.root.container(&container.id).join("log")) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Who we are in the journal.
    fn actor(&self) -> Result<Actor<'_>> {
        Ok(Actor { lease: self.lease()?.token(), verb: self.verb })
    }

    /// Our lease; taken when first asked for.
    fn lease(&self) -> Result<&Lease> {
        if self.lease.get().is_none() {
            let taken = self.store.with_reserve(|| Lease::take(&self.root.leases()))?;
            // Cannot be set already: this is the only place, and there is one thread.
            drop(self.lease.set(taken));
        }
        self.lease.get().ok_or_else(|| Error::new(ErrorKind::Io, "the lease is gone"))
    }

    /// The backend of this name, opened on first use.
    async fn backend(&self, name: &str) -> Result<Arc<dyn SnapshotBackend>> {
        if let Some(open) = self.backends.borrow().get(name) {
            return Ok(open.clone());
        }
        let backend = open_backend(self.drivers, name, self.root.path()).await?;
        if !node::backends(self.store.read())?.iter().any(|known| known == name) {
            self.store.write(Durability::Flushed, |tx| node::know_backend(tx, name))?;
        }
        self.backends.borrow_mut().insert(name.to_owned(), backend.clone());
        Ok(backend)
    }

    /// The driver of this name.
    fn driver(&self, name: &str) -> Result<&'static Driver> {
        find_driver(self.drivers, name)
    }

    /// The driver for a new image: the one asked for, else the first that
    /// works here.
    fn driver_for_new(&self) -> Result<&'static Driver> {
        if let Some(driver) = self.preferred {
            return Ok(driver);
        }
        let mut reasons = Vec::new();
        for driver in self.drivers {
            match (driver.probe)(self.root.path()) {
                Probe::Works(on_what) => {
                    if node::backends(self.store.read())?.is_empty() {
                        crate::notice!(
                            "storage backend: {} ({on_what}); choose another one with --backend",
                            driver.name
                        );
                    }
                    return Ok(driver);
                }
                Probe::Missing(why) => reasons.push(format!("{}: {why}", driver.name)),
            }
        }
        Err(Error::new(
            ErrorKind::Unsupported,
            format!("no storage backend works at '{}': {}", self.root.path().display(), reasons.join("; ")),
        ))
    }

    /// Refuses a `--backend` that contradicts where an object already is.
    fn check_backend(&self, subject: &str, backend: &str) -> Result<()> {
        match self.preferred {
            Some(asked) if asked.name != backend => Err(Error::new(
                ErrorKind::Conflict,
                format!("{subject} is on backend '{backend}', not on '{}'", asked.name),
            )
            .with_hint("leave --backend and MOCKER_BACKEND away: an object is found where it was made")),
            _ => Ok(()),
        }
    }
}

async fn open_backend(
    drivers: &'static [Driver],
    name: &str,
    root: &std::path::Path,
) -> Result<Arc<dyn SnapshotBackend>> {
    let open = find_driver(drivers, name)?.open;
    let root = root.to_owned();
    blocking(move || open(&root)).await
}

fn find_driver(drivers: &'static [Driver], name: &str) -> Result<&'static Driver> {
    drivers.iter().find(|driver| driver.name == name).ok_or_else(|| {
        let known: Vec<_> = drivers.iter().map(|driver| driver.name).collect();
        Error::new(
            ErrorKind::InvalidInput,
            format!("there is no backend '{}' in this program", crate::image::printable(name)),
        )
        .with_hint(format!("the backends are: {}", known.join(", ")))
    })
}
