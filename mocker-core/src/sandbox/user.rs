//! Finds out who the command shall be, in the image's own `/etc/passwd` and
//! `/etc/group`.
//!
//! Both files were chosen by whoever made the image: they are opened inside
//! the root, must be regular, and are read up to a limit (CVE-2024-9676). An
//! id that does not fit never becomes root (CVE-2024-40635).

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;

use super::root;
use crate::image::printable;
use crate::{Error, ErrorKind, Result};

/// The most that is read of a user database, in bytes: a million accounts
/// have no place in an image, and an endless file none in memory.
const MOST: u64 = 10 << 20;

/// Whose rights the command has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
    pub(super) home: Vec<u8>,
}

/// Resolves `user` ("", name, uid, each with ":" and a group or gid) as Docker
/// does: digits are always an id, an id needs no entry, the groups that list
/// the user are added unless a group is given.
///
/// # Errors
/// [`ErrorKind::NotFound`] for a name without an entry,
/// [`ErrorKind::InvalidInput`] for an id out of range, [`ErrorKind::Conflict`]
/// for a database that is no regular file, too large, or malformed.
pub(super) fn look_up(root: BorrowedFd<'_>, user: &str) -> Result<Identity> {
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    let wanted = if user.is_empty() { Wanted::Id(0) } else { Wanted::parse(user, "user")? };
    let mut identity = Identity { uid: 0, gid: 0, groups: Vec::new(), home: b"/".to_vec() };
    let mut name = None;
    let entry = find(root, "etc/passwd", |fields| {
        let [found, _, uid, ..] = fields else { return false };
        wanted.is(found, uid)
    })?;
    match (entry, &wanted) {
        (Some(fields), _) => {
            let [found, _, uid, gid, _, home, ..] = &fields[..] else {
                return Err(malformed("/etc/passwd", user));
            };
            identity.uid = id(uid).ok_or_else(|| malformed("/etc/passwd", user))?;
            identity.gid = id(gid).ok_or_else(|| malformed("/etc/passwd", user))?;
            if !home.is_empty() {
                identity.home.clone_from(home);
            }
            name = Some(found.clone());
        }
        (None, Wanted::Id(id)) => identity.uid = *id,
        (None, Wanted::Name(_)) => return Err(unknown("user", user, "/etc/passwd")),
    }
    if group.is_empty() {
        if let Some(name) = name {
            scan(root, "etc/group", |fields| {
                let [_, _, gid, members] = fields else { return ControlFlow::Continue(()) };
                if members.split(|byte| *byte == b',').any(|member| member == name) {
                    identity.groups.extend(id(gid));
                }
                ControlFlow::Continue(())
            })?;
        }
        return Ok(identity);
    }
    let wanted = Wanted::parse(group, "group")?;
    let entry = find(root, "etc/group", |fields| {
        let [found, _, gid, ..] = fields else { return false };
        wanted.is(found, gid)
    })?;
    identity.gid = match (entry, wanted) {
        (Some(fields), _) => {
            fields.get(2).and_then(|gid| id(gid)).ok_or_else(|| malformed("/etc/group", group))?
        }
        (None, Wanted::Id(id)) => id,
        (None, Wanted::Name(_)) => return Err(unknown("group", group, "/etc/group")),
    };
    Ok(identity)
}

enum Wanted<'a> {
    Id(u32),
    Name(&'a str),
}

impl<'a> Wanted<'a> {
    fn parse(text: &'a str, what: &str) -> Result<Self> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Wanted::Name(text));
        }
        id(text.as_bytes()).map(Wanted::Id).ok_or_else(|| {
            Error::new(ErrorKind::InvalidInput, format!("the {what} id {} is out of range", printable(text)))
                .with_hint("ids go from 0 to 4294967294")
        })
    }

    fn is(&self, name: &[u8], number: &[u8]) -> bool {
        match self {
            Wanted::Id(wanted) => id(number) == Some(*wanted),
            Wanted::Name(wanted) => wanted.as_bytes() == name,
        }
    }
}

/// Reads an id. The greatest number means "leave it as it is" to the kernel
/// (setresuid(2)), which here would be root.
fn id(text: &[u8]) -> Option<u32> {
    let text = str::from_utf8(text).ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id != u32::MAX)
}

/// The first entry that fits, its fields copied.
fn find(root: BorrowedFd<'_>, path: &str, fits: impl Fn(&[&[u8]]) -> bool) -> Result<Option<Vec<Vec<u8>>>> {
    let mut found = None;
    scan(root, path, |fields| {
        if !fits(fields) {
            return ControlFlow::Continue(());
        }
        found = Some(fields.iter().map(|field| field.to_vec()).collect());
        ControlFlow::Break(())
    })?;
    Ok(found)
}

/// Shows each line of a database, cut at its colons. A file that does not
/// exist has no lines.
fn scan(root: BorrowedFd<'_>, path: &str, mut line: impl FnMut(&[&[u8]]) -> ControlFlow<()>) -> Result<()> {
    let Some(file) = root::open_database(root, path)? else { return Ok(()) };
    let mut lines = BufReader::new(File::from(file).take(MOST + 1));
    let mut buffer = Vec::new();
    let mut read = 0;
    loop {
        buffer.clear();
        let length = lines
            .read_until(b'\n', &mut buffer)
            .map_err(|error| Error::io(format!("cannot read /{path} of the container"), error))?;
        read += length as u64;
        if length == 0 {
            return Ok(());
        }
        if read > MOST {
            let text = format!("/{path} of the container is larger than {} MiB", MOST >> 20);
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        let fields: Vec<&[u8]> = buffer.trim_ascii().split(|byte| *byte == b':').collect();
        if line(&fields).is_break() {
            return Ok(());
        }
    }
}

fn malformed(file: &str, name: &str) -> Error {
    let name = printable(name);
    Error::new(ErrorKind::Conflict, format!("the entry of '{name}' in {file} of the container is malformed"))
}

fn unknown(what: &str, name: &str, file: &str) -> Error {
    let name = printable(name);
    Error::new(ErrorKind::NotFound, format!("no {what} named '{name}' exists in {file} of the container"))
        .with_hint("a number needs no entry")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsFd;

    use super::*;

    const PASSWD: &[u8] =
        b"root:x:0:0:root:/root:/bin/sh\n\xff\xfe:x:5:5::/:\nann:x:1000:1001:Ann:/home/ann:\n\
        huge:x:4294967296:0::/:\nhuge2:x:4294967295:0::/:\nempty:x::0::/:\nshort:x:7\n# comment\n\n\
        plus:x:+0:0::/:\ndup:x:1000:9::/dup:";
    const GROUP: &[u8] =
        b"root:x:0:\nwheel:x:10:root,ann\ndisk:x:6:bob,annika\nstaff:x:50:ann\nhuge:x:4294967296:\n";

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("etc")).unwrap();
        fs::write(tree.path().join("etc/passwd"), PASSWD).unwrap();
        fs::write(tree.path().join("etc/group"), GROUP).unwrap();
        tree
    }

    fn look_up_in(tree: &tempfile::TempDir, user: &str) -> Result<Identity> {
        look_up(File::open(tree.path()).unwrap().as_fd(), user)
    }

    #[test]
    fn every_form_of_a_user_means_what_docker_means() {
        let tree = tree();
        for (user, uid, gid, groups, home) in [
            ("", 0, 0, &[10][..], "/root"),
            ("root", 0, 0, &[10], "/root"),
            ("0", 0, 0, &[10], "/root"),
            ("ann", 1000, 1001, &[10, 50], "/home/ann"),
            ("1000", 1000, 1001, &[10, 50], "/home/ann"),
            ("ann:", 1000, 1001, &[10, 50], "/home/ann"),
            ("ann:disk", 1000, 6, &[], "/home/ann"),
            ("ann:77", 1000, 77, &[], "/home/ann"),
            ("77", 77, 0, &[], "/"),
            ("77:88", 77, 88, &[], "/"),
            ("77:wheel", 77, 10, &[], "/"),
            (":wheel", 0, 10, &[], "/root"),
            ("4294967294", 4_294_967_294, 0, &[], "/"),
        ] {
            let expected = Identity { uid, gid, groups: groups.to_vec(), home: home.into() };
            assert_eq!(look_up_in(&tree, user).unwrap(), expected, "{user:?}");
        }
    }

    #[test]
    fn no_mistake_ever_becomes_root() {
        let tree = tree();
        for (user, kind) in [
            ("4294967295", ErrorKind::InvalidInput),
            ("4294967296", ErrorKind::InvalidInput),
            ("18446744073709551616", ErrorKind::InvalidInput),
            ("77:4294967296", ErrorKind::InvalidInput),
            ("-1", ErrorKind::NotFound),
            ("+5", ErrorKind::NotFound),
            ("nobody", ErrorKind::NotFound),
            ("ann:nogroup", ErrorKind::NotFound),
            ("ann:wheel:x", ErrorKind::NotFound),
            ("huge", ErrorKind::Conflict),
            ("huge2", ErrorKind::Conflict),
            ("empty", ErrorKind::Conflict),
            ("plus", ErrorKind::Conflict),
            ("short", ErrorKind::Conflict),
            ("ann:huge", ErrorKind::Conflict),
        ] {
            assert_eq!(look_up_in(&tree, user).unwrap_err().kind(), kind, "{user:?}");
        }
    }

    #[test]
    fn an_image_without_databases_has_numbers_and_root_only() {
        let tree = tempfile::tempdir().unwrap();
        assert_eq!(look_up_in(&tree, "").unwrap().uid, 0);
        assert_eq!(look_up_in(&tree, "5:6").unwrap().gid, 6);
        assert_eq!(look_up_in(&tree, "ann").unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_fifo_a_device_and_a_directory_are_refused_without_waiting() {
        use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
        for (kind, device) in
            [(FileType::Fifo, 0), (FileType::CharacterDevice, makedev(1, 5)), (FileType::Directory, 0)]
        {
            let tree = tree();
            let passwd = tree.path().join("etc/passwd");
            fs::remove_file(&passwd).unwrap();
            if kind == FileType::Directory {
                fs::create_dir(&passwd).unwrap();
            } else {
                mknodat(CWD, &passwd, kind, Mode::RUSR, device).expect("needs root");
            }
            assert_eq!(look_up_in(&tree, "ann").unwrap_err().kind(), ErrorKind::Conflict, "{kind:?}");
        }
    }

    #[test]
    fn a_link_is_followed_inside_the_root_only() {
        let tree = tree();
        let passwd = tree.path().join("etc/passwd");
        fs::rename(&passwd, tree.path().join("etc/real")).unwrap();
        std::os::unix::fs::symlink("/etc/real", &passwd).unwrap();
        assert_eq!(look_up_in(&tree, "ann").unwrap().uid, 1000);
        fs::remove_file(&passwd).unwrap();
        std::os::unix::fs::symlink("/proc/self/status", &passwd).unwrap();
        assert_eq!(look_up_in(&tree, "ann").unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_database_too_large_is_refused_and_its_size_is_not_allocated() {
        let tree = tree();
        let group = File::options().write(true).open(tree.path().join("etc/group")).unwrap();
        group.set_len(MOST * 1000).unwrap();
        assert_eq!(look_up_in(&tree, "ann").unwrap_err().kind(), ErrorKind::Conflict);
    }
}
