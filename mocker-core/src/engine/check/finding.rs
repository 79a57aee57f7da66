//! What `check` can find, and what it says about it.

use serde::{Serialize, Serializer};

/// What is wrong. The words are for programs too, and do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The database is gone, damaged, or lacks something that was in it.
    DamagedRecords,
    /// What the damaged database held and no manifest told.
    Lost,
    /// A backend that holds something cannot be opened.
    UnavailableBackend,
    /// A node that no record knows.
    OrphanNode,
    /// A node that the records know and nothing needs.
    UnreferencedNode,
    /// A layer that an image or container stands on is not there.
    MissingLayer,
    /// The work area of a container is not there.
    MissingWorkArea,
    /// A node is there, and its tree is not.
    BrokenTree,
    /// A command died, and nobody has cleaned up after it.
    DeadCommand,
    /// A container is recorded as running, and whoever ran it is dead.
    DeadContainer,
    /// The lock file of a process that is dead.
    DeadLease,
    /// A directory of a container that no record knows.
    OrphanDirectory,
    /// A container without its directory.
    MissingDirectory,
    /// Something is mounted among the trees.
    StrayMount,
    /// A container that does not run has a control group.
    StrayControlGroup,
    /// An image, a version or a container has no manifest.
    MissingManifest,
    /// A manifest says something else than the records.
    StaleManifest,
    /// A manifest cannot be read.
    DamagedManifest,
    /// A manifest of something that no record knows.
    OrphanManifest,
}

impl Code {
    /// The code, what follows from it, and what `--repair` is to do about it.
    fn words(self) -> [&'static str; 3] {
        const SPACE: &str = "it takes up space";
        const UNUSABLE: &str = "it cannot be used";
        const ONE_COPY: &str = "were the records damaged, it could not be brought back as it is";
        const WRITE: &str = "write it anew from the records";
        const BROKEN: &str = "nothing by itself; --remove-broken removes what cannot be used";
        match self {
            Self::DamagedRecords => [
                "damaged-records",
                "no command can be relied on",
                "set the database aside, and make it anew out of manifests and what the backends hold",
            ],
            Self::Lost => ["lost", "no record knows it any more", "nothing: look into what was set aside"],
            Self::UnavailableBackend => {
                ["unavailable-backend", "what lies there cannot be used now", "nothing: see to the backend"]
            }
            Self::OrphanNode => ["orphan-node", SPACE, "delete it"],
            Self::UnreferencedNode => ["unreferenced-node", SPACE, "delete it"],
            Self::MissingLayer => ["missing-layer", UNUSABLE, BROKEN],
            Self::MissingWorkArea => ["missing-work-area", UNUSABLE, BROKEN],
            Self::BrokenTree => ["broken-tree", UNUSABLE, BROKEN],
            Self::DeadCommand => [
                "dead-command",
                "what it left is in the way",
                "delete what it left, as the next command does",
            ],
            Self::DeadContainer => {
                ["dead-container", "it does not run", "record its end, as the next command does"]
            }
            Self::DeadLease => {
                ["dead-lease", "every command looks at it", "remove it, as the next command does"]
            }
            Self::OrphanDirectory => ["orphan-directory", SPACE, "remove it"],
            Self::MissingDirectory => ["missing-directory", "what it printed is lost", "make it, empty"],
            Self::StrayMount => ["stray-mount", "what is beneath cannot be seen", "unmount it"],
            Self::StrayControlGroup => ["stray-control-group", "it stays in the kernel", "remove it"],
            Self::MissingManifest => ["missing-manifest", ONE_COPY, WRITE],
            Self::StaleManifest => ["stale-manifest", ONE_COPY, WRITE],
            Self::DamagedManifest => ["damaged-manifest", ONE_COPY, WRITE],
            Self::OrphanManifest => {
                ["orphan-manifest", "were the records damaged, what was removed would be back", "remove it"]
            }
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        self.words()[0]
    }

    /// What follows from it.
    pub fn consequence(self) -> &'static str {
        self.words()[1]
    }

    /// What `--repair` is to do about it.
    pub fn remedy(self) -> &'static str {
        self.words()[2]
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What became of something that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is as it was found.
    Left,
    /// It is not there any more.
    Repaired,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What sort of thing.
    pub code: Code,
    /// What it is about.
    pub subject: String,
    /// What was seen.
    pub problem: String,
    /// What follows from it.
    pub consequence: &'static str,
    /// What `--repair` is to do about it.
    pub remedy: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was not repaired.
    pub failure: Option<String>,
}

impl Finding {
    pub(super) fn new(code: Code, subject: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            code,
            subject: subject.into(),
            problem: problem.into(),
            consequence: code.consequence(),
            remedy: code.remedy(),
            outcome: Outcome::Left,
            failure: None,
        }
    }

    /// Whether both are about the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.code == other.code && self.subject == other.subject
    }
}

/// What `check` found, and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Report {
    /// What is wrong, or was.
    pub findings: Vec<Finding>,
    /// How many images were looked at.
    pub images: usize,
    /// How many containers.
    pub containers: usize,
    /// How many nodes, recorded ones and others.
    pub nodes: usize,
    /// Where the damaged database lies now.
    pub set_aside: Option<std::path::PathBuf>,
    /// How many deleted nodes' space came back.
    pub reclaimed: u64,
}

impl Report {
    /// Whether nothing is wrong any more.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.outcome == Outcome::Repaired)
    }
}
