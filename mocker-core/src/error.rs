//! The one public error: what failed, on what, why, and the way out.

use std::fmt;

/// The result of every fallible call in this workspace.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of failure it was; callers match on this, never on text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The named object does not exist.
    NotFound,
    /// The name or number is taken.
    AlreadyExists,
    /// Somebody else holds the object now; trying again later can succeed.
    Busy,
    /// The backend, the kernel or the file system cannot do this at all.
    Unsupported,
    /// The request itself is wrong: a malformed name, a missing argument.
    InvalidInput,
    /// The state of the object forbids the operation until it is changed.
    Conflict,
    /// No room: data, metadata, or the host beneath an embedded pool.
    NoSpace,
    /// The caller lacks a right.
    PermissionDenied,
    /// The file system beneath is mounted read-only.
    ReadOnly,
    /// Stored data contradicts itself.
    Corrupt,
    /// The user stopped the operation; the old state stands.
    Interrupted,
    /// The command to run does not exist inside the container.
    CommandNotFound,
    /// The command to run exists and cannot be executed.
    CommandNotExecutable,
    /// Any other failure of the operating system.
    Io,
}

/// The way out where the kernel says EIO.
pub(crate) const DEVICE: &str = "the device beneath may be failing: 'dmesg' tells what the kernel met";

/// A failure: its kind, a message that names the operation and the subject,
/// and where there is one, the way out.
///
/// `Display` prints the message alone; [`Error::hint`] and [`Error::also`]
/// are for whoever shows it to a person.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    also: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Makes an error; `message` is a fragment such as
    /// `cannot snapshot work area 3: no space left on device`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, also: Vec::new(), source: None }
    }

    /// Makes an error from a failed system call, its kind taken from the errno.
    pub fn io(operation: impl fmt::Display, error: impl Into<std::io::Error>) -> Self {
        let error = error.into();
        let made = Self::new(kind_of(&error), format!("{operation}: {}", describe(&error)));
        let made = if error.raw_os_error() == Some(libc::EIO) { made.with_hint(DEVICE) } else { made };
        made.with_source(error)
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the underlying error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Puts `outer` (operation and subject) before the message.
    #[must_use]
    pub fn context(mut self, outer: impl fmt::Display) -> Self {
        self.message = format!("{outer}: {}", self.message);
        self
    }

    /// Reports a second failure, met while cleaning up after this one.
    #[must_use]
    pub fn and_also(mut self, second: &Error) -> Self {
        self.also.push(second.message.clone());
        self.also.extend(second.also.iter().cloned());
        self
    }

    /// Folds the outcome of a clean-up into this error.
    #[must_use]
    pub fn after_cleanup<T>(self, cleanup: Result<T>) -> Self {
        match cleanup {
            Ok(_) => self,
            Err(second) => self.and_also(&second),
        }
    }

    /// The kind, for matching.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Failures met while cleaning up after this one.
    pub fn also(&self) -> &[String] {
        &self.also
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// The kind that an operating-system error stands for when nothing more
/// particular is known about the call.
pub fn kind_of(error: &std::io::Error) -> ErrorKind {
    match error.raw_os_error() {
        Some(libc::ENOENT) => ErrorKind::NotFound,
        Some(libc::EEXIST) => ErrorKind::AlreadyExists,
        Some(libc::EBUSY | libc::EAGAIN | libc::ETXTBSY) => ErrorKind::Busy,
        Some(libc::EOPNOTSUPP | libc::ENOTTY | libc::ENOSYS) => ErrorKind::Unsupported,
        Some(libc::EINVAL | libc::ENAMETOOLONG) => ErrorKind::InvalidInput,
        Some(libc::ENOSPC | libc::EDQUOT) => ErrorKind::NoSpace,
        Some(libc::EPERM | libc::EACCES) => ErrorKind::PermissionDenied,
        Some(libc::EROFS) => ErrorKind::ReadOnly,
        Some(libc::EUCLEAN) => ErrorKind::Corrupt,
        Some(libc::EINTR) => ErrorKind::Interrupted,
        _ => ErrorKind::Io,
    }
}

/// The system's words for an errno, in lower case and without the number.
fn describe(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text).to_owned();
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().collect::<String>() + &text[first.len_utf8()..]
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_os_error_keeps_operation_subject_and_kind() {
        let error = Error::io("cannot open 'x'", std::io::Error::from_raw_os_error(libc::ENOSPC));
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert_eq!(error.to_string(), "cannot open 'x': no space left on device");
        assert_eq!(error.hint(), None);
        let failing = Error::io("cannot open 'x'", std::io::Error::from_raw_os_error(libc::EIO));
        assert_eq!(failing.hint(), Some(DEVICE));
    }

    #[test]
    fn a_failed_cleanup_is_reported_with_the_first_error_not_instead_of_it() {
        let first = Error::new(ErrorKind::NoSpace, "cannot copy");
        let second = Error::new(ErrorKind::Busy, "cannot delete node 7");
        let both = first.after_cleanup::<()>(Err(second));
        assert_eq!(both.kind(), ErrorKind::NoSpace);
        assert_eq!(both.to_string(), "cannot copy");
        assert_eq!(both.also(), ["cannot delete node 7"]);
    }
}
