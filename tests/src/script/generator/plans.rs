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

    /// Changes the first byte of a file, and gives it the time that it always
    /// gets here. Whoever does that a second time changes neither size nor time.
    pub(super) fn rewrite_quietly(&mut self) -> Edit {
        let path = self.some(FileType::RegularFile);
        self.planned.push_back(Edit::SetTime { path: path.clone(), nanoseconds: own_time(&path) });
        Edit::Write { path, at: 0, length: 1, byte: self.byte() }
    }

    /// Makes two files equal in everything, and then one file, or two again.
    pub(super) fn regroup(&mut self) -> Edit {
        let (one, other) = (self.some(FileType::RegularFile), self.some(FileType::RegularFile));
        for path in [&one, &other] {
            self.planned.extend([
                Edit::Truncate { path: path.clone(), size: 0 },
                Edit::Chmod { path: path.clone(), mode: 0o644 },
                Edit::SetTime { path: path.clone(), nanoseconds: TIMES[0] },
            ]);
        }
        self.planned.push_back(Edit::Unlink { path: other.clone() });
        if self.random.bool() {
            self.planned.push_back(Edit::Link { from: one, to: other });
        } else {
            self.planned.push_back(Edit::Create { path: other.clone(), mode: 0o644 });
            self.planned.push_back(Edit::SetTime { path: other.clone(), nanoseconds: TIMES[0] });
        }
        self.first_planned()
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

fn own_time(path: &Path) -> i64 {
    TIMES[path.as_os_str().len() % TIMES.len()]
}
