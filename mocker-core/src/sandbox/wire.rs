//! What the supervisor and the init stage say to each other.
//!
//! Both are the same program file, so there is no version. The supervisor
//! sends one order (length and body), the descriptor of the tree with one byte,
//! [`TREE`], and later the bytes [`BUILD`] and [`GO`]. The init
//! stage sends messages of tag, length and body; the end of the stream after
//! [`STARTING`] means that the command runs. Everything is bytes, because
//! paths and arguments are.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use super::{BoundFile, Network, Spec};
use crate::{Error, ErrorKind};

/// The byte that the descriptor of the tree comes with.
const TREE: u8 = b'T';
/// The byte that lets the container be built: everything that it needs in its
/// tree is there.
pub(super) const BUILD: u8 = b'B';
/// The byte that lets the prepared container start.
pub(super) const GO: u8 = b'G';

/// Message: the command is executed next; no body.
pub(super) const STARTING: u8 = b'S';
/// Message: the container never started; the body is an error.
pub(super) const FAILED: u8 = b'F';
/// Message: an event for the trace.
pub(super) const TOLD: u8 = b'T';
/// Message: the init stage itself could not be executed; the body is an errno.
pub(super) const EXEC_FAILED: u8 = b'X';

/// Every kind, so that one can be sent as its place in this list.
const KINDS: [ErrorKind; 14] = [
    ErrorKind::Io,
    ErrorKind::NotFound,
    ErrorKind::AlreadyExists,
    ErrorKind::Busy,
    ErrorKind::Unsupported,
    ErrorKind::InvalidInput,
    ErrorKind::Conflict,
    ErrorKind::NoSpace,
    ErrorKind::PermissionDenied,
    ErrorKind::ReadOnly,
    ErrorKind::Corrupt,
    ErrorKind::Interrupted,
    ErrorKind::CommandNotFound,
    ErrorKind::CommandNotExecutable,
];

/// The message [`EXEC_FAILED`], made without allocating.
pub(super) fn exec_failed(errno: i32) -> [u8; 9] {
    let [a, b, c, d] = errno.to_le_bytes();
    [EXEC_FAILED, 4, 0, 0, 0, a, b, c, d]
}

/// Sends one message.
pub(super) fn send(mut stream: impl Write, tag: u8, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut message = Vec::with_capacity(5 + body.len());
    message.push(tag);
    message.extend_from_slice(&length.to_le_bytes());
    message.extend_from_slice(body);
    stream.write_all(&message)
}

/// Takes the first whole message out of what has arrived, if there is one.
pub(super) fn take(arrived: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (&tag, rest) = arrived.split_first()?;
    let length = u32::from_le_bytes(*rest.first_chunk()?) as usize;
    let body = rest.get(4..4 + length)?.to_vec();
    arrived.drain(..5 + length);
    Some((tag, body))
}

/// Sends the order.
pub(super) fn send_order(mut stream: impl Write, spec: &Spec) -> io::Result<()> {
    let body = pack_spec(spec);
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_le_bytes())?;
    stream.write_all(&body)
}

/// Receives what [`send_order`] sent. `None` where the stream ended early,
/// which means that the supervisor is gone.
pub(super) fn receive_order(mut stream: impl Read) -> Option<Spec> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut body = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut body).ok()?;
    unpack_spec(&body)
}

/// Sends the descriptor of the tree.
pub(super) fn send_tree(stream: &UnixStream, tree: BorrowedFd<'_>) -> io::Result<()> {
    let tree = [tree];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut along = SendAncillaryBuffer::new(&mut space);
    if !along.push(SendAncillaryMessage::ScmRights(&tree)) {
        return Err(io::Error::other("there is no room for a descriptor"));
    }
    // Without the flag a signal would end us where the reader is dead.
    sendmsg(stream, &[IoSlice::new(&[TREE])], &mut along, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives what [`send_tree`] sent. `None` where the stream ended.
pub(super) fn receive_tree(stream: &UnixStream) -> Option<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut along = RecvAncillaryBuffer::new(&mut space);
    recvmsg(stream, &mut [IoSliceMut::new(&mut [0])], &mut along, RecvFlags::CMSG_CLOEXEC).ok()?;
    along.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    })
}

fn pack_spec(spec: &Spec) -> Vec<u8> {
    let mut order = Fields::default();
    order.number(spec.argv.len() as u64);
    spec.argv.iter().for_each(|arg| order.bytes(arg.as_bytes()));
    order.number(spec.env.len() as u64);
    for (name, value) in &spec.env {
        order.bytes(name);
        order.bytes(value);
    }
    order.bytes(spec.cwd.as_os_str().as_bytes());
    order.bytes(spec.user.as_bytes());
    order.bytes(spec.hostname.as_bytes());
    order.number(spec.files.len() as u64);
    for file in &spec.files {
        order.bytes(&file.content);
        order.bytes(file.target.as_os_str().as_bytes());
    }
    order.0
}

fn unpack_spec(body: &[u8]) -> Option<Spec> {
    let mut order = Parser(body);
    Some(Spec {
        argv: (0..order.number()?).map(|_| order.os_string()).collect::<Option<_>>()?,
        env: (0..order.number()?)
            .map(|_| Some((order.bytes()?.to_vec(), order.bytes()?.to_vec())))
            .collect::<Option<_>>()?,
        cwd: order.path()?,
        user: String::from_utf8(order.bytes()?.to_vec()).ok()?,
        hostname: String::from_utf8(order.bytes()?.to_vec()).ok()?,
        files: (0..order.number()?)
            .map(|_| Some(BoundFile { content: order.bytes()?.to_vec(), target: order.path()? }))
            .collect::<Option<_>>()?,
        // Arranged by the supervisor, or told by argument.
        network: Network::default(),
        cgroup: None,
    })
}

/// Packs an error for [`FAILED`].
pub(super) fn pack_error(error: &Error) -> Vec<u8> {
    let mut fields = Fields::default();
    fields.number(KINDS.iter().position(|kind| *kind == error.kind()).unwrap_or(0) as u64);
    fields.bytes(error.to_string().as_bytes());
    fields.bytes(error.hint().unwrap_or_default().as_bytes());
    fields.0
}

/// Unpacks what [`pack_error`] packed.
pub(super) fn unpack_error(body: &[u8]) -> Option<Error> {
    let mut fields = Parser(body);
    let kind = KINDS.get(usize::try_from(fields.number()?).ok()?)?;
    let error = Error::new(*kind, String::from_utf8(fields.bytes()?.to_vec()).ok()?);
    let hint = String::from_utf8(fields.bytes()?.to_vec()).ok()?;
    Some(if hint.is_empty() { error } else { error.with_hint(hint) })
}

/// Shows bytes that somebody else chose: control characters and what is not
/// UTF-8 are escaped, so that a message cannot drive a terminal.
pub(super) fn shown(bytes: impl AsRef<OsStr>) -> String {
    /// Longer than any path of ours, and short enough for a message.
    const LONGEST: usize = 256;
    let quoted = format!("{:?}", bytes.as_ref());
    let text = &quoted[1..quoted.len() - 1];
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A body under construction: numbers of eight bytes, and byte strings with
/// their length in front.
#[derive(Default)]
pub(super) struct Fields(pub(super) Vec<u8>);

impl Fields {
    pub(super) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

/// Reads what [`Fields`] wrote, in the same order.
pub(super) struct Parser<'a>(pub(super) &'a [u8]);

impl<'a> Parser<'a> {
    pub(super) fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn os_string(&mut self) -> Option<OsString> {
        Some(OsString::from_vec(self.bytes()?.to_vec()))
    }

    fn path(&mut self) -> Option<PathBuf> {
        self.os_string().map(PathBuf::from)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn spec() -> Spec {
        Spec {
            argv: vec![OsString::from_vec(b"x\xfe".to_vec()), OsString::new()],
            env: vec![(b"A".to_vec(), b"\xff\n".to_vec())],
            cwd: PathBuf::from(OsString::from_vec(b"/a\xff".to_vec())),
            user: "a:b".into(),
            hostname: "h".into(),
            files: vec![BoundFile { content: b"\0\n".to_vec(), target: "/t".into() }],
            network: Network::default(),
            cgroup: None,
        }
    }

    #[test]
    fn an_order_arrives_byte_for_byte() {
        let mut sent = Vec::new();
        send_order(&mut sent, &spec()).unwrap();
        assert_eq!(receive_order(&sent[..]), Some(spec()));
    }

    #[test]
    fn an_order_cut_short_anywhere_is_no_order() {
        let mut sent = Vec::new();
        send_order(&mut sent, &spec()).unwrap();
        for length in 0..sent.len() {
            assert_eq!(receive_order(&sent[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn a_tree_arrives_behind_its_order_and_does_not_survive_an_exec() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let tree = std::fs::File::open("/").unwrap();
        send_order(&ours, &spec()).unwrap();
        send_tree(&ours, tree.as_fd()).unwrap();
        assert_eq!(receive_order(&theirs), Some(spec()));
        let received = receive_tree(&theirs).unwrap();
        let identity = |file: BorrowedFd<'_>| rustix::fs::fstat(file).map(|stat| (stat.st_dev, stat.st_ino));
        assert_eq!(identity(received.as_fd()), identity(tree.as_fd()));
        assert!(rustix::io::fcntl_getfd(&received).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        drop(ours);
        assert!(receive_tree(&theirs).is_none());
    }

    #[test]
    fn messages_are_taken_whole_and_in_order() {
        let mut arrived = Vec::new();
        send(&mut arrived, STARTING, b"").unwrap();
        send(&mut arrived, FAILED, b"body").unwrap();
        arrived.extend_from_slice(&exec_failed(2));
        let torn = arrived.split_off(arrived.len() - 1);
        assert_eq!(take(&mut arrived), Some((STARTING, vec![])));
        assert_eq!(take(&mut arrived), Some((FAILED, b"body".to_vec())));
        assert_eq!(take(&mut arrived), None);
        arrived.extend(torn);
        assert_eq!(take(&mut arrived), Some((EXEC_FAILED, 2i32.to_le_bytes().to_vec())));
    }

    #[test]
    fn every_kind_of_error_comes_through_with_its_hint() {
        for kind in KINDS {
            let error = unpack_error(&pack_error(&Error::new(kind, "m").with_hint("h"))).unwrap();
            assert_eq!((error.kind(), error.to_string().as_str(), error.hint()), (kind, "m", Some("h")));
        }
    }

    #[test]
    fn foreign_bytes_cannot_drive_the_terminal() {
        assert_eq!(shown(OsStr::from_bytes("größe\x1b[2J\n\"".as_bytes())), "größe\\u{1b}[2J\\n\\\"");
    }
}
