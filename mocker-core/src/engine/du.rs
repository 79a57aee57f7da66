//! `du`: what images, versions and containers occupy, and what comes back on
//! their removal.

use std::collections::{BTreeSet, HashMap};

use crate::backend::{Access, Measure, Node, NodeSet, Rootfs, SnapshotBackend};
use crate::engine::needs::{Needs, Nodes, Users};
use crate::engine::{ContainerSummary, Engine};
use crate::error::{Error, ErrorKind, Result};
use crate::store::container;
use crate::store::survey::{Survey, SurveyedContainer, SurveyedImage, survey};

mod records;

pub use records::{
    BackendSpace, Bytes, ContainerSpace, FileSystemSpace, ImageSpace, KindSpace, Space, Totals, VersionSpace,
};

/// How often the records are read again because something that was to be
/// measured had just gone.
const TRIES: usize = 10;

impl Engine {
    /// Measures everything. What was written before is counted; file contents are
    /// not read. What vanishes meanwhile is left out.
    ///
    /// # Errors
    /// Those of the backends; [`ErrorKind::Busy`] where images or containers go
    /// faster than they can be measured.
    pub async fn space(&self) -> Result<Space> {
        for _ in 0..TRIES {
            let (survey, summaries) =
                self.store.look(|connection| Ok((survey(connection)?, container::list(connection)?)))?;
            if let Some(space) = self.measure(&survey, &summaries).await? {
                return Ok(space);
            }
            crate::story!("something went while it was measured: looking again");
        }
        Err(Error::new(ErrorKind::Busy, "cannot measure the space: images or containers go all the time")
            .with_hint("try again when fewer are removed"))
    }

    async fn measure(&self, survey: &Survey, summaries: &[ContainerSummary]) -> Result<Option<Space>> {
        let summaries = summaries.iter().map(|summary| (summary.id.as_str(), summary)).collect();
        let mut space = Space::default();
        let names: BTreeSet<&str> = survey.nodes.values().map(|node| node.backend.as_str()).collect();
        for name in names {
            let backend = self.backend(name).await?;
            let needs = Needs::new(survey, backend.capabilities().layers);
            let mut questions = Questions { needs: &needs, sets: Vec::new() };
            let asked = Asked::of(survey, name, &mut questions);
            let figures = Figures(backend.usage(&questions.sets).await?);
            let Some(held) = asked.read(&figures, &summaries, &mut space) else { return Ok(None) };
            space.backends.push(BackendSpace {
                backend: name.to_owned(),
                size: held,
                exact: backend.capabilities().usage_exact,
                file_system: file_system(survey, &*backend, name).await?,
            });
        }
        space.images.sort_by(|one, other| one.id.cmp(&other.id));
        space.containers.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(Some(space))
    }
}

/// What is asked of a backend.
struct Questions<'a> {
    needs: &'a Needs<'a>,
    sets: Vec<NodeSet>,
}

/// Which of the answers is meant.
#[derive(Clone, Copy)]
struct Answer(usize);

impl Questions<'_> {
    fn ask(&mut self, nodes: &Nodes, measure: Measure) -> Answer {
        self.sets.push(self.needs.set(nodes, measure));
        Answer(self.sets.len() - 1)
    }

    /// Asks what an object needs, and of that what nothing else does.
    fn object(&mut self, needs: &Nodes, own: &Nodes) -> [Answer; 2] {
        [self.ask(needs, Measure::All), self.ask(own, Measure::Alone)]
    }
}

struct Figures(Vec<Option<u64>>);

impl Figures {
    /// `None` where something of it has just gone.
    fn get(&self, answer: Answer) -> Option<u64> {
        self.0.get(answer.0).copied().flatten()
    }

    fn object(&self, [size, exclusive]: [Answer; 2]) -> Option<Bytes> {
        let (size, exclusive) = (self.get(size)?, self.get(exclusive)?);
        Some(Bytes { size, shared: size.saturating_sub(exclusive), exclusive })
    }
}

/// What was asked about one backend.
struct Asked<'a> {
    images: Vec<(&'a SurveyedImage, u32, [Answer; 2])>,
    /// Those of each image in turn.
    versions: Vec<Vec<Option<[Answer; 2]>>>,
    containers: Vec<(&'a SurveyedContainer, [Answer; 2])>,
    /// Of images: all that they hold, and what those do that have no container.
    image_kind: [Answer; 2],
    /// Of containers: what only they hold, and what those do that do not run.
    container_kind: [Answer; 2],
    everything: Answer,
}

impl<'a> Asked<'a> {
    fn of(survey: &'a Survey, name: &str, questions: &mut Questions<'_>) -> Self {
        let needs = questions.needs;
        let containers: Vec<_> = survey
            .containers
            .iter()
            .filter(|container| container.backend == name)
            .map(|container| (container, needs.of_container(container)))
            .collect();
        let images: Vec<_> = survey
            .images
            .iter()
            .filter(|image| image.backend == name)
            .map(|image| {
                let tree = |(_, tip): &(u32, Option<_>)| tip.map(|tip| needs.of_layer(tip));
                let versions: Vec<Option<Nodes>> = image.versions.iter().map(tree).collect();
                let all: Nodes = versions.iter().flatten().flatten().copied().collect();
                let of_it = |container: &&SurveyedContainer| container.image == image.id;
                (image, versions, all, survey.containers.iter().filter(of_it).count())
            })
            .collect();
        let (mut users, mut users_of_versions) = (Users::new(survey), Users::new(survey));
        for (_, versions, all, _) in &images {
            users.add(all);
            versions.iter().flatten().for_each(|version| users_of_versions.add(version));
        }
        for (_, all) in &containers {
            users.add(all);
            users_of_versions.add(all);
        }
        // What goes by itself would make the sum of all hard to get hold of.
        let lasting =
            || containers.iter().filter(|(container, _)| !(container.held && container.auto_remove));
        let everything =
            images.iter().map(|(_, _, all, _)| all).chain(lasting().map(|(_, all)| all)).flatten().copied();
        let everything = everything.collect();
        let all_of_images = images.iter().flat_map(|(_, _, all, _)| all).copied().collect();
        let unused = images.iter().filter(|(.., containers)| *containers == 0).map(|(_, _, all, _)| all);
        let stopped = lasting().filter(|(container, _)| !container.held).map(|(_, all)| all);
        Self {
            image_kind: questions.object(&all_of_images, &users.only(unused)),
            container_kind: [
                questions.ask(&users.only(lasting().map(|(_, all)| all)), Measure::Alone),
                questions.ask(&users.only(stopped), Measure::Alone),
            ],
            everything: questions.ask(&everything, Measure::All),
            versions: images
                .iter()
                .map(|(_, versions, ..)| {
                    let mut ask = |all| questions.object(all, &users_of_versions.only([all]));
                    versions.iter().map(|version| version.as_ref().map(&mut ask)).collect()
                })
                .collect(),
            images: images
                .iter()
                .map(|(image, _, all, containers)| {
                    let containers = u32::try_from(*containers).unwrap_or(u32::MAX);
                    (*image, containers, questions.object(all, &users.only([all])))
                })
                .collect(),
            containers: containers
                .iter()
                .map(|(container, all)| (*container, questions.object(all, &users.only([all]))))
                .collect(),
        }
    }

    /// Adds the answers to what is known; answers what everything holds together.
    /// `None` where something that stays as a rule has just gone.
    fn read(
        &self,
        figures: &Figures,
        summaries: &HashMap<&str, &ContainerSummary>,
        space: &mut Space,
    ) -> Option<u64> {
        for ((image, containers, answers), versions) in self.images.iter().zip(&self.versions) {
            space.totals.images.count += 1;
            space.totals.images.active += u32::from(*containers > 0);
            let bytes = figures.object(*answers)?;
            let version = |((number, tip), answers): (&(u32, Option<_>), &Option<[Answer; 2]>)| {
                let bytes = answers.map_or(Some(Bytes::default()), |answers| figures.object(answers))?;
                let (version, pruned) = (*number, tip.is_none());
                Some(VersionSpace { version, current: version == image.head, pruned, bytes })
            };
            space.images.push(ImageSpace {
                id: image.id.clone(),
                name: image.name.clone(),
                backend: image.backend.clone(),
                containers: *containers,
                bytes,
                versions: image.versions.iter().zip(versions).map(version).collect::<Option<_>>()?,
            });
        }
        for (container, answers) in &self.containers {
            let (Some(bytes), Some(summary)) =
                (figures.object(*answers), summaries.get(container.id.as_str()))
            else {
                continue;
            };
            space.totals.containers.count += 1;
            space.totals.containers.active += u32::from(container.held);
            space.containers.push(ContainerSpace {
                id: container.id.clone(),
                name: summary.name.clone(),
                image: summary.image_name.clone().unwrap_or_else(|| summary.image.clone()),
                status: summary.status,
                backend: container.backend.clone(),
                bytes,
            });
        }
        for (kind, [size, reclaimable]) in
            [(&mut space.totals.images, self.image_kind), (&mut space.totals.containers, self.container_kind)]
        {
            kind.size += figures.get(size)?;
            kind.reclaimable += figures.get(reclaimable)?;
        }
        figures.get(self.everything)
    }
}

/// What the file system says that holds the nodes of a backend; nothing where
/// those that were asked for it have just gone.
async fn file_system(
    survey: &Survey,
    backend: &dyn SnapshotBackend,
    name: &str,
) -> Result<Option<FileSystemSpace>> {
    let of_image = survey.images.iter().filter(|image| image.backend == name);
    let tips = of_image.flat_map(|image| &image.versions).filter_map(|(_, tip)| *tip);
    let bases = survey.containers.iter().filter(|found| found.backend == name).map(|found| found.base);
    for tip in tips.chain(bases) {
        let rootfs = match backend.rootfs(Node::Layer(tip), &survey.chain(tip), Access::Read).await {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            found => found?,
        };
        let path = match &rootfs {
            Rootfs::Directory(path) => path,
            Rootfs::Overlay(plan) => match plan.lower.first() {
                Some(path) => path,
                None => continue,
            },
        };
        let told = rustix::fs::statvfs(path).map_err(|errno| {
            Error::io(format_args!("cannot look at the file system of '{}'", path.display()), errno)
        })?;
        return Ok(Some(FileSystemSpace {
            size: told.f_blocks * told.f_frsize,
            used: told.f_blocks.saturating_sub(told.f_bfree) * told.f_frsize,
            free: told.f_bavail * told.f_frsize,
        }));
    }
    Ok(None)
}
