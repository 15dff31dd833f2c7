//! What the server's errors mean to whoever asked: the one place that reads SQLSTATE. The server's own words go to the log.

use std::time::{Duration, Instant};

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::error::ConnectorError;

/// One thing that the server was asked for, and since when.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    location: String,
    began: Instant,
    limit: Duration,
}

impl Asking {
    /// Asks now for what `location` names; the server gives up after `limit`.
    pub(super) fn now(location: impl Into<String>, limit: Duration) -> Self {
        Self { location: location.into(), began: Instant::now(), limit }
    }

    /// What the driver's error means here.
    pub(super) fn fault(&self, error: Error) -> ConnectorError {
        let location = self.location.clone();
        let Some(state) = error.code() else {
            return ConnectorError::unavailable(location, error);
        };
        match meaning(state) {
            Meaning::Unauthenticated => ConnectorError::Unauthenticated { location, cause: error.into() },
            Meaning::Forbidden => ConnectorError::Forbidden { location, cause: error.into() },
            Meaning::Exhausted => ConnectorError::Exhausted { location, cause: error.into() },
            // The server ends what takes too long and what its administrator ends in the same words.
            Meaning::Ended if self.began.elapsed() >= self.limit => {
                ConnectorError::DeadlineExceeded { location, cause: error.into() }
            }
            Meaning::Ended => ConnectorError::Cancelled { location, cause: error.into() },
            Meaning::Changed => ConnectorError::Changed { location },
            Meaning::BadValue => ConnectorError::InvalidData {
                location,
                detail: "the server itself cannot compute a value".to_owned(),
                advice: "correct the data or the view; the log has the server's words".to_owned(),
                cause: Some(error.into()),
            },
            Meaning::Unavailable => ConnectorError::unavailable(location, error),
        }
    }
}

/// What a caller can do about a SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Unauthenticated,
    Forbidden,
    Exhausted,
    Ended,
    Changed,
    BadValue,
    Unavailable,
}

/// By the tables of PostgreSQL's documentation, appendix A.
fn meaning(state: &SqlState) -> Meaning {
    let class = state.code().get(..2).unwrap_or_default();
    match state {
        state if *state == SqlState::INSUFFICIENT_PRIVILEGE => Meaning::Forbidden,
        state if *state == SqlState::QUERY_CANCELED => Meaning::Ended,
        state if is_of_another_schema(state) => Meaning::Changed,
        _ => match class {
            "28" => Meaning::Unauthenticated,
            "53" => Meaning::Exhausted,
            "22" => Meaning::BadValue,
            _ => Meaning::Unavailable,
        },
    }
}

/// Whether a table, a column or a type that was described is no longer there.
fn is_of_another_schema(state: &SqlState) -> bool {
    let gone = [
        SqlState::UNDEFINED_TABLE,
        SqlState::UNDEFINED_COLUMN,
        SqlState::UNDEFINED_OBJECT,
        SqlState::INVALID_SCHEMA_NAME,
        SqlState::CANNOT_COERCE,
        SqlState::DATATYPE_MISMATCH,
    ];
    gone.contains(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_meaning() {
        let check = |code: &str, expect| assert_eq!(meaning(&SqlState::from_code(code)), expect, "{code}");
        check("28P01", Meaning::Unauthenticated);
        check("28000", Meaning::Unauthenticated);
        check("42501", Meaning::Forbidden);
        check("53300", Meaning::Exhausted);
        check("57014", Meaning::Ended);
        check("42P01", Meaning::Changed);
        check("42703", Meaning::Changed);
        check("42846", Meaning::Changed);
        check("22012", Meaning::BadValue);
        check("57P01", Meaning::Unavailable);
        check("08006", Meaning::Unavailable);
        check("XX000", Meaning::Unavailable);
    }
}
