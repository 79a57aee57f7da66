//! What `du` answers, as plain data.

use serde::Serialize;

use crate::engine::Status;

/// What everything in a root occupies, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Space {
    /// Each image, in the order of ids.
    pub images: Vec<ImageSpace>,
    /// Each container, in the order of ids.
    pub containers: Vec<ContainerSpace>,
    /// All of a kind together.
    pub totals: Totals,
    /// The backends, by name.
    pub backends: Vec<BackendSpace>,
}

/// What all images and all containers occupy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct Totals {
    /// All images together.
    pub images: KindSpace,
    /// All containers together, but for what images hold.
    pub containers: KindSpace,
}

/// What all objects of a kind occupy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct KindSpace {
    /// How many there are.
    pub count: u32,
    /// Images that containers were made from; containers that run.
    pub active: u32,
    /// What they hold together, each byte once.
    pub size: u64,
    /// What comes back if all go that are not active.
    pub reclaimable: u64,
}

/// What an object occupies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct Bytes {
    /// All that it needs.
    pub size: u64,
    /// What of that something else needs too, and stays when it goes.
    pub shared: u64,
    /// What comes back when it is removed: nothing else holds it.
    pub exclusive: u64,
}

/// What an image occupies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageSpace {
    /// `img_…`.
    pub id: String,
    /// `NAME:TAG`, if it has one.
    pub name: Option<String>,
    /// The backend that holds it.
    pub backend: String,
    /// How many containers were made from it.
    pub containers: u32,
    /// All of its versions together.
    #[serde(flatten)]
    pub bytes: Bytes,
    /// Each of them, the newest first.
    pub versions: Vec<VersionSpace>,
}

/// What a version of an image occupies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct VersionSpace {
    /// Its number.
    pub version: u32,
    /// Whether the image's name leads to it.
    pub current: bool,
    /// Whether its tree is gone.
    pub pruned: bool,
    /// Nothing where it was pruned. What comes back is what does if this version
    /// alone goes.
    #[serde(flatten)]
    pub bytes: Bytes,
}

/// What a container occupies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerSpace {
    /// `ps_…`.
    pub id: String,
    /// The name that the user gave, if any.
    pub name: Option<String>,
    /// The image that it was made from, by name where that has one.
    pub image: String,
    /// What it is doing.
    pub status: Status,
    /// The backend that holds it.
    pub backend: String,
    /// What it needs, the image's layers among it.
    #[serde(flatten)]
    pub bytes: Bytes,
}

/// What a backend and its file system hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackendSpace {
    /// Its name.
    pub backend: String,
    /// What the images and containers on it hold together.
    pub size: u64,
    /// Whether every byte is counted once; else what files share by reflink
    /// counts for each of them.
    pub exact: bool,
    /// The file system that holds it, which may hold other things as well.
    pub file_system: Option<FileSystemSpace>,
}

/// What a file system says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FileSystemSpace {
    /// All of it.
    pub size: u64,
    /// What is in use.
    pub used: u64,
    /// What can still be written.
    pub free: u64,
}
