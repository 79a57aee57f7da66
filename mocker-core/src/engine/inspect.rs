//! `inspect`: all that is known of an image or a container, spelled as Docker
//! and the OCI image specification do.

use std::path::PathBuf;

use rusqlite::Connection;
use serde::Serialize;

use crate::backend::{Chain, LayerId};
use crate::engine::find::{Found, find};
use crate::engine::history::Sizes;
use crate::engine::{ContainerSummary, Engine, Kind, Status};
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Config, Reference};
use crate::sandbox::{Cgroup, Network};
use crate::store::container::Container;
use crate::store::image::Image;
use crate::store::{container, node, version};

/// An image or a container, with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Inspected {
    /// An image as it is in one of its versions.
    Image(Box<ImageDetails>),
    /// A container.
    Container(Box<ContainerDetails>),
}

/// A version of an image. What there is none of is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageDetails {
    /// `img_…`.
    pub id: String,
    /// Its name, in a list as in Docker, where there can be several.
    pub repo_tags: Vec<String>,
    /// The backend that holds it.
    pub backend: String,
    /// The number of the version.
    pub version: u32,
    /// Whether that is the current one.
    pub current: bool,
    /// How many versions the image has.
    pub versions: usize,
    /// When the version was made.
    #[serde(with = "crate::time")]
    pub created: i64,
    /// The command that made it, or how it came about.
    pub created_by: String,
    /// Who made it.
    pub author: Option<String>,
    /// Why it was made.
    pub comment: Option<String>,
    /// What takes effect when it is run, as the OCI image configuration has it.
    pub config: Config,
    /// What it stands on.
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
    /// How each of the layers came about, in their order.
    pub history: Vec<LayerHistory>,
    /// What is stored of its tree, in bytes, whoever else has a part of it.
    pub size: Option<u64>,
}

/// The layers under a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RootFs {
    /// `layers`.
    pub r#type: &'static str,
    /// Their nodes, the base first.
    pub layers: Vec<u64>,
}

/// A layer, as the `history` of the OCI image configuration has it, with its
/// node and the version that it was made for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerHistory {
    /// When it was made. This and all below is `None` where the version that it
    /// was made for is gone, and only the layer is left.
    #[serde(serialize_with = "moment")]
    pub created: Option<i64>,
    /// The command that made it.
    pub created_by: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Why.
    pub comment: Option<String>,
    /// Its node.
    pub layer: u64,
    /// The first version that had it on top, as `img_…@1`.
    pub made_for: Option<String>,
}

/// A container. What there is none of is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerDetails {
    /// `ps_…`.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// When it was made.
    #[serde(with = "crate::time")]
    pub created: i64,
    /// The program that it runs; bytes that are not UTF-8 are replaced.
    pub path: Option<String>,
    /// The arguments of that.
    pub args: Vec<String>,
    /// What it is doing.
    pub state: State,
    /// The image that it was made from, by id.
    pub image: String,
    /// What that image is called now.
    pub image_name: Option<String>,
    /// The version of that image.
    pub image_version: u32,
    /// The backend that holds it.
    pub backend: String,
    /// What takes effect when it is started.
    pub config: ContainerConfig,
    /// How it meets its host.
    pub host_config: HostConfig,
    /// What its work area stands on.
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
    /// The node of its work area.
    pub work: u64,
    /// Where its output is kept.
    pub log_path: PathBuf,
}

/// What a container is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct State {
    /// `created`, `running`, `paused` or `exited`.
    pub status: &'static str,
    /// Whether its command runs, be it paused or not.
    pub running: bool,
    /// Whether it is frozen at this moment.
    pub paused: bool,
    /// The process on the host, while it runs.
    pub pid: Option<i32>,
    /// The exit status, once it has ended.
    pub exit_code: Option<u8>,
    /// Why the command never started, or was ended from outside.
    pub error: Option<String>,
    /// When it was last started.
    #[serde(serialize_with = "moment")]
    pub started_at: Option<i64>,
    /// When it last ended.
    #[serde(serialize_with = "moment")]
    pub finished_at: Option<i64>,
}

/// An image's configuration as it is in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// The host name inside.
    pub hostname: String,
    /// The image it was made from, with the version.
    pub image: String,
    /// The settings.
    #[serde(flatten)]
    pub settings: Config,
}

/// How a container meets its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostConfig {
    /// `host` or `none`.
    pub network_mode: &'static str,
    /// Whether it goes when its command ends.
    pub auto_remove: bool,
}

fn moment<S: serde::Serializer>(moment: &Option<i64>, to: S) -> Result<S::Ok, S::Error> {
    match moment {
        Some(moment) => crate::time::serialize(moment, to),
        None => to.serialize_none(),
    }
}

impl Engine {
    /// All that is known of the image, the version or the container that a word
    /// stands for; `kind` says which of them it is to be.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::InvalidInput`] where a name is that
    /// of a container and of an image; those of measuring an image.
    pub async fn inspect(&self, text: &str, kind: Option<Kind>) -> Result<Inspected> {
        let (inspected, chain) = self.store.look(|connection| match find(connection, text, kind)? {
            Found::Image(found) => {
                let chain = node::chain(connection, found.layer)?;
                Ok((Inspected::Image(Box::new(image_details(connection, *found, &chain)?)), chain))
            }
            Found::Container(found) => {
                let chain = node::chain(connection, found.base)?;
                let details = self.container_details(connection, *found, &chain)?;
                Ok((Inspected::Container(Box::new(details)), chain))
            }
        })?;
        match inspected {
            Inspected::Image(mut details) => {
                let backend = self.backend(&details.backend).await?;
                details.size = Sizes::new(backend).of(&chain).await?;
                Ok(Inspected::Image(details))
            }
            Inspected::Container(mut details) => {
                if details.state.running && is_frozen(&details.id)? {
                    details.state.paused = true;
                    details.state.status = "paused";
                }
                Ok(Inspected::Container(details))
            }
        }
    }

    fn container_details(
        &self,
        connection: &Connection,
        found: Container,
        chain: &Chain,
    ) -> Result<ContainerDetails> {
        let summary = container::summary(connection, &found.id)?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("container {} is gone", found.id)))?;
        let ContainerSummary { command, status, .. } = summary;
        let (path, args) = match command.split_first() {
            Some((path, args)) => (Some(path.clone()), args.to_vec()),
            None => (None, Vec::new()),
        };
        Ok(ContainerDetails {
            log_path: self.root.container(&found.id).join("log"),
            created: summary.created,
            path,
            args,
            state: State {
                status: match status {
                    Status::Created => "created",
                    Status::Running => "running",
                    Status::Exited => "exited",
                },
                running: status == Status::Running,
                paused: false,
                pid: summary.pid,
                exit_code: summary.exit_code,
                error: summary.failure,
                started_at: summary.started,
                finished_at: summary.finished,
            },
            config: ContainerConfig {
                hostname: found.hostname,
                image: format!("{}@{}", found.image, found.image_version),
                settings: found.config,
            },
            host_config: HostConfig {
                network_mode: match found.network {
                    Network::Host => "host",
                    Network::None => "none",
                },
                auto_remove: found.auto_remove,
            },
            root_fs: RootFs::of(chain),
            work: found.work.0.0,
            id: found.id,
            name: found.name,
            image: found.image,
            image_name: summary.image_name,
            image_version: found.image_version,
            backend: found.backend,
        })
    }
}

/// Whether a container stands still at this moment, because of a commit or
/// because somebody froze it.
fn is_frozen(id: &str) -> Result<bool> {
    let frozen = Cgroup::of(id)?.map(|group| group.is_frozen()).transpose();
    match frozen {
        // It has just ended.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        frozen => Ok(frozen?.unwrap_or(false)),
    }
}

impl RootFs {
    fn of(chain: &Chain) -> Self {
        Self { r#type: "layers", layers: chain.layers().iter().map(|layer| layer.0.0).collect() }
    }
}

fn image_details(connection: &Connection, found: Image, chain: &Chain) -> Result<ImageDetails> {
    let versions = version::list(connection, &found.id)?;
    let this = versions.iter().find(|version| version.number == found.version).cloned();
    let this = this.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{} is gone", found.called())))?;
    let history = chain.layers().iter().map(|layer| layer_history(connection, *layer));
    Ok(ImageDetails {
        repo_tags: found.name.iter().map(Reference::to_string).collect(),
        current: found.version == found.head,
        version: found.version,
        versions: versions.len(),
        created: this.created,
        created_by: this.created_by,
        author: this.author,
        comment: this.message,
        config: found.config,
        root_fs: RootFs::of(chain),
        history: history.collect::<Result<_>>()?,
        size: None,
        id: found.id,
        backend: found.backend,
    })
}

fn layer_history(connection: &Connection, layer: LayerId) -> Result<LayerHistory> {
    let (image, first) = version::first_on(connection, layer)?.unzip();
    let made_for = image.zip(first.as_ref()).map(|(image, first)| format!("{image}@{}", first.number));
    let (created, created_by, author, comment) = match first {
        Some(first) => (Some(first.created), Some(first.created_by), first.author, first.message),
        None => (None, None, None, None),
    };
    Ok(LayerHistory { created, created_by, author, comment, layer: layer.0.0, made_for })
}
