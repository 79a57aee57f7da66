//! What the database's failures are in words of our own, with the way out.

use crate::error::{DEVICE, Error, ErrorKind};

/// The error for records that are not what they were.
pub(super) fn lost(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the records of the root are damaged: {what}")).with_hint(REPAIR)
}

/// Translates a database error, so that no user meets SQLite's own words alone.
pub(crate) fn sql(error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    let (kind, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Busy,
            "another mocker process holds the records for very long; try again when it is done",
        ),
        Some(ErrorCode::ReadOnly) => {
            (ErrorKind::ReadOnly, "the root must be writable; choose another one with --root")
        }
        Some(ErrorCode::DiskFull) => (ErrorKind::NoSpace, FULL),
        // The index that processes share cannot grow.
        Some(ErrorCode::SystemIoFailure)
            if error
                .sqlite_error()
                .is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE) =>
        {
            (ErrorKind::NoSpace, FULL)
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            (ErrorKind::PermissionDenied, "the root must be writable by you; choose another one with --root")
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => (ErrorKind::Corrupt, REPAIR),
        // Our own statements are right, so what they found is not.
        _ if is_no_record(&error) => (ErrorKind::Corrupt, REPAIR),
        Some(ErrorCode::SystemIoFailure) => (ErrorKind::Io, DEVICE),
        _ => (ErrorKind::Io, "this should not happen; please report it"),
    };
    let what = match kind {
        // SQLite's own words, "database is locked", say nothing to a user.
        ErrorKind::Busy => "they are in use".to_owned(),
        _ => error.to_string(),
    };
    Error::new(kind, format!("cannot use the records of the root: {what}")).with_hint(hint).with_source(error)
}

/// Whether a statement met something that we never wrote: a table that is not
/// there, a text that is none, a number that is too large.
fn is_no_record(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as Sql;
    match error {
        Sql::FromSqlConversionFailure(..)
        | Sql::IntegralValueOutOfRange(..)
        | Sql::InvalidColumnType(..)
        | Sql::Utf8Error(..) => true,
        _ => error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_ERROR),
    }
}

/// The way out where the records are damaged.
const REPAIR: &str = "'mocker check --repair' sets them aside and makes them anew";

const FULL: &str = "the file system of the root is full: free some space there";

pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}
