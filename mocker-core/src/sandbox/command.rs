//! Finds the command inside the root, and becomes it.

use std::ffi::{CStr, CString, OsStr};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::unistd::execve;
use rustix::fs::{Advice, FileType, Mode, OFlags, fadvise};

use super::root;
use super::wire::shown;
use crate::{Error, ErrorKind, Result};

/// Where commands are looked for when the environment has no `PATH`; the value
/// that Docker uses.
const DEFAULT_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// As much of a program as is worth reading before it asks for it.
const AHEAD: u64 = 4 << 20;

/// A command, ready to be executed: every string ends with NUL.
pub(super) struct Command {
    argv: Vec<CString>,
    env: Vec<CString>,
    candidates: Vec<CString>,
}

impl Command {
    /// Lists where the command may lie. Allocates all that the exec needs.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] where the command is empty, or a string
    /// holds a NUL; [`ErrorKind::CommandNotFound`] where its name is empty.
    pub(super) fn new<A: AsRef<OsStr>>(argv: &[A], env: &[(Vec<u8>, Vec<u8>)]) -> Result<Self> {
        let Some(name) = argv.first().map(|name| name.as_ref().as_bytes()) else {
            return Err(Error::new(ErrorKind::InvalidInput, "there is no command to run"));
        };
        if name.is_empty() {
            return Err(Error::new(ErrorKind::CommandNotFound, "'': not found"));
        }
        let candidates = if name.contains(&b'/') {
            vec![name.to_vec()]
        } else {
            let path = env.iter().find(|(key, _)| key == b"PATH").map_or(DEFAULT_PATH, |(_, value)| value);
            path.split(|byte| *byte == b':').map(|directory| beneath(directory, name)).collect()
        };
        Ok(Self {
            argv: argv
                .iter()
                .map(|arg| terminated(arg.as_ref().as_bytes().to_vec(), "an argument"))
                .collect::<Result<_>>()?,
            env: env.iter().map(|(name, value)| variable(name, value)).collect::<Result<_>>()?,
            candidates: candidates
                .into_iter()
                .map(|path| terminated(path, "the PATH"))
                .collect::<Result<_>>()?,
        })
    }

    /// Adds a variable to its environment.
    pub(super) fn set(&mut self, name: &str, value: &[u8]) -> Result<()> {
        self.env.push(variable(name.as_bytes(), value)?);
        Ok(())
    }

    /// Has the kernel begin to read the command's program: a fresh snapshot of
    /// btrfs shares the disk's blocks with what it was taken of, but not the
    /// memory that holds them. A hint: what goes wrong here goes wrong in the
    /// exec as well, and is told there.
    pub(super) fn read_ahead(&self, tree: BorrowedFd<'_>) {
        for candidate in &self.candidates {
            // Only a regular file is opened: others may wait, or do something.
            let path = candidate.as_c_str();
            let regular = root::open(tree, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), root::INSIDE)
                .is_ok_and(|place| root::kind(place.as_fd()).ok() == Some(FileType::RegularFile));
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            if regular && let Ok(program) = root::open(tree, path, flags, Mode::empty(), root::INSIDE) {
                let _hint = fadvise(&program, 0, NonZeroU64::new(AHEAD), Advice::WillNeed);
                return;
            }
        }
    }

    /// Becomes the command, trying one place after the other as execvp(3)
    /// does; comes back only with the reason why it could not.
    pub(super) fn exec(&self) -> Error {
        let mut refused = None;
        for candidate in &self.candidates {
            let Err(errno) = execve(candidate, &self.argv, &self.env);
            match errno {
                Errno::ENOENT | Errno::ENOTDIR | Errno::ENODEV | Errno::ESTALE | Errno::ETIMEDOUT => {
                    // A file that is there and "does not exist" lacks its interpreter.
                    if nix::sys::stat::stat(candidate.as_c_str()).is_ok() {
                        return self.without_interpreter(candidate);
                    }
                }
                Errno::EACCES => refused = Some(errno),
                other => return self.not_executable(other),
            }
        }
        match refused {
            Some(errno) => self.not_executable(errno),
            None => Error::new(ErrorKind::CommandNotFound, format!("{}: not found", self.name())),
        }
    }

    fn without_interpreter(&self, path: &CStr) -> Error {
        let path = shown(OsStr::from_bytes(path.to_bytes()));
        let text = format!("{}: not found: {path} names an interpreter that is not there", self.name());
        Error::new(ErrorKind::CommandNotFound, text).with_hint(
            "look at its first line, or at the dynamic loader and the architecture it was built for",
        )
    }

    fn not_executable(&self, errno: Errno) -> Error {
        let reason = Error::io(self.name(), std::io::Error::from(errno));
        let error = Error::new(ErrorKind::CommandNotExecutable, reason.to_string());
        match errno {
            Errno::ENOEXEC => error.with_hint(
                "a script starts with a line such as #!/bin/sh; a program must be built for this machine's \
                 architecture",
            ),
            Errno::EACCES => error.with_hint("it is a directory, or lacks the execute permission"),
            _ => error,
        }
    }

    fn name(&self) -> String {
        self.argv.first().map(|name| shown(OsStr::from_bytes(name.to_bytes()))).unwrap_or_default()
    }
}

fn terminated(bytes: Vec<u8>, what: &str) -> Result<CString> {
    CString::new(bytes).map_err(|_| Error::new(ErrorKind::InvalidInput, format!("{what} holds a NUL byte")))
}

fn variable(name: &[u8], value: &[u8]) -> Result<CString> {
    if name.is_empty() || name.contains(&b'=') {
        let text = format!("'{}' cannot be the name of a variable", shown(OsStr::from_bytes(name)));
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    terminated([name, &b"="[..], value].concat(), "the environment")
}

/// An empty entry of `PATH` is the working directory (environ(7)).
fn beneath(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let directory = if directory.is_empty() { b"." } else { directory };
    [directory, b"/", name].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(name: &str, path: Option<&str>) -> Vec<String> {
        let env: Vec<_> = path.map(|path| (b"PATH".to_vec(), path.as_bytes().to_vec())).into_iter().collect();
        let command = Command::new(&[name], &env).unwrap();
        command.candidates.iter().map(|path| path.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_name_is_sought_along_the_path_and_a_slash_ends_the_search() {
        assert_eq!(candidates("ls", Some("/a:/b")), ["/a/ls", "/b/ls"]);
        assert_eq!(candidates("ls", Some(":/b")), ["./ls", "/b/ls"]);
        assert_eq!(candidates("./ls", Some("/a")), ["./ls"]);
        assert_eq!(candidates("ls", None).len(), 6);
    }

    #[test]
    fn what_an_exec_cannot_express_is_refused() {
        let kind = |argv: &[&str], env: &[(Vec<u8>, Vec<u8>)]| match Command::new(argv, env) {
            Ok(_) => None,
            Err(error) => Some(error.kind()),
        };
        assert_eq!(kind(&[], &[]), Some(ErrorKind::InvalidInput));
        assert_eq!(kind(&[""], &[]), Some(ErrorKind::CommandNotFound));
        assert_eq!(kind(&["a\0b"], &[]), Some(ErrorKind::InvalidInput));
        assert_eq!(kind(&["a"], &[(b"A=B".to_vec(), vec![])]), Some(ErrorKind::InvalidInput));
        assert_eq!(kind(&["a"], &[(b"A".to_vec(), b"\0".to_vec())]), Some(ErrorKind::InvalidInput));
        assert_eq!(kind(&["a", ""], &[(b"A".to_vec(), vec![])]), None);
    }
}
