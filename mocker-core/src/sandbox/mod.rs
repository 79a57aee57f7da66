//! STUB
#![allow(missing_docs, missing_debug_implementations, unused)]
use crate::error::*;
use serde::{Deserialize, Serialize};
use std::{ffi::OsString, path::PathBuf};
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    #[default]
    Host,
    None,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessIdentity {
    pub pid: i32,
    pub start_time: u64,
}
impl ProcessIdentity {
    pub fn kill(&self) -> Result<bool> {
        Ok(true)
    }
}
pub struct BoundFile {
    pub source: PathBuf,
    pub target: PathBuf,
}
pub struct Spec {
    pub rootfs: PathBuf,
    pub argv: Vec<OsString>,
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    pub cwd: PathBuf,
    pub user: String,
    pub hostname: String,
    pub network: Network,
    pub files: Vec<BoundFile>,
}
pub struct Held;
impl Held {
    pub fn identity(&self) -> ProcessIdentity {
        ProcessIdentity { pid: 1, start_time: 1 }
    }
    pub fn supervise(self, log: &mut LogWriter) -> Result<Ended> {
        Ok(Ended { status: 0, failure: None })
    }
}
pub struct Ended {
    pub status: u8,
    pub failure: Option<Error>,
}
pub fn spawn(spec: &Spec) -> Result<Held> {
    Ok(Held)
}
pub struct LogWriter;
impl LogWriter {
    pub fn open(p: &std::path::Path) -> Result<Self> {
        Ok(Self)
    }
}
pub struct LogReader;
impl LogReader {
    pub fn open(p: &std::path::Path) -> Result<Self> {
        Ok(Self)
    }
}
