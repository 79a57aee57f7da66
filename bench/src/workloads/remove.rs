//! `rm` of a container, beside the deletion of a snapshot by the btrfs program.
//!
//! The peer's deletion is not durable when it returns; ours is.

use std::path::PathBuf;
use std::process::Command;

use fastrand::Rng;

use super::{Bed, IMAGE, Sides, remove_parent};
use crate::failure::{Result, ensure};
use crate::process::{command, run};
use crate::sampling::Side;

const CONTAINER: &str = "to-remove";

pub(super) fn sides<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    let peer = Delete { bed, layer: bed.mocker.layer(IMAGE)?, snapshot: PathBuf::new() };
    Ok((Box::new(Remove { bed, work: PathBuf::new() }), Box::new(peer)))
}

/// `mocker rm`.
struct Remove<'a> {
    bed: &'a Bed<'a>,
    work: PathBuf,
}

impl Side for Remove<'_> {
    fn label(&self) -> &'static str {
        "mocker rm CONTAINER"
    }

    fn set_up(&mut self) -> Result<()> {
        self.work = self.bed.container(CONTAINER)?;
        Ok(())
    }

    fn command(&self) -> Command {
        self.bed.mocker.command(["rm", CONTAINER])
    }

    fn check(&mut self, _said: &str) -> Result<()> {
        ensure(!self.work.exists(), || format!("'{}' is still there", self.work.display()))?;
        let listed = self.bed.mocker.work_area(CONTAINER).is_ok();
        ensure(!listed, || "the removed container is still listed".to_owned())
    }
}

/// `btrfs subvolume delete`.
struct Delete<'a> {
    bed: &'a Bed<'a>,
    layer: PathBuf,
    snapshot: PathBuf,
}

impl Side for Delete<'_> {
    fn label(&self) -> &'static str {
        "btrfs subvolume delete"
    }

    fn set_up(&mut self) -> Result<()> {
        self.snapshot = self.bed.peer_directory()?.join("fs");
        let mut call = command(&self.bed.programs.btrfs, ["subvolume", "snapshot"]);
        run(call.args([&self.layer, &self.snapshot])).map(drop)
    }

    fn command(&self) -> Command {
        let mut call = command(&self.bed.programs.btrfs, ["subvolume", "delete"]);
        call.arg(&self.snapshot);
        call
    }

    fn check(&mut self, _said: &str) -> Result<()> {
        ensure(!self.snapshot.exists(), || format!("'{}' is still there", self.snapshot.display()))?;
        remove_parent(&self.snapshot)
    }
}
