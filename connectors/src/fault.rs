//! What a database server's errors mean to whoever asked. Each server reads its own codes; the server's words go to the log.

use std::error::Error;
use std::time::{Duration, Instant};

use crate::error::ConnectorError;

/// What a caller can do about an error of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Unauthenticated,
    Forbidden,
    Exhausted,
    /// The statement was ended: it took too long, or somebody wanted it so.
    Ended,
    /// A table, a column or a type that was described is no longer there.
    Changed,
    /// The server cannot compute a value.
    BadValue,
    Unavailable,
}

/// An error of a driver, read by the codes of its server.
pub(crate) trait ServerError: Error + Send + Sync + 'static {
    fn meaning(&self) -> Meaning;
}

/// One thing that a server was asked for, and since when.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    location: String,
    began: Instant,
    limit: Duration,
}

impl Asking {
    /// Asks now for what `location` names; the server gives up after `limit`.
    pub(crate) fn now(location: impl Into<String>, limit: Duration) -> Self {
        Self { location: location.into(), began: Instant::now(), limit }
    }

    /// What the driver's error means here.
    pub(crate) fn fault(&self, error: impl ServerError) -> ConnectorError {
        let location = self.location.clone();
        match error.meaning() {
            Meaning::Unauthenticated => ConnectorError::Unauthenticated { location, cause: error.into() },
            Meaning::Forbidden => ConnectorError::Forbidden { location, cause: error.into() },
            Meaning::Exhausted => ConnectorError::Exhausted { location, cause: error.into() },
            // A server may end what takes too long and what its administrator ends in the same words.
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
