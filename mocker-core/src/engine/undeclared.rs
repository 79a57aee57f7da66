//! Tests: what a backend does not declare is refused with the documented kind
//! before the backend is reached; what it declares gets to it.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::{CommitRequest, ConvertRequest, Engine, Options, Progress, RunRequest, Squash};
use crate::backend::{
    Access, Capabilities, Chain, CommitConsistency, Driver, LayerId, Look, Nested, Node, NodeId, NodeSet,
    Observed, Probe, Reclaimed, Rootfs, Seal, Sealed, SnapshotBackend, WorkId, complete,
};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Config, fresh_container_id, fresh_image_id};
use crate::sandbox::{Network, ProcessIdentity};
use crate::store::container::Container;
use crate::store::image::NewVersion;
use crate::store::{Durability, container, image, journal, node, now};
use crate::tree::copy::Unwatched;

/// Layers that the shallow one takes.
const MOST: usize = 3;

/// A declaration for each value that the engine decides by.
static DECLARED: [Capabilities; 5] = [
    Capabilities::minimal(),
    Capabilities::minimal().commit_running(CommitConsistency::Paused),
    Capabilities::minimal().commit_running(CommitConsistency::Atomic),
    Capabilities::minimal().nested(Nested::Flattened),
    Capabilities::minimal().max_depth(MOST),
];

static DRIVERS: [Driver; 5] = [
    driver("minimal", open::<0>),
    driver("pausing", open::<1>),
    driver("atomic", open::<2>),
    driver("flattening", open::<3>),
    driver("shallow", open::<4>),
];

type Open = fn(&Path) -> Result<Arc<dyn SnapshotBackend>>;

const fn driver(name: &'static str, open: Open) -> Driver {
    Driver { name, summary: "declares, and does nothing", probe: |_| Probe::Works(String::new()), open }
}

fn open<const WHICH: usize>(_: &Path) -> Result<Arc<dyn SnapshotBackend>> {
    Ok(Arc::new(Declares(WHICH)))
}

/// Says that it was reached, whatever it is asked for.
#[derive(Debug)]
struct Declares(usize);

/// What no refusal of the engine's looks like.
fn reached<T>(by: &str) -> Result<T> {
    Err(Error::new(ErrorKind::Corrupt, format!("reached by {by}")))
}

#[async_trait]
impl SnapshotBackend for Declares {
    fn name(&self) -> &'static str {
        DRIVERS[self.0].name
    }

    fn capabilities(&self) -> Capabilities {
        DECLARED[self.0]
    }

    async fn admit(&self, _bytes: u64) -> Result<()> {
        reached("admit")
    }

    async fn create(&self, _work: WorkId, _base: &Chain) -> Result<()> {
        reached("create")
    }

    async fn snapshot(&self, _seal: Seal<'_>) -> Result<Sealed> {
        reached("snapshot")
    }

    async fn persist(&self, _node: Node) -> Result<()> {
        reached("persist")
    }

    // The numbers that were given out before the refusal go again.
    async fn delete(&self, _node: NodeId) -> Result<()> {
        Ok(())
    }

    async fn rootfs(&self, _node: Node, _base: &Chain, _access: Access) -> Result<Rootfs> {
        reached("rootfs")
    }

    async fn observe(&self, _look: Look<'_>) -> Result<Observed> {
        reached("observe")
    }

    async fn usage(&self, _sets: &[NodeSet]) -> Result<Vec<Option<u64>>> {
        reached("usage")
    }

    async fn reclaim(&self) -> Result<Reclaimed> {
        Ok(Reclaimed::default())
    }

    async fn list(&self) -> Result<Vec<NodeId>> {
        Ok(Vec::new())
    }
}

/// An engine, and what it has on one of the backends.
struct Place {
    engine: Engine,
    backend: &'static str,
    _directory: tempfile::TempDir,
}

impl Place {
    fn on(backend: &'static str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("root");
        let options = Options { root, drivers: &DRIVERS, preferred: None, verb: "test" };
        Self { engine: complete(Engine::open(options)).unwrap(), backend, _directory: directory }
    }

    /// An image of so many layers.
    fn image(&self, layers: usize) -> String {
        let id = fresh_image_id().unwrap();
        let actor = self.engine.actor().unwrap();
        let write = |tx: &rusqlite::Transaction<'_>| {
            let intent = journal::begin(tx, actor, &[])?;
            let mut top = None;
            for _ in 0..layers {
                let layer = LayerId(node::allocate(tx, intent, self.backend)?);
                node::becomes_layer(tx, layer, top)?;
                top = Some(layer);
            }
            image::insert(tx, &id, None, self.backend, "a test")?;
            let version = NewVersion {
                layer: top.unwrap(),
                config: &Config::default(),
                created: now(),
                created_by: "a test",
                author: None,
                message: None,
            };
            image::append(tx, &id, &version)?;
            journal::end(tx, intent)
        };
        self.engine.store.write(Durability::Quick, write).unwrap();
        id
    }

    /// A container of an image of so many layers.
    fn container(&self, layers: usize, runs: bool) -> String {
        let image = self.image(layers);
        let id = fresh_container_id().unwrap();
        let actor = self.engine.actor().unwrap();
        let own = ProcessIdentity { pid: std::process::id().try_into().unwrap(), start_time: 1 };
        let write = |tx: &rusqlite::Transaction<'_>| {
            let intent = journal::begin(tx, actor, &[])?;
            let work = WorkId(node::allocate(tx, intent, self.backend)?);
            let base = image::find(tx, &image)?.layer;
            let this = Container {
                id: id.clone(),
                name: None,
                base,
                origin: base,
                image: image.clone(),
                image_version: 1,
                backend: self.backend.to_owned(),
                work,
                config: Config::default(),
                argv: vec![OsString::from("true")],
                hostname: "test".to_owned(),
                network: Network::Host,
                auto_remove: false,
                leave_out: Vec::new(),
                lease: runs.then(|| actor.lease.to_owned()),
                holder: runs.then(std::process::id),
                process: None,
            };
            container::insert(tx, &this, now())?;
            if runs {
                container::set_running(tx, &id, own, now())?;
            }
            node::becomes_work(tx, work.0)?;
            journal::end(tx, intent)
        };
        self.engine.store.write(Durability::Quick, write).unwrap();
        id
    }

    /// How a commit fails.
    fn commit(&self, container: String, change: impl FnOnce(&mut CommitRequest)) -> Error {
        let mut request = CommitRequest { container, ..CommitRequest::default() };
        change(&mut request);
        complete(self.engine.commit(request)).unwrap_err()
    }
}

/// Asserts a refusal that came from the engine alone and names a way out.
#[track_caller]
fn refused(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.hint().is_some(), "{error}");
}

/// Asserts that the engine had nothing against it.
#[track_caller]
fn let_through(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("reached by"), "{error}");
}

#[test]
fn a_running_container_is_committed_only_where_that_is_declared() {
    let minimal = Place::on("minimal");
    for never_pause in [false, true] {
        refused(&minimal.commit(minimal.container(1, true), |request| request.never_pause = never_pause));
    }
    let_through(&minimal.commit(minimal.container(1, false), |_| ()));
    // The container that is to be paused is none of a control group, and only that is in the way.
    let pausing = Place::on("pausing");
    let_through(&pausing.commit(pausing.container(1, true), |_| ()));
    let atomic = Place::on("atomic");
    let_through(&atomic.commit(atomic.container(1, true), |request| request.never_pause = true));
    let_through(&atomic.commit(atomic.container(1, true), |_| ()));
}

#[test]
fn a_container_that_may_not_be_paused_is_committed_only_at_one_instant() {
    let pausing = Place::on("pausing");
    refused(&pausing.commit(pausing.container(1, true), |request| request.never_pause = true));
    // Where nobody runs, nobody has to be paused.
    let_through(&pausing.commit(pausing.container(1, false), |request| request.never_pause = true));
}

#[test]
fn volumes_are_flattened_only_where_they_are_declared() {
    for backend in ["minimal", "atomic", "shallow"] {
        let place = Place::on(backend);
        refused(&place.commit(place.container(1, false), |request| request.flatten = true));
    }
    let flattening = Place::on("flattening");
    let_through(&flattening.commit(flattening.container(1, false), |request| request.flatten = true));
}

#[test]
fn a_commit_does_not_make_more_layers_than_are_declared() {
    let shallow = Place::on("shallow");
    let_through(&shallow.commit(shallow.container(MOST - 1, false), |_| ()));
    refused(&shallow.commit(shallow.container(MOST, false), |_| ()));
    // The way out that it names.
    let_through(
        &shallow.commit(shallow.container(MOST, false), |request| request.squash = Some(Squash::All)),
    );
    let endless = Place::on("minimal");
    let_through(&endless.commit(endless.container(MOST * 100, false), |_| ()));
}

#[test]
fn nothing_is_run_over_more_layers_than_are_declared() {
    let shallow = Place::on("shallow");
    let run = |layers: usize| {
        let request = RunRequest {
            image: shallow.image(layers),
            command: vec!["true".into()],
            ..RunRequest::default()
        };
        shallow.engine.run(&request).unwrap_err()
    };
    refused(&run(MOST + 1));
    // A process with threads, as this one, cannot fork a container: that is what comes next.
    assert_eq!(run(MOST).kind(), ErrorKind::Conflict);
    refused(&shallow.engine.start(&shallow.container(MOST + 1, false)).unwrap_err());
    let start = shallow.engine.start(&shallow.container(MOST, false)).unwrap_err();
    assert_eq!(start.kind(), ErrorKind::Conflict, "{start}");
}

#[test]
fn an_image_of_more_layers_than_are_declared_is_not_converted() {
    let from = Place::on("minimal");
    let convert = |layers: usize| {
        let unwatched: Arc<dyn Progress + Send + Sync> = Arc::new(Unwatched);
        let request = ConvertRequest { image: from.image(layers), to: "shallow".to_owned(), name: None };
        complete(from.engine.convert(request, unwatched)).unwrap_err()
    };
    refused(&convert(MOST + 1));
    let_through(&convert(MOST));
}
