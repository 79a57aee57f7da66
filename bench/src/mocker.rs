//! The program under test: how it is called, and where it keeps what it made.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::failure::{During, Failure, Result};
use crate::process::{command, run};

/// The variables that would point it somewhere else.
const VARIABLES: [&str; 3] = ["MOCKER_ROOT", "MOCKER_CRASH_AT", "DOCKER_DEMO_BTRFS_PATH"];

/// One program, one root and one backend.
#[derive(Debug)]
pub(crate) struct Mocker {
    program: PathBuf,
    root: PathBuf,
    backend: &'static str,
}

impl Mocker {
    pub(crate) fn new(program: PathBuf, root: PathBuf, backend: &'static str) -> Self {
        Self { program, root, backend }
    }

    /// The same program on another root.
    pub(crate) fn on(&self, root: PathBuf, backend: &'static str) -> Self {
        Self::new(self.program.clone(), root, backend)
    }

    /// A call of it.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut call = command(&self.program, [OsStr::new("--root"), self.root.as_os_str()]);
        call.args(arguments);
        for variable in VARIABLES {
            call.env_remove(variable);
        }
        call.env("MOCKER_BACKEND", self.backend);
        call
    }

    /// Calls it, and answers what it printed.
    pub(crate) fn ask<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<String> {
        run(&mut self.command(arguments))
    }

    /// Makes an image out of a directory.
    pub(crate) fn init(&self, directory: &Path, name: &str) -> Result<String> {
        self.ask([OsStr::new("init"), directory.as_os_str(), "--name".as_ref(), name.as_ref(), "-q".as_ref()])
    }

    /// The directory that holds the tree of an image's current version.
    pub(crate) fn layer(&self, image: &str) -> Result<PathBuf> {
        self.node("images", image, "layer")
    }

    /// The directory that holds the tree of a container.
    pub(crate) fn work_area(&self, container: &str) -> Result<PathBuf> {
        self.node("ps", container, "work")
    }

    fn node(&self, verb: &str, wanted: &str, field: &str) -> Result<PathBuf> {
        let records = self.records(verb)?;
        let found = records
            .iter()
            .find(|record| {
                record["id"] == wanted
                    || record["name"] == wanted
                    || record["name"] == format!("{wanted}:latest").as_str()
            })
            .and_then(|record| record[field].as_u64())
            .ok_or_else(|| Failure::new(format!("'mocker {verb}' does not list '{wanted}'")))?;
        let path = self.root.join(self.backend).join("nodes").join(found.to_string()).join("fs");
        if path.is_dir() {
            Ok(path)
        } else {
            Err(Failure::new(format!("'{}' is missing, which holds '{wanted}'", path.display())))
        }
    }

    /// How many containers there are.
    pub(crate) fn containers(&self) -> Result<usize> {
        self.records("ps").map(|records| records.len())
    }

    fn records(&self, verb: &str) -> Result<Vec<Value>> {
        let said = self.ask([verb, "--format", "json"])?;
        serde_json::from_str(&said).during(format_args!("understand what 'mocker {verb}' printed"))
    }
}
