//! What the verbs are asked for and what they answer, as plain data.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::Serialize;

use crate::image::Reference;
use crate::sandbox::Network;

/// One image as `images` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageSummary {
    /// `img_…`.
    pub id: String,
    /// `NAME:TAG`, if it has one.
    pub name: Option<String>,
    /// Where the first version came from: a directory, or a container.
    pub source: String,
    /// The number of the current version.
    pub version: u32,
    /// How many versions there are.
    pub versions: u32,
    /// The backend that holds it.
    pub backend: String,
    /// When the current version was made, in nanoseconds since the epoch.
    pub created: i64,
    /// The node of the current version's topmost layer.
    pub layer: u64,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Made, and its command was never started.
    Created,
    /// Its command runs.
    Running,
    /// Its command ended.
    Exited,
}

/// One container as `ps` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerSummary {
    /// `ps_…`.
    pub id: String,
    /// The name that the user gave, if any.
    pub name: Option<String>,
    /// The image it was made from, by id.
    pub image: String,
    /// `NAME:TAG` of that image as it is called now; `None` if it has no name
    /// or is gone.
    pub image_name: Option<String>,
    /// The version of the image that it was made from.
    pub image_version: u32,
    /// The whole argument vector; bytes that are not UTF-8 are replaced.
    pub command: Vec<String>,
    /// What it is doing.
    pub status: Status,
    /// The exit status of its command, once that ended.
    pub exit_code: Option<u8>,
    /// Why the command never started or was ended from outside.
    pub failure: Option<String>,
    /// The process id on the host, while it runs.
    pub pid: Option<i32>,
    /// The backend that holds it.
    pub backend: String,
    /// When it was made, in nanoseconds since the epoch.
    pub created: i64,
    /// When its command was last started.
    pub started: Option<i64>,
    /// When its command last ended.
    pub finished: Option<i64>,
    /// The node of its work area.
    pub work: u64,
}

/// What `init` is asked for.
#[derive(Debug, Clone)]
pub struct InitRequest {
    /// The directory to copy.
    pub directory: PathBuf,
    /// The name for the image. An image that has it gets a new version.
    pub name: Option<Reference>,
}

/// Watches a copy and may stop it; called from several threads.
pub use crate::tree::copy::Progress;

/// What `run` is asked for; what is `None` or empty is as the image says.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// The image: id, unique prefix of an id, or name; with `@VERSION` one of
    /// its versions.
    pub image: String,
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// A name for the container.
    pub name: Option<String>,
    /// Remove the container when its command ended.
    pub remove: bool,
    /// `NAME=VALUE`, over those of the image.
    pub env: Vec<String>,
    /// The working directory inside the container.
    pub workdir: Option<String>,
    /// `USER[:GROUP]`, names or numbers.
    pub user: Option<String>,
    /// Replaces the image's entry point, and with it the image's command;
    /// an empty text means none.
    pub entrypoint: Option<String>,
    /// The host name inside; else the container's id.
    pub hostname: Option<String>,
    /// Which network the container sees.
    pub network: Network,
}

/// Whose command and settings a commit keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConfigFrom {
    /// Those that the container was run with, as in Docker.
    #[default]
    Container,
    /// Those of the image that the container was made from.
    Image,
}

/// What `commit` is asked for.
#[derive(Debug, Clone, Default)]
pub struct CommitRequest {
    /// The container: id, unique prefix, or name.
    pub container: String,
    /// An image that gets a new version, or the name for a new image.
    pub target: Option<String>,
    /// Who made the version.
    pub author: Option<String>,
    /// Why it was made.
    pub message: Option<String>,
    /// Dockerfile instructions that change the config.
    pub changes: Vec<String>,
    /// Whose settings to start from.
    pub config_from: ConfigFrom,
    /// Turn nested volumes into directories instead of refusing them.
    pub flatten: bool,
    /// Refuse rather than pause a container that runs.
    pub never_pause: bool,
    /// Make one layer of several.
    pub squash: Option<Squash>,
}

/// Which layers a commit makes one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Squash {
    /// Those that the container got since it was made from its image.
    New,
    /// All of them, the image's too.
    All,
}

/// What `convert` is asked for.
#[derive(Debug, Clone)]
pub struct ConvertRequest {
    /// The image: id, unique prefix of an id, or name; with `@VERSION` one of
    /// its versions.
    pub image: String,
    /// The backend for the new image.
    pub to: String,
    /// Its name. An image that has it gets a new version.
    pub name: Option<Reference>,
}

/// What `commit`, `init` and `tag` made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Created {
    /// The image's id.
    pub image: String,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The number of the version that was added.
    pub version: u32,
    /// What the user should know, such as whose command was kept.
    pub notes: Vec<String>,
}

/// What `rm` removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// The id of the image or container.
    pub id: String,
    /// What the user should know, such as containers that still use it.
    pub notes: Vec<String>,
}
