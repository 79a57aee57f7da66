//! One look at everything: what the records say beside what there is.
//!
//! Commands may be at work meanwhile. The backends are listed before the records
//! are read, so what is listed and not recorded was recorded by nobody; and what
//! an intent of a living process names is left alone. What a look finds by bad
//! luck, because something changed between two of its steps, the next one does
//! not find (see `Engine::findings`).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::finding::{Code, Finding};
use super::records::{Records, Stander};
use crate::backend::{Access, Chain, LayerId, Layers, Node, NodeId, Rootfs, SnapshotBackend, WorkId};
use crate::engine::sweep::list_names;
use crate::engine::{Engine, open_backend};
use crate::error::{Error, Result};
use crate::store::lease::Lease;
use crate::store::manifest::{Damaged, Mismatch};
use crate::store::node;

/// How old a lock file without any record must be before anybody looks whether
/// it is held: whoever has just made one is about to lock it.
const SETTLED: Duration = Duration::from_secs(60);

/// What `--repair` does about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cure {
    /// There is none.
    None,
    /// The clean-up that every command begins with.
    Sweep,
    /// A node that no record knows.
    Stray {
        backend: String,
        node: NodeId,
    },
    /// A node that nothing needs.
    Unneeded(NodeId),
    RemoveDirectory(String),
    MakeDirectory(String),
    Unmount(PathBuf),
    RemoveGroup(String),
    /// All manifests are brought in line.
    Manifests,
    /// Only where the user asks for it.
    RemoveVersion {
        image: String,
        number: u32,
    },
    RemoveContainer(String),
}

/// A finding, and what can be done about it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) finding: Finding,
    pub(super) cure: Cure,
}

/// All findings of a look.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) found: Vec<Found>,
    pub(super) images: usize,
    pub(super) containers: usize,
    pub(super) nodes: usize,
    /// Whether another process is at work.
    pub(super) others: bool,
}

/// A backend that could be opened, and what it holds.
struct Held {
    backend: Arc<dyn SnapshotBackend>,
    nodes: BTreeSet<u64>,
}

impl Look {
    pub(super) fn add(
        &mut self,
        code: Code,
        subject: impl Into<String>,
        problem: impl Into<String>,
        cure: Cure,
    ) {
        self.found.push(Found { finding: Finding::new(code, subject, problem), cure });
    }
}

impl Engine {
    pub(super) async fn look(&self) -> Result<Look> {
        let mut look = Look::default();
        let directories: Vec<_> = list_names(&self.root.containers())?;
        let (held, unavailable) = self.open_all().await?;
        let records = Records::read(self.store.read())?;
        look.images = records.images;
        look.containers = records.containers.len();
        let listed: BTreeSet<u64> = held.values().flat_map(|held| held.nodes.iter().copied()).collect();
        look.nodes = listed.union(&records.nodes.keys().copied().collect()).count();
        for (name, why) in unavailable {
            // An empty directory is no loss.
            if records.nodes.values().any(|node| node.backend == name) {
                let problem = why.to_string();
                look.add(Code::UnavailableBackend, format!("backend {name}"), problem, Cure::None);
            }
        }
        self.strays(&mut look, &records, &held);
        self.holes(&mut look, &records, &held).await;
        self.dead(&mut look, &records)?;
        self.directories(&mut look, &records, &directories);
        self.mounts(&mut look)?;
        self.groups(&mut look, &records)?;
        self.manifests(&mut look)?;
        Ok(look)
    }

    /// Opens every backend that has a directory in the root or a node in the
    /// records, and lists what it holds.
    async fn open_all(&self) -> Result<(BTreeMap<String, Held>, Vec<(String, Error)>)> {
        let mut names: BTreeSet<String> = node::backends(self.store.read())?.into_iter().collect();
        let there = self.drivers.iter().filter(|driver| self.root.path().join(driver.name).is_dir());
        names.extend(there.map(|driver| driver.name.to_owned()));
        let (mut held, mut unavailable) = (BTreeMap::new(), Vec::new());
        for name in names {
            let open = async {
                let backend = open_backend(self.drivers, &name, self.root.path()).await?;
                let nodes = backend.list().await?.into_iter().map(|node| node.0).collect();
                Ok(Held { backend, nodes })
            };
            match open.await {
                Ok(opened) => drop(held.insert(name, opened)),
                Err(error) => unavailable.push((name, error)),
            }
        }
        Ok((held, unavailable))
    }

    /// Nodes that no record knows, or that the records know and nothing needs.
    fn strays(&self, look: &mut Look, records: &Records, held: &BTreeMap<String, Held>) {
        for (name, Held { nodes, .. }) in held {
            let strays = nodes
                .iter()
                .filter(|node| records.nodes.get(node).is_none_or(|known| known.backend != *name));
            for node in strays {
                let cure = Cure::Stray { backend: name.clone(), node: NodeId(*node) };
                look.add(Code::OrphanNode, format!("node {node} of {name}"), "no record knows it", cure);
            }
        }
        let mut needed: BTreeSet<u64> = records.pinned.clone();
        needed.extend(records.containers.iter().filter_map(|container| container.work));
        let mut open: Vec<u64> = records.standers().map(|stander| stander.tip).collect();
        open.extend(&records.pinned);
        while let Some(layer) = open.pop() {
            needed.insert(layer);
            let Some(known) = records.nodes.get(&layer) else { continue };
            let delta = held.get(&known.backend).is_none_or(Held::is_delta);
            if let (true, Some(parent)) = (delta, known.parent)
                && !needed.contains(&parent)
            {
                open.push(parent);
            }
        }
        for (node, known) in records.nodes.iter().filter(|(node, _)| !needed.contains(node)) {
            let subject = format!("node {node} of {}", known.backend);
            let problem = format!("it is recorded as '{}', and nothing needs it", known.role);
            look.add(Code::UnreferencedNode, subject, problem, Cure::Unneeded(NodeId(*node)));
        }
    }

    /// What images and containers stand on and is not there.
    async fn holes(&self, look: &mut Look, records: &Records, held: &BTreeMap<String, Held>) {
        // Layers are shared, and each is looked at once.
        let mut seen = HashSet::new();
        for stander in records.standers() {
            let Some(held) = held.get(&stander.backend) else { continue };
            let object = if stander.number.is_some() { "image" } else { "container" };
            if records.held.contains(&format!("{object} {}", stander.id)) {
                continue;
            }
            let cure = match stander.number {
                Some(number) => Cure::RemoveVersion { image: stander.id.clone(), number },
                None => Cure::RemoveContainer(stander.id.clone()),
            };
            let (chain, missing) = chain_of(records, held, stander);
            if let Some(layer) = missing {
                let problem = format!("layer {layer} of {} is missing", stander.backend);
                look.add(Code::MissingLayer, stander.subject.clone(), problem, cure);
                continue;
            }
            if let Some(work) = stander.work.filter(|work| !held.nodes.contains(work)) {
                let problem = format!("work area {work} of {} is missing", stander.backend);
                look.add(Code::MissingWorkArea, stander.subject.clone(), problem, cure);
                continue;
            }
            let node = match stander.work {
                Some(work) => Node::Work(WorkId(NodeId(work))),
                None => Node::Layer(LayerId(NodeId(stander.tip))),
            };
            if let Err(error) = is_whole(held.backend.as_ref(), node, &chain, &mut seen).await {
                look.add(Code::BrokenTree, stander.subject.clone(), error.to_string(), cure);
            }
        }
    }

    /// What dead processes left in the journal, and their lock files.
    fn dead(&self, look: &mut Look, records: &Records) -> Result<()> {
        let own = self.lease.get().map(Lease::token);
        let files = list_names(&self.root.leases())?;
        look.others = files.iter().any(|token| Some(token.as_str()) != own);
        let leases = self.root.leases();
        let mut free = BTreeSet::new();
        for token in records.leases() {
            if Some(token) != own && Lease::is_free(&leases, token)? {
                free.insert(token);
            }
        }
        for intent in records.intents.iter().filter(|intent| free.contains(intent.lease.as_str())) {
            let subject = format!("'mocker {}' (process {})", intent.verb, intent.pid);
            look.add(Code::DeadCommand, subject, "it is dead, and what it did is half done", Cure::Sweep);
        }
        for container in &records.containers {
            if container.lease.as_deref().is_some_and(|lease| free.contains(lease)) {
                let problem = "it is recorded as running, and the process that ran it is dead";
                look.add(Code::DeadContainer, container.subject.clone(), problem, Cure::Sweep);
            }
        }
        for token in files.iter().filter(|token| !records.leases().contains(token.as_str())) {
            let age = std::fs::metadata(leases.join(token)).and_then(|file| file.modified());
            let is_settled = age.is_ok_and(|since| since.elapsed().is_ok_and(|age| age > SETTLED));
            if Some(token.as_str()) != own && is_settled && Lease::is_free(&leases, token)? {
                let subject = format!("leases/{token}");
                look.add(Code::DeadLease, subject, "nobody holds it", Cure::Sweep);
            }
        }
        Ok(())
    }

    fn manifests(&self, look: &mut Look) -> Result<()> {
        for mismatch in self.store.manifests().compare(&self.store)? {
            let subject = format!("manifests/{}", mismatch.place());
            let (code, problem) = match mismatch {
                Mismatch::Missing(_) => (Code::MissingManifest, "there is none".to_owned()),
                Mismatch::Stale(_) => (Code::StaleManifest, "the records say something else".to_owned()),
                Mismatch::Orphan(_) => (Code::OrphanManifest, "no record knows it".to_owned()),
                Mismatch::Damaged(Damaged { why, .. }) => (Code::DamagedManifest, why),
            };
            look.add(code, subject, problem, Cure::Manifests);
        }
        Ok(())
    }
}

impl Held {
    fn is_delta(&self) -> bool {
        self.backend.capabilities().layers == Layers::Delta
    }
}

/// The chain that something stands on, and the first of its layers that is not
/// there. Where layers are whole trees only the last one is needed.
fn chain_of(records: &Records, held: &Held, of: &Stander) -> (Chain, Option<u64>) {
    let mut layers = Vec::new();
    let mut next = Some(of.tip);
    while let Some(layer) = next {
        let known = records.nodes.get(&layer).filter(|known| known.role == "layer");
        if known.is_none() || !held.nodes.contains(&layer) || layers.contains(&layer) {
            if held.is_delta() || layers.is_empty() {
                return (Chain::EMPTY, Some(layer));
            }
            break;
        }
        layers.push(layer);
        next = known.and_then(|known| known.parent);
    }
    layers.reverse();
    (Chain::new(layers.into_iter().map(|layer| LayerId(NodeId(layer))).collect()), None)
}

/// Looks whether the directories are there that the tree of a node is made of.
/// Mounts nothing: that could be in the way of a commit.
async fn is_whole(
    backend: &dyn SnapshotBackend,
    node: Node,
    chain: &Chain,
    seen: &mut HashSet<PathBuf>,
) -> Result<()> {
    let paths = match backend.rootfs(node, chain, Access::Read).await? {
        Rootfs::Directory(path) => vec![path],
        Rootfs::Overlay(plan) => {
            plan.lower.into_iter().chain(plan.upper.map(|upper| upper.directory)).collect()
        }
    };
    for path in paths {
        if seen.contains(&path) {
            continue;
        }
        let describe = |error| Error::io(format_args!("the tree '{}'", path.display()), error);
        let metadata = std::fs::symlink_metadata(&path).map_err(describe)?;
        if !metadata.is_dir() {
            return Err(describe(rustix::io::Errno::NOTDIR.into()));
        }
        seen.insert(path);
    }
    Ok(())
}
