//! `init` of a tree, beside `cp` and `sync`: both are durable when they return,
//! and both find the source in memory.

use std::path::{Path, PathBuf};
use std::process::Command;

use fastrand::Rng;

use super::{Bed, Sides};
use crate::failure::{Result, ensure};
use crate::process::{command, run};
use crate::sampling::Side;
use crate::tree::{Extent, extent, warm};

/// `$1` the source, `$2` where to, `$3` cp, `$4` sync.
const COPY: &str = r#""$3" -a --reflink=auto "$1" "$2" && "$4" -f "$2""#;

/// The source lies on the same file system, so that data can be shared.
pub(super) fn same<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    sides(bed, &bed.pool_source)
}

/// The source lies on another file system, so that data must be copied.
pub(super) fn other<'a>(bed: &'a Bed<'a>, _rng: Rng) -> Result<Sides<'a>> {
    sides(bed, &bed.host_source)
}

fn sides<'a>(bed: &'a Bed<'a>, source: &'a Path) -> Result<Sides<'a>> {
    let expected = extent(source)?;
    let peer = Copy { bed, source, expected, subvolume: PathBuf::new() };
    Ok((Box::new(Init { bed, source, expected }), Box::new(peer)))
}

fn check_extent(copy: &Path, expected: Extent) -> Result<()> {
    let found = extent(copy)?;
    ensure(found == expected, || format!("'{}' has {found:?}, and its source {expected:?}", copy.display()))
}

/// `mocker init`.
struct Init<'a> {
    bed: &'a Bed<'a>,
    source: &'a Path,
    expected: Extent,
}

impl Side for Init<'_> {
    fn label(&self) -> &'static str {
        "mocker init DIR"
    }

    fn touch(&mut self) -> Result<()> {
        warm(self.source)
    }

    fn command(&self) -> Command {
        let mut call = self.bed.mocker.command(["init", "-q"]);
        call.arg(self.source);
        call
    }

    fn check(&mut self, said: &str) -> Result<()> {
        let image = said.trim();
        check_extent(&self.bed.mocker.layer(image)?, self.expected)?;
        self.bed.mocker.ask(["rm", image]).map(drop)
    }
}

/// `cp -a --reflink=auto` and `sync -f`. The copy goes into a subvolume that is
/// there already, so that it can be taken away as fast as ours.
struct Copy<'a> {
    bed: &'a Bed<'a>,
    source: &'a Path,
    expected: Extent,
    subvolume: PathBuf,
}

impl Copy<'_> {
    fn target(&self) -> PathBuf {
        self.subvolume.join("copy")
    }
}

impl Side for Copy<'_> {
    fn label(&self) -> &'static str {
        "sh: cp -a --reflink=auto DIR TO && sync -f TO"
    }

    fn set_up(&mut self) -> Result<()> {
        self.subvolume = self.bed.peer_directory()?.join("fs");
        run(command(&self.bed.programs.btrfs, ["subvolume", "create"]).arg(&self.subvolume)).map(drop)
    }

    fn touch(&mut self) -> Result<()> {
        warm(self.source)
    }

    fn command(&self) -> Command {
        let programs = self.bed.programs;
        let mut call = command(&programs.shell, ["-c", COPY, "script"]);
        call.args([self.source, &self.target(), &programs.cp, &programs.sync]);
        call
    }

    fn check(&mut self, _said: &str) -> Result<()> {
        check_extent(&self.target(), self.expected)?;
        self.bed.remove_peer(&self.subvolume)
    }
}
