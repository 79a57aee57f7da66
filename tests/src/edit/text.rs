//! An edit as a line of text, written and read back. Modes are octal, bytes and
//! device numbers hexadecimal, as people write them.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use super::Edit;
use super::words::{Quoted, Word, number};

/// What `mknod` can make, by name.
const KINDS: [(FileType, &str); 5] = [
    (FileType::RegularFile, "file"),
    (FileType::Fifo, "fifo"),
    (FileType::Socket, "socket"),
    (FileType::CharacterDevice, "character"),
    (FileType::BlockDevice, "block"),
];

/// A value that is one byte so many times is written so from this length on.
const LONG: usize = 9;

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { path, mode } => write!(f, "create {} {mode:o}", name(path)),
            Self::Write { path, at, length, byte } => {
                write!(f, "write {} at {at} {length} times {byte:#04x}", name(path))
            }
            Self::Append { path, length, byte } => {
                write!(f, "append {} {length} times {byte:#04x}", name(path))
            }
            Self::Truncate { path, size } => write!(f, "truncate {} to {size}", name(path)),
            Self::Unlink { path } => write!(f, "unlink {}", name(path)),
            Self::MakeDirectory { path, mode } => write!(f, "mkdir {} {mode:o}", name(path)),
            Self::RemoveDirectory { path } => write!(f, "rmdir {}", name(path)),
            Self::Rename { from, to } => write!(f, "rename {} to {}", name(from), name(to)),
            Self::Link { from, to } => write!(f, "link {} as {}", name(from), name(to)),
            Self::Symlink { path, target } => write!(f, "symlink {} to {}", name(path), name(target)),
            Self::Chmod { path, mode } => write!(f, "chmod {} {mode:o}", name(path)),
            Self::Chown { path, uid, gid } => write!(f, "chown {} {uid} {gid}", name(path)),
            Self::SetAttribute { path, name: attribute, value } => {
                write!(f, "setxattr {} {} ", name(path), Quoted(attribute.as_bytes()))?;
                match value.first() {
                    Some(first) if value.len() >= LONG && value.iter().all(|byte| byte == first) => {
                        write!(f, "{} times {first:#04x}", value.len())
                    }
                    _ => Quoted(value).fmt(f),
                }
            }
            Self::RemoveAttribute { path, name: attribute } => {
                write!(f, "removexattr {} {}", name(path), Quoted(attribute.as_bytes()))
            }
            Self::MakeNode { path, kind, mode, device } => {
                let kind = KINDS.iter().find(|(known, _)| known == kind).map_or("unknown", |(_, name)| name);
                write!(f, "mknod {} {kind} {mode:o} {device:#x}", name(path))
            }
            Self::SetTime { path, nanoseconds } => write!(f, "touch {} to {nanoseconds}", name(path)),
            Self::Allocate { path, at, length } => write!(f, "fallocate {} at {at} {length}", name(path)),
            Self::PunchHole { path, at, length } => write!(f, "punch {} at {at} {length}", name(path)),
            Self::Clone { from, to } => write!(f, "clone {} into {}", name(from), name(to)),
            Self::CreateUnnamed { path, mode } => write!(f, "tmpfile {} {mode:o}", name(path)),
        }
    }
}

impl Edit {
    /// Reads what [`Edit`]'s `Display` wrote.
    ///
    /// # Errors
    /// What means nothing.
    pub(crate) fn parse(words: &[Word<'_>]) -> Result<Self, String> {
        use Word::{Bytes as B, Plain as P};
        Ok(match words {
            [P("create"), B(path), P(mode)] => Self::Create { path: path_of(path), mode: number(mode, 8)? },
            [P("write"), B(path), P("at"), P(at), P(length), P("times"), P(byte)] => Self::Write {
                path: path_of(path),
                at: number(at, 10)?,
                length: number(length, 10)?,
                byte: number(byte, 16)?,
            },
            [P("append"), B(path), P(length), P("times"), P(byte)] => {
                Self::Append { path: path_of(path), length: number(length, 10)?, byte: number(byte, 16)? }
            }
            [P("truncate"), B(path), P("to"), P(size)] => {
                Self::Truncate { path: path_of(path), size: number(size, 10)? }
            }
            [P("unlink"), B(path)] => Self::Unlink { path: path_of(path) },
            [P("mkdir"), B(path), P(mode)] => {
                Self::MakeDirectory { path: path_of(path), mode: number(mode, 8)? }
            }
            [P("rmdir"), B(path)] => Self::RemoveDirectory { path: path_of(path) },
            [P("rename"), B(from), P("to"), B(to)] => Self::Rename { from: path_of(from), to: path_of(to) },
            [P("link"), B(from), P("as"), B(to)] => Self::Link { from: path_of(from), to: path_of(to) },
            [P("symlink"), B(path), P("to"), B(target)] => {
                Self::Symlink { path: path_of(path), target: path_of(target) }
            }
            [P("chmod"), B(path), P(mode)] => Self::Chmod { path: path_of(path), mode: number(mode, 8)? },
            [P("chown"), B(path), P(uid), P(gid)] => {
                Self::Chown { path: path_of(path), uid: number(uid, 10)?, gid: number(gid, 10)? }
            }
            [P("setxattr"), B(path), B(name), B(value)] => {
                Self::SetAttribute { path: path_of(path), name: attribute(name)?, value: value.clone() }
            }
            [P("setxattr"), B(path), B(name), P(length), P("times"), P(byte)] => Self::SetAttribute {
                path: path_of(path),
                name: attribute(name)?,
                value: vec![number(byte, 16)?; number(length, 10)?],
            },
            [P("removexattr"), B(path), B(name)] => {
                Self::RemoveAttribute { path: path_of(path), name: attribute(name)? }
            }
            [P("mknod"), B(path), P(kind), P(mode), P(device)] => Self::MakeNode {
                path: path_of(path),
                kind: kind_of(kind)?,
                mode: number(mode, 8)?,
                device: number(device, 16)?,
            },
            [P("touch"), B(path), P("to"), P(time)] => {
                let nanoseconds = time.parse().map_err(|_| format!("'{time}' is no time"))?;
                Self::SetTime { path: path_of(path), nanoseconds }
            }
            [P("fallocate"), B(path), P("at"), P(at), P(length)] => {
                Self::Allocate { path: path_of(path), at: number(at, 10)?, length: number(length, 10)? }
            }
            [P("punch"), B(path), P("at"), P(at), P(length)] => {
                Self::PunchHole { path: path_of(path), at: number(at, 10)?, length: number(length, 10)? }
            }
            [P("clone"), B(from), P("into"), B(to)] => Self::Clone { from: path_of(from), to: path_of(to) },
            [P("tmpfile"), B(path), P(mode)] => {
                Self::CreateUnnamed { path: path_of(path), mode: number(mode, 8)? }
            }
            _ => return Err("it is no edit".to_owned()),
        })
    }
}

fn name(path: &Path) -> Quoted<'_> {
    Quoted(path.as_os_str().as_bytes())
}

fn path_of(bytes: &[u8]) -> PathBuf {
    OsString::from_vec(bytes.to_vec()).into()
}

fn attribute(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| format!("{} is no attribute's name", Quoted(bytes)))
}

fn kind_of(word: &str) -> Result<FileType, String> {
    let kind = KINDS.iter().find(|(_, name)| *name == word).map(|(kind, _)| *kind);
    kind.ok_or_else(|| format!("'{word}' is nothing that mknod makes"))
}
