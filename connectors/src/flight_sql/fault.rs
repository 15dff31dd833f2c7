//! What the server's errors mean to whoever asked: the one place that reads status codes. The server's own words go no further
//! than an error's cause.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status};

use crate::error::ConnectorError;

/// One thing that the server is asked for, and until when.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    location: String,
    deadline: Instant,
}

impl Asking {
    /// Asks now for what `location` names, and gives up after `limit`.
    pub(super) fn now(location: impl Into<String>, limit: Duration) -> Self {
        Self { location: location.into(), deadline: Instant::now() + limit }
    }

    /// How much time is left, for the server to know.
    pub(super) fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// What `future` answers, if it does in time.
    pub(super) async fn within<T>(&self, future: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let late = || Status::deadline_exceeded("no answer within the time that the source allows");
        timeout_at(self.deadline, future).await.unwrap_or_else(|_| Err(late()))
    }

    /// What an error of the server, or of the way to it, means here.
    pub(super) fn fault(&self, status: Status) -> ConnectorError {
        let location = self.location.clone();
        match status.code() {
            Code::Unauthenticated => ConnectorError::Unauthenticated { location, cause: status.into() },
            Code::PermissionDenied => ConnectorError::Forbidden { location, cause: status.into() },
            Code::ResourceExhausted => ConnectorError::Exhausted { location, cause: status.into() },
            Code::DeadlineExceeded => ConnectorError::DeadlineExceeded { location, cause: status.into() },
            // What our own side of the connection cancels is told in the same way as what the server does.
            Code::Cancelled if !is_of_the_way(&status) => ConnectorError::Cancelled { location, cause: status.into() },
            Code::Cancelled if self.time_left().is_zero() => {
                ConnectorError::DeadlineExceeded { location, cause: status.into() }
            }
            _ => ConnectorError::unavailable(location, status),
        }
    }
}

/// Whether an error says that the server has no such method.
pub(super) fn is_unimplemented(status: &Status) -> bool {
    status.code() == Code::Unimplemented
}

/// Whether an error is about what was asked and not about the server's state or who asks. Many servers tell all that they do not
/// plan as an internal error.
pub(super) fn is_about_the_statement(status: &Status) -> bool {
    match status.code() {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal => true,
        Code::Unknown => !is_of_the_way(status),
        _ => false,
    }
}

/// Whether an error was made on the way to the server, and is no word of its: it has a cause.
fn is_of_the_way(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn every_code_has_its_meaning() {
        let asking = Asking::now("table `t`", Duration::from_secs(1));
        let check = |code: Code, expect: ErrorKind| {
            let fault = asking.fault(Status::new(code, "a value of 7"));
            assert_eq!(fault.kind(), expect, "{code}");
            assert!(!fault.to_string().contains('7'), "{fault}");
        };
        check(Code::Unauthenticated, ErrorKind::Unauthenticated);
        check(Code::PermissionDenied, ErrorKind::Forbidden);
        check(Code::ResourceExhausted, ErrorKind::ResourceExhausted);
        check(Code::DeadlineExceeded, ErrorKind::DeadlineExceeded);
        check(Code::Cancelled, ErrorKind::Cancelled);
        check(Code::Unavailable, ErrorKind::SiteUnavailable);
        check(Code::Internal, ErrorKind::SiteUnavailable);
        check(Code::NotFound, ErrorKind::SiteUnavailable);
    }

    #[test]
    fn what_the_server_cannot_help_is_no_refusal_of_a_statement() {
        for (code, expect) in [
            (Code::Internal, true),
            (Code::InvalidArgument, true),
            (Code::Unavailable, false),
            (Code::Unauthenticated, false),
            (Code::DeadlineExceeded, false),
        ] {
            assert_eq!(is_about_the_statement(&Status::new(code, "")), expect, "{code}");
        }
        let broken = Status::from_error(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into());
        assert!(!is_about_the_statement(&broken), "{broken:?}");
        let late = Asking::now("t", Duration::ZERO).fault(Status::from_error(Box::new(tonic::TimeoutExpired(()))));
        assert_eq!(late.kind(), ErrorKind::DeadlineExceeded, "{late:?}");
    }
}
