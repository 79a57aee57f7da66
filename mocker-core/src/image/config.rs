//! The configuration of an image: what takes effect when a container is run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The `config` object of an OCI image, with Docker's `OnBuild` beside it.
///
/// The fields and their spelling are those of the OCI image specification 1.1
/// (`config.md`). It is our own struct because `OnBuild` is Docker's alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// `USER[:GROUP]`, names or numbers; empty means root.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports that the program listens on, such as `80/tcp`; for the reader.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// `NAME=VALUE`, each name once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program and its first arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The arguments after the entry point, or the whole command without one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Directories meant to hold volumes; for the reader.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Empty>,
    /// The working directory; empty means `/`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Free annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to stop.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Instructions for an image built on this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
}

/// The empty object that the specification uses to write a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

impl Config {
    /// The value of an environment variable.
    pub fn env_value(&self, name: &str) -> Option<&str> {
        self.env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
    }

    /// Sets an environment variable, in the place of its old value if it has
    /// one.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let entry = format!("{name}={value}");
        let old = self.env.iter_mut().find(|old| old.split_once('=').is_some_and(|(key, _)| key == name));
        match old {
            Some(old) => *old = entry,
            None => self.env.push(entry),
        }
    }
}
