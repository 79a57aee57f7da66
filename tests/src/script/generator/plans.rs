//! Edits that belong together: the first is made at once, the others soon after
//! it, with other edits and commits in between.
//!
//! These are the ways in which a tree changes and hardly shows it, and those in
//! which something else takes the place of what was there.

use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::Generator;
use super::edits::TIMES;
use crate::edit::Edit;

const BLOCK: usize = 4096;

/// Files that are often equal.
const TWINS: [&str; 4] = ["twin-1", "twin-2", "twin-3", "twin-4"];

impl Generator {
    /// Empties a directory and removes it; often something of the same name
    /// comes after it.
    pub(super) fn empty_a_directory(&mut self) -> Edit {
        let path = self.some_directory();
        if path != Path::new(".") {
            self.planned.extend(self.world.work().model.emptying(&path));
            match self.random.u32(0..4) {
                0 => {}
                1 => self.planned.push_back(Edit::Create { path: path.clone(), mode: 0o644 }),
                _ => self.planned.push_back(Edit::MakeDirectory { path: path.clone(), mode: 0o755 }),
            }
        }
        self.first_planned()
    }

    /// Gives a directory another name, and soon its own again where it may be
    /// refused: else the sides that can would have another tree than the rest
    /// for long, and the rest of the script would mean little there.
    pub(super) fn move_a_directory(&mut self) -> Edit {
        let (from, to) = (self.some_directory(), self.any_path());
        if self.world.work().model.is_directory_beneath(&from) {
            self.planned.push_back(Edit::Rename { from: to.clone(), to: from.clone() });
        }
        Edit::Rename { from, to }
    }

    /// Changes a twin, one of a few files that are often equal in everything, so
    /// that little shows it: neither its size nor its time.
    pub(super) fn change_a_twin(&mut self) -> Edit {
        let path = self.twin();
        let is_file = self.world.work().model.kind(&path) == Some(FileType::RegularFile);
        let byte = u8::from(self.random.u32(0..4) == 0);
        match self.random.u32(0..8) {
            _ if !is_file => self.plan_a_twin(&path),
            0 | 1 => {
                self.planned.push_back(Edit::Write { path: path.clone(), at: 0, length: 1, byte });
            }
            2 => {
                let (at, length) = (BLOCK as u64, BLOCK);
                self.planned.push_back(Edit::Write { path: path.clone(), at, length, byte: 0 });
            }
            3 => {
                let (at, length) = (BLOCK as u64, BLOCK as u64);
                self.planned.push_back(Edit::PunchHole { path: path.clone(), at, length });
            }
            4 | 5 => {
                let other = self.twin();
                self.planned.push_back(Edit::Unlink { path: path.clone() });
                self.planned.push_back(Edit::Link { from: other, to: path.clone() });
            }
            _ => {
                self.planned.push_back(Edit::Unlink { path: path.clone() });
                self.plan_a_twin(&path);
            }
        }
        self.planned.push_back(Edit::SetTime { path, nanoseconds: TIMES[0] });
        self.first_planned()
    }

    fn twin(&mut self) -> PathBuf {
        PathBuf::from(TWINS[self.random.usize(0..TWINS.len())])
    }

    fn plan_a_twin(&mut self, path: &Path) {
        self.planned.push_back(Edit::Create { path: path.to_owned(), mode: 0o644 });
        self.planned.push_back(Edit::Truncate { path: path.to_owned(), size: 4 * BLOCK as u64 });
    }

    /// Gives two entries each other's name.
    pub(super) fn swap(&mut self) -> Edit {
        let kind = if self.random.bool() { FileType::Directory } else { FileType::RegularFile };
        let (one, other, aside) = (self.some(kind), self.some(kind), self.new_path());
        self.planned.extend([
            Edit::Rename { from: one.clone(), to: aside.clone() },
            Edit::Rename { from: other.clone(), to: one },
            Edit::Rename { from: aside, to: other },
        ]);
        self.first_planned()
    }

    /// Puts something of another type in the place of what is no directory.
    pub(super) fn replace(&mut self) -> Edit {
        let path = self.some_but(FileType::Directory);
        let mode = self.mode();
        self.planned.push_back(Edit::Unlink { path: path.clone() });
        let next = match self.random.u32(0..4) {
            0 => Edit::MakeDirectory { path, mode },
            1 => Edit::Symlink { path, target: self.any_path() },
            2 => Edit::Create { path, mode },
            _ => Edit::MakeNode { path, kind: FileType::Fifo, mode, device: 0 },
        };
        self.planned.push_back(next);
        self.first_planned()
    }

    fn first_planned(&mut self) -> Edit {
        self.planned.pop_front().unwrap_or(Edit::RemoveDirectory { path: PathBuf::from(".") })
    }
}
