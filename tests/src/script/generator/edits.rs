//! Chooses an edit of a work area, and what it is about.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, makedev};

use super::Generator;
use crate::edit::Edit;

/// Names that entries get, in every directory.
pub(in crate::script) const NAMES: [&[u8]; 10] =
    [b"a", b"b", b"c", b"d", b"e", b" f", b"new\nline", b"bytes\xff\xfe", b".wh.a", LONG.as_bytes()];
/// The longest name there can be, 255 bytes.
const LONG: &str = "long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-\
                    long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-\
                    long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-";
/// Directories below one another.
const DEEPEST: usize = 4;
/// Entries, from which on removing is preferred.
const MANY: usize = 150;
/// Modes that files and directories often have.
pub(in crate::script) const MODES: [u32; 6] = [0o644, 0o755, 0o600, 0o4755, 0o2775, 0o1777];
pub(in crate::script) const IDS: [u32; 5] = [0, 1, 1000, 65_534, 4_294_967_294];
/// Modification times that no step gives.
pub(super) const TIMES: [i64; 4] = [-1, 0, 981_173_106_000_000_001, 981_173_106_987_654_321];
pub(in crate::script) const ATTRIBUTES: [&str; 7] = [
    "user.one",
    "user.two",
    "trusted.one",
    "trusted.\u{e9} = ",
    "security.capability",
    "system.posix_acl_access",
    "system.posix_acl_default",
];
/// `cap_net_raw+ep`, as capget(2) version 2 of the attribute keeps it.
pub(in crate::script) const CAPABILITY: [u8; 20] =
    [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

impl Generator {
    /// Any edit, most of them possible.
    pub(super) fn edit(&mut self) -> Edit {
        let crowded = self.world.work().model.len() > MANY;
        match self.random.u32(0..107) {
            // Rarely, so that there is something to remove.
            0..3 => self.empty_a_directory(),
            3..6 => self.move_a_directory(),
            6..20 if crowded => Edit::Unlink { path: self.some_but(FileType::Directory) },
            6..20 => Edit::Create { path: self.new_path(), mode: self.mode() },
            20..34 => Edit::Write {
                path: self.some(FileType::RegularFile),
                at: self.offset(),
                length: self.length(),
                byte: self.byte(),
            },
            34..40 => Edit::Append {
                path: self.some(FileType::RegularFile),
                length: self.length(),
                byte: self.byte(),
            },
            40..46 => Edit::Truncate { path: self.some(FileType::RegularFile), size: self.offset() },
            46..54 => Edit::Unlink { path: self.some_but(FileType::Directory) },
            54..60 => Edit::MakeDirectory { path: self.new_path(), mode: self.mode() },
            60..63 => Edit::RemoveDirectory { path: self.some_directory() },
            63..70 => Edit::Rename { from: self.some_but(FileType::Directory), to: self.any_path() },
            70..77 => Edit::Link { from: self.some_but(FileType::Directory), to: self.new_path() },
            77..80 => Edit::Symlink { path: self.new_path(), target: self.any_path() },
            80..85 => Edit::Chmod { path: self.any_path(), mode: self.mode() },
            85..89 => Edit::Chown { path: self.any_path(), uid: self.id(), gid: self.id() },
            89..95 => self.set_attribute(),
            95..97 => Edit::RemoveAttribute { path: self.any_path(), name: self.attribute().to_owned() },
            97..100 => self.node(),
            100..102 => Edit::SetTime { path: self.any_path(), nanoseconds: self.time() },
            102..104 => Edit::PunchHole {
                path: self.some(FileType::RegularFile),
                // Whole blocks: at the ends of others, btrfs writes zeros now and then.
                at: 4096 * self.random.u64(0..16),
                length: 4096 * self.random.u64(1..4),
            },
            104..105 => self.swap(),
            _ => self.replace(),
        }
    }

    fn set_attribute(&mut self) -> Edit {
        let name = self.attribute();
        let path = match name {
            "security.capability" => self.some(FileType::RegularFile),
            _ => self.any_path(),
        };
        let value = match name {
            "security.capability" => CAPABILITY.to_vec(),
            name if name.starts_with("system.posix_acl") => self.acl(),
            _ => vec![b'a' + self.random.u8(0..26); self.random.usize(0..200)],
        };
        Edit::SetAttribute { path, name: name.to_owned(), value }
    }

    fn acl(&mut self) -> Vec<u8> {
        let user = self.random.u32(1..5000);
        acl(user, std::array::from_fn(|_| self.random.u16(0..8)))
    }

    pub(super) fn node(&mut self) -> Edit {
        let (kind, device) = match self.random.u32(0..4) {
            0 => (FileType::Fifo, 0),
            1 => (FileType::Socket, 0),
            2 => (FileType::CharacterDevice, makedev(1, self.random.u32(1..10))),
            _ => (FileType::BlockDevice, makedev(7, self.random.u32(0..300))),
        };
        Edit::MakeNode { path: self.new_path(), kind, mode: self.mode(), device }
    }

    /// One of a few, so that some are set again; before 1970 too.
    fn time(&mut self) -> i64 {
        TIMES[self.random.usize(0..TIMES.len())]
    }

    pub(super) fn mode(&mut self) -> u32 {
        if self.random.bool() {
            MODES[self.random.usize(0..MODES.len())]
        } else {
            self.random.u32(0..=0o7777)
        }
    }

    fn id(&mut self) -> u32 {
        IDS[self.random.usize(0..IDS.len())]
    }

    fn attribute(&mut self) -> &'static str {
        ATTRIBUTES[self.random.usize(0..ATTRIBUTES.len())]
    }

    /// Zero now and then: written zeros are no hole.
    pub(super) fn byte(&mut self) -> u8 {
        if self.random.u32(0..10) == 0 { 0 } else { self.random.u8(1..) }
    }

    fn length(&mut self) -> usize {
        match self.random.u32(0..3) {
            0 => self.random.usize(0..100),
            1 => 4096 * self.random.usize(1..3),
            _ => self.random.usize(0..10_000),
        }
    }

    fn offset(&mut self) -> u64 {
        match self.random.u32(0..20) {
            0..6 => 0,
            6..12 => 4096 * self.random.u64(0..16),
            12..19 => self.random.u64(0..50_000),
            // Further than what a kernel copies at once.
            _ => self.random.u64(0..3 << 20),
        }
    }

    /// A name that is mostly free, in a directory that mostly is there.
    pub(super) fn new_path(&mut self) -> PathBuf {
        let mut path = self.new_name();
        for _ in 0..3 {
            if self.world.work().model.kind(&path).is_some() {
                path = self.new_name();
            }
        }
        path
    }

    fn new_name(&mut self) -> PathBuf {
        let directory = self.some(FileType::Directory);
        let deep = directory.components().count() >= DEEPEST;
        let name = Path::new(OsStr::from_bytes(NAMES[self.random.usize(0..NAMES.len())]));
        if deep || directory == Path::new(".") { name.to_owned() } else { directory.join(name) }
    }

    /// Anything that is there, or could be.
    pub(super) fn any_path(&mut self) -> PathBuf {
        if self.random.u32(0..5) == 0 { self.new_path() } else { self.choose(|_| true) }
    }

    /// Mostly something of this kind.
    pub(super) fn some(&mut self, kind: FileType) -> PathBuf {
        if self.random.u32(0..25) == 0 { self.any_path() } else { self.choose(|found| found == kind) }
    }

    /// Mostly a directory, and rather not the top, which nobody can move.
    pub(super) fn some_directory(&mut self) -> PathBuf {
        let top = Path::new(".");
        let path = self.some(FileType::Directory);
        if path == top { self.some(FileType::Directory) } else { path }
    }

    pub(super) fn some_but(&mut self, kind: FileType) -> PathBuf {
        if self.random.u32(0..25) == 0 { self.any_path() } else { self.choose(|found| found != kind) }
    }

    fn choose(&mut self, wanted: impl Fn(FileType) -> bool) -> PathBuf {
        let model = &self.world.work().model;
        let found: Vec<_> = model.paths().filter(|path| model.kind(path).is_some_and(&wanted)).collect();
        self.random.choice(found).map_or_else(|| PathBuf::from("a"), Path::to_owned)
    }
}

/// An ACL with a named user, in the form of linux/posix_acl_xattr.h.
pub(in crate::script) fn acl(user: u32, permissions: [u16; 5]) -> Vec<u8> {
    let unnamed = u32::MAX;
    let entries: [(u16, u32); 5] = [(1, unnamed), (2, user), (4, unnamed), (0x10, unnamed), (0x20, unnamed)];
    let mut value = 2_u32.to_le_bytes().to_vec();
    for ((tag, id), permissions) in entries.into_iter().zip(permissions) {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}
