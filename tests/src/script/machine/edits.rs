//! Chooses a change of a tree: mostly one that is possible there, out of few
//! names, so that they are used again.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use proptest::array;
use proptest::collection::vec;
use proptest::prop_oneof;
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, Just, Strategy, Union};
use rustix::fs::{FileType, makedev};

use crate::edit::Edit;
use crate::script::generator::edits::{ATTRIBUTES, CAPABILITY, IDS, MODES, NAMES, acl};
use crate::script::model::Model;

/// Names in a path.
const DEEPEST: usize = 3;

/// The attributes whose values mean something to the kernel.
const OF_FILES: &str = "security.capability";
const ACLS: &str = "system.posix_acl";

/// Any edit of such a tree.
pub(super) fn edit(model: &Model) -> BoxedStrategy<Edit> {
    let file = some(model, |kind| kind == FileType::RegularFile);
    let directory = some(model, |kind| kind == FileType::Directory);
    let other = some(model, |kind| kind != FileType::Directory);
    let new = new_path(model);
    let any = prop_oneof![4 => some(model, |_| true), 1 => new.clone()].boxed();
    Union::new_weighted(vec![
        of(14, (new.clone(), mode()), |(path, mode)| Edit::Create { path, mode }),
        of(12, (file.clone(), offset(), length(), byte()), |(path, at, length, byte)| Edit::Write {
            path,
            at,
            length,
            byte,
        }),
        of(5, (file.clone(), length(), byte()), |(path, length, byte)| Edit::Append { path, length, byte }),
        of(5, (file.clone(), offset()), |(path, size)| Edit::Truncate { path, size }),
        of(9, other.clone(), |path| Edit::Unlink { path }),
        of(8, (new.clone(), mode()), |(path, mode)| Edit::MakeDirectory { path, mode }),
        of(5, directory.clone(), |path| Edit::RemoveDirectory { path }),
        of(7, (other.clone(), any.clone()), |(from, to)| Edit::Rename { from, to }),
        of(4, (directory, any.clone()), |(from, to)| Edit::Rename { from, to }),
        of(7, (other, new.clone()), |(from, to)| Edit::Link { from, to }),
        of(4, (new.clone(), any.clone()), |(path, target)| Edit::Symlink { path, target }),
        of(5, (any.clone(), mode()), |(path, mode)| Edit::Chmod { path, mode }),
        of(4, (any.clone(), select(&IDS), select(&IDS)), |(path, uid, gid)| Edit::Chown { path, uid, gid }),
        (7, set_attribute(file, any.clone())),
        of(2, (any, select(&ATTRIBUTES)), |(path, name)| Edit::RemoveAttribute {
            path,
            name: name.to_owned(),
        }),
        of(4, (new, node(), mode()), |(path, (kind, device), mode)| Edit::MakeNode {
            path,
            kind,
            mode,
            device,
        }),
    ])
    .boxed()
}

fn of<S>(weight: u32, what: S, to: fn(S::Value) -> Edit) -> (u32, BoxedStrategy<Edit>)
where
    S: Strategy<Value: fmt::Debug> + 'static,
{
    (weight, what.prop_map(to).boxed())
}

/// Something that is there, of such a kind; a name that may be free, if nothing
/// is.
fn some(model: &Model, wanted: fn(FileType) -> bool) -> BoxedStrategy<PathBuf> {
    let found = model.paths().filter(|path| model.kind(path).is_some_and(wanted));
    let mut found: Vec<_> = found.map(Path::to_owned).collect();
    if found.is_empty() {
        found.push(PathBuf::from("a"));
    }
    select(found).boxed()
}

fn new_path(model: &Model) -> BoxedStrategy<PathBuf> {
    let shallow = model.paths().filter(|path| path.components().count() < DEEPEST);
    let directories = shallow.filter(|path| model.kind(path) == Some(FileType::Directory));
    let directories: Vec<_> = directories.map(Path::to_owned).collect();
    let path = |(directory, name): (PathBuf, &[u8])| {
        let name = Path::new(OsStr::from_bytes(name));
        if directory == Path::new(".") { name.to_owned() } else { directory.join(name) }
    };
    (select(directories), select(&NAMES)).prop_map(path).boxed()
}

fn set_attribute(file: BoxedStrategy<PathBuf>, any: BoxedStrategy<PathBuf>) -> BoxedStrategy<Edit> {
    let name = select(&ATTRIBUTES);
    name.prop_flat_map(move |name| {
        let path = if name == OF_FILES { file.clone() } else { any.clone() };
        let value = match name {
            OF_FILES => Just(CAPABILITY.to_vec()).boxed(),
            _ if name.starts_with(ACLS) => {
                (1_u32..5000, array::uniform5(0_u16..8)).prop_map(|(user, bits)| acl(user, bits)).boxed()
            }
            _ => vec(b'a'..=b'z', 0..200).boxed(),
        };
        let name = name.to_owned();
        (path, value).prop_map(move |(path, value)| Edit::SetAttribute { path, name: name.clone(), value })
    })
    .boxed()
}

fn node() -> BoxedStrategy<(FileType, u64)> {
    prop_oneof![
        Just((FileType::Fifo, 0)),
        Just((FileType::Socket, 0)),
        (1_u32..10).prop_map(|minor| (FileType::CharacterDevice, makedev(1, minor))),
        (0_u32..300).prop_map(|minor| (FileType::BlockDevice, makedev(7, minor))),
    ]
    .boxed()
}

fn mode() -> BoxedStrategy<u32> {
    prop_oneof![select(&MODES), 0_u32..=0o7777].boxed()
}

/// Zero now and then: written zeros are no hole.
fn byte() -> BoxedStrategy<u8> {
    prop_oneof![9 => 1_u8.., 1 => Just(0)].boxed()
}

fn length() -> BoxedStrategy<usize> {
    prop_oneof![0_usize..100, select(&[4096, 8192]), 0_usize..10_000].boxed()
}

fn offset() -> BoxedStrategy<u64> {
    prop_oneof![
        Just(0),
        (0_u64..16).prop_map(|block| 4096 * block),
        0_u64..50_000,
        // Further than what a kernel copies at once.
        (0_u64..3 << 20),
    ]
    .boxed()
}
