//! What SQLite's errors mean to whoever asked: the one place that reads its codes. SQLite's own words go to the log.

use rusqlite::{Error, ErrorCode, ffi};

use crate::error::ConnectorError;

/// What `error`, met while `location` was read, means here.
pub(super) fn fault(location: &str, error: Error) -> ConnectorError {
    let (location, meaning) = (location.to_owned(), meaning(&error));
    let error = without_statement(error);
    let invalid = |detail: &str, advice: &str, error: Error| ConnectorError::InvalidData {
        location: location.clone(),
        detail: detail.to_owned(),
        advice: advice.to_owned(),
        cause: Some(error.into()),
    };
    match meaning {
        Meaning::NoDatabase => invalid(
            "is not a SQLite database, or is encrypted",
            "name the database's own file, and none that encrypts it",
            error,
        ),
        Meaning::Corrupt => invalid(
            "is corrupt",
            "have its owner run `PRAGMA integrity_check` and restore it; the log has SQLite's words",
            error,
        ),
        Meaning::NeedsWriting => invalid(
            "cannot be read without writing to its directory: it is in WAL mode, or a write was cut off",
            "let the program that writes it open it, or let the account write to the directory",
            error,
        ),
        Meaning::BadValue => invalid(
            "SQLite itself cannot compute a value",
            "correct the data or the view; the log has SQLite's words",
            error,
        ),
        Meaning::Forbidden => ConnectorError::Forbidden { location, cause: error.into() },
        Meaning::Exhausted => ConnectorError::Exhausted { location, cause: error.into() },
        Meaning::Changed => ConnectorError::Changed { location },
        Meaning::Cancelled => ConnectorError::Cancelled { location, cause: error.into() },
        Meaning::Unavailable => ConnectorError::unavailable(location, error),
    }
}

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    NoDatabase,
    Corrupt,
    NeedsWriting,
    BadValue,
    Forbidden,
    Exhausted,
    Changed,
    Cancelled,
    Unavailable,
}

/// By the list of SQLite's documentation, "Result and Error Codes".
fn meaning(error: &Error) -> Meaning {
    let Error::SqliteFailure(failure, _) = error else {
        return match error {
            Error::SqlInputError { .. } => Meaning::BadValue,
            _ => Meaning::Unavailable,
        };
    };
    match failure.code {
        ErrorCode::NotADatabase => Meaning::NoDatabase,
        ErrorCode::DatabaseCorrupt => Meaning::Corrupt,
        ErrorCode::ReadOnly => Meaning::NeedsWriting,
        ErrorCode::PermissionDenied => Meaning::Forbidden,
        ErrorCode::OutOfMemory | ErrorCode::DiskFull | ErrorCode::TooBig => Meaning::Exhausted,
        ErrorCode::SchemaChanged => Meaning::Changed,
        ErrorCode::OperationInterrupted | ErrorCode::OperationAborted => Meaning::Cancelled,
        // Busy, locked, an input or output error, and a file that cannot be opened.
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => {
            Meaning::Unavailable
        }
        _ if failure.extended_code == ffi::SQLITE_ERROR => Meaning::BadValue,
        _ => Meaning::Unavailable,
    }
}

/// `error` without the statement that it quotes, which holds what somebody has asked for.
fn without_statement(error: Error) -> Error {
    match error {
        Error::SqlInputError { error, msg, .. } => {
            let told = format!("{msg} (code {})", error.extended_code);
            Error::SqliteFailure(error, Some(told))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_meaning() {
        let check = |code, expect| {
            let error = Error::SqliteFailure(ffi::Error::new(code), Some("a secret".into()));
            assert_eq!(meaning(&error), expect, "{code}");
            let told = fault("table `t`", error);
            assert!(!told.to_string().contains("secret"), "{told}");
        };
        check(ffi::SQLITE_NOTADB, Meaning::NoDatabase);
        check(ffi::SQLITE_CORRUPT, Meaning::Corrupt);
        check(ffi::SQLITE_CORRUPT_INDEX, Meaning::Corrupt);
        check(ffi::SQLITE_READONLY_ROLLBACK, Meaning::NeedsWriting);
        check(ffi::SQLITE_READONLY_CANTINIT, Meaning::NeedsWriting);
        check(ffi::SQLITE_BUSY, Meaning::Unavailable);
        check(ffi::SQLITE_BUSY_SNAPSHOT, Meaning::Unavailable);
        check(ffi::SQLITE_CANTOPEN, Meaning::Unavailable);
        check(ffi::SQLITE_IOERR_SHORT_READ, Meaning::Unavailable);
        check(ffi::SQLITE_NOMEM, Meaning::Exhausted);
        check(ffi::SQLITE_FULL, Meaning::Exhausted);
        check(ffi::SQLITE_INTERRUPT, Meaning::Cancelled);
        check(ffi::SQLITE_SCHEMA, Meaning::Changed);
        check(ffi::SQLITE_ERROR, Meaning::BadValue);
        check(ffi::SQLITE_INTERNAL, Meaning::Unavailable);
    }

    #[test]
    fn no_statement_is_in_the_log() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        let error = connection.prepare("SELECT absent FROM (SELECT 'hush' AS name)").unwrap_err();
        assert!(error.to_string().contains("hush"), "{error}");
        let told = fault("table `t`", error);
        let cause = std::error::Error::source(&told).unwrap();
        assert_eq!(cause.to_string(), "no such column: absent (code 1)");
        assert!(!format!("{told:?}").contains("hush"), "{told:?}");
    }
}
