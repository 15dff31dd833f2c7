//! What a store's errors mean to whoever asked: the one place that reads statuses and codes. A server's own words are
//! dropped at the door, so neither a user nor a log is told them.

use std::error::Error;
use std::io;

use http::StatusCode;
use object_store::client::{HttpError, HttpErrorKind};
use thiserror::Error;

use super::transport::Unusable;
use crate::error::{ConnectorError, Reason};

/// A server's answer that is no success: its status, and the code that S3 gives in its message.
#[derive(Debug, Error)]
#[error("the server answers {status}{}", code.as_ref().map(|code| format!(" {code}")).unwrap_or_default())]
pub(super) struct Refusal {
    status: StatusCode,
    code: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: Option<String>) -> Self {
        Self { status, code }
    }

    /// Whether it says that a file is not there or is not the one that was meant, and nothing about the place.
    pub(super) fn is_about_one_file(&self) -> bool {
        let is_file =
            matches!(self.status, StatusCode::NOT_FOUND | StatusCode::PRECONDITION_FAILED | StatusCode::NOT_MODIFIED);
        is_file && self.code.as_deref() != Some("NoSuchBucket")
    }

    /// Whether asking again can help.
    pub(super) fn may_pass(&self) -> bool {
        self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED
            || matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
    }

    fn meaning(&self) -> Meaning {
        match self.code.as_deref() {
            Some("NoSuchBucket") => Meaning::NoBucket,
            Some(
                "InvalidAccessKeyId"
                | "SignatureDoesNotMatch"
                | "InvalidToken"
                | "ExpiredToken"
                | "TokenRefreshRequired"
                | "InvalidSecurity"
                | "NotSignedUp"
                | "RequestTimeTooSkewed",
            ) => Meaning::Unauthenticated,
            Some("AuthorizationHeaderMalformed" | "PermanentRedirect" | "TemporaryRedirect") => Meaning::Elsewhere,
            Some("SlowDown" | "ServiceUnavailable") => Meaning::Exhausted,
            _ => match self.status {
                StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => Meaning::Unauthenticated,
                StatusCode::FORBIDDEN => Meaning::Forbidden,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Meaning::Exhausted,
                status if status.is_redirection() => Meaning::Elsewhere,
                _ => Meaning::Unavailable,
            },
        }
    }
}

/// What a caller can do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Unauthenticated,
    Forbidden,
    Exhausted,
    NoBucket,
    Elsewhere,
    Unavailable,
}

/// What a store said of `location`: ours if it is one of ours.
pub(in crate::files) fn of_store(location: &str, error: object_store::Error) -> ConnectorError {
    let error = match ours(error) {
        Ok(ours) => return ours,
        Err(error) => error,
    };
    if let Some(refusal) = find::<Refusal>(&error) {
        return refused(location.to_owned(), refusal);
    }
    if let Some(unusable) = find::<Unusable>(&error) {
        return ConnectorError::unavailable(location, Reason::new(unusable.to_string()));
    }
    if let Some(error) = find::<HttpError>(&error) {
        return unreached(location.to_owned(), error);
    }
    match error {
        object_store::Error::NotFound { .. } => {
            ConnectorError::invalid_data(location, "is not there", "add the file, or correct the table's `path`")
        }
        object_store::Error::InvalidPath { .. } => ConnectorError::invalid_data(
            location,
            "holds a name that is no path: it has an empty part, `.` or `..`",
            "rename the file",
        ),
        object_store::Error::NotSupported { .. } => ConnectorError::invalid_data(
            location,
            "the server gives files as a whole only",
            "serve them by a server that knows ranges (`Accept-Ranges: bytes`)",
        ),
        error => ConnectorError::unavailable(location, error),
    }
}

/// What a server said when it was asked for the files of a directory.
pub(super) fn of_listing(location: &str, error: object_store::Error) -> ConnectorError {
    let is_no_lister = find::<Refusal>(&error).is_some_and(|refusal| {
        matches!(refusal.status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED | StatusCode::BAD_REQUEST)
    });
    if is_no_lister {
        return ConnectorError::invalid_data(
            location,
            "the server lists no directory (WebDAV)",
            "name the table's files: `path = [\"a.parquet\", …]`",
        );
    }
    of_store(location, error)
}

/// Whether the error says nothing of why, so that the file itself may have changed: a range that is not the one asked for.
pub(in crate::files) fn may_be_of_change(error: &object_store::Error) -> bool {
    match find::<Refusal>(error) {
        Some(refusal) => refusal.status == StatusCode::RANGE_NOT_SATISFIABLE,
        None => matches!(error, object_store::Error::Generic { .. }) && find::<HttpError>(error).is_none(),
    }
}

/// The secret that a request to S3 needs cannot be read.
pub(super) fn no_secret(message: String) -> object_store::Error {
    object_store::Error::Generic { store: "s3", source: Box::new(Unusable(message)) }
}

fn refused(location: String, refusal: &Refusal) -> ConnectorError {
    let cause = || Reason::new(refusal.to_string()).into();
    match refusal.meaning() {
        Meaning::Unauthenticated => ConnectorError::Unauthenticated { location, cause: cause() },
        Meaning::Forbidden => ConnectorError::Forbidden { location, cause: cause() },
        Meaning::Exhausted => ConnectorError::Exhausted { location, cause: cause() },
        Meaning::NoBucket => {
            ConnectorError::invalid_data(location, "there is no such bucket", "correct the source's `root`")
        }
        Meaning::Elsewhere => ConnectorError::invalid_data(
            location,
            "the server points elsewhere, and no redirect is followed",
            "correct the source's `root`, `endpoint` or `region`",
        ),
        Meaning::Unavailable => ConnectorError::unavailable(location, Reason::new(refusal.to_string())),
    }
}

/// No answer, or a part of one.
fn unreached(location: String, error: &HttpError) -> ConnectorError {
    if error.kind() == HttpErrorKind::Timeout {
        let cause = Reason::new("no answer came within the time of a request").into();
        return ConnectorError::DeadlineExceeded { location, cause };
    }
    let what = match error.kind() {
        HttpErrorKind::Connect => "no connection",
        HttpErrorKind::Interrupted | HttpErrorKind::Request => "the connection was cut",
        _ => "the answer could not be read",
    };
    let reason = match (find_tls(error), find::<io::Error>(error)) {
        (Some(tls), _) => format!("{what}: {tls}"),
        (None, Some(system)) => format!("{what}: {}", system.kind()),
        (None, None) => what.to_owned(),
    };
    ConnectorError::unavailable(location, Reason::new(reason))
}

fn ours(error: object_store::Error) -> Result<ConnectorError, object_store::Error> {
    match error {
        object_store::Error::Generic { store, source } => match source.downcast::<ConnectorError>() {
            Ok(ours) => Ok(*ours),
            Err(source) => Err(object_store::Error::Generic { store, source }),
        },
        other => Err(other),
    }
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// What TLS objected to. An error of the system hides the error that it was made of from the chain of causes.
fn find_tls(error: &HttpError) -> Option<&rustls::Error> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
