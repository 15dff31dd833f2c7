//! The one place that makes a `tonic::Status` or reads one: our errors on their way out, a site's on their way in.

use std::time::Duration;

use tonic::metadata::MetadataMap;
use tonic::{Code as Grpc, Status};

use crate::catalog::site_table::SiteId;
use crate::error::{Code, EngineError};
use crate::flight::headers;
use crate::sabotage::{Control, thrown};
use crate::session::queries::QueryId;

/// An error as a client sees it: `CODE: sentence`, the query's id among the headers, and nothing of its causes.
pub fn to_status(error: &EngineError, query: Option<&QueryId>) -> Status {
    if matches!(error.code(), Code::Internal | Code::SiteProtocol) {
        tracing::error!(query = query.map_or("-", QueryId::as_str), "{}", error.for_log());
    } else {
        tracing::debug!(query = query.map_or("-", QueryId::as_str), "{}", error.for_log());
    }
    let mut headers = MetadataMap::new();
    if let Some(Ok(id)) = query.map(|id| id.as_str().parse()) {
        headers.insert(headers::QUERY_ID, id);
    }
    if let Some(time) = retry_after(error)
        && let Ok(value) = time.as_millis().to_string().parse()
    {
        headers.insert(headers::RETRY_AFTER, value);
    }
    let told = if thrown(Control::Redaction) { error.chain() } else { error.to_string() };
    Status::with_metadata(grpc_code(error.code()), told, headers)
}

/// When it helps to ask again, where a limit on how much is done at once is all that is in the way.
fn retry_after(error: &EngineError) -> Option<Duration> {
    const UNLESS_TOLD: Duration = Duration::from_secs(1);
    (error.code() == Code::Busy).then(|| error.retry_after().unwrap_or(UNLESS_TOLD))
}

fn grpc_code(code: Code) -> Grpc {
    match code {
        Code::Syntax | Code::Type | Code::Statement | Code::Function | Code::Complexity | Code::Eval => {
            Grpc::InvalidArgument
        }
        Code::Unsupported => Grpc::Unimplemented,
        Code::NotFound => Grpc::NotFound,
        Code::Unauthenticated => Grpc::Unauthenticated,
        Code::Purpose | Code::Revoked | Code::Expired | Code::Aggregate | Code::Disclosure => Grpc::PermissionDenied,
        Code::Memory | Code::Cost | Code::Cap => Grpc::ResourceExhausted,
        Code::Deadline => Grpc::DeadlineExceeded,
        Code::Cancelled => Grpc::Cancelled,
        Code::Busy | Code::SiteUnavailable | Code::Audit => Grpc::Unavailable,
        Code::Stale | Code::Config | Code::Policy => Grpc::FailedPrecondition,
        Code::SiteProtocol | Code::Internal => Grpc::Internal,
    }
}

/// What a site's status means to the coordinator. A refusal in our own words keeps its code and is told as the site's;
/// anything else is the connection's or the site's failure. `tables` names what was asked, for the reader.
pub fn from_site(site: &SiteId, tables: &str, status: Status) -> EngineError {
    if let Some(error) = own_words(site, tables, status.message()) {
        return error.caused_by(status);
    }
    let (code, what) = match status.code() {
        Grpc::Unauthenticated | Grpc::PermissionDenied => {
            (Code::SiteUnavailable, "does not believe this coordinator; check its `peers` and both certificates")
        }
        Grpc::DeadlineExceeded => (Code::SiteUnavailable, "did not answer in time"),
        Grpc::OutOfRange | Grpc::Internal | Grpc::DataLoss if !is_transport(&status) => {
            (Code::SiteProtocol, "sent what cannot be read")
        }
        Grpc::Cancelled => (Code::SiteUnavailable, "cancelled the call"),
        _ => (Code::SiteUnavailable, "cannot be reached or went away"),
    };
    EngineError::new(code, format!("site {site} {what} (tables: {tables})")).caused_by(status)
}

/// A broken connection shows itself as `Internal` or `Unknown` with the transport's error as its source.
fn is_transport(status: &Status) -> bool {
    std::error::Error::source(status).is_some() || status.message().starts_with("h2 protocol error")
}

/// No sentence of ours is longer.
const SENTENCE_MAX: usize = 4_000;

fn own_words(site: &SiteId, tables: &str, message: &str) -> Option<EngineError> {
    let (name, sentence) = message.split_once(": ")?;
    let code = Code::from_name(name)?;
    let code = match code {
        Code::Internal | Code::Config => Code::SiteUnavailable,
        Code::Unauthenticated => Code::SiteUnavailable,
        Code::Busy => Code::Busy,
        other => other,
    };
    let sentence: String = sentence.chars().take(SENTENCE_MAX).collect();
    Some(EngineError::new(code, format!("site {site} says of {tables}: {sentence}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_s_own_words_keep_their_code() {
        let site = SiteId::new("bts");
        let told = from_site(&site, "ontime.flights", Status::invalid_argument("EVAL: division by zero for some row"));
        assert_eq!(told.code(), Code::Eval);
        assert_eq!(told.sentence(), "site bts says of ontime.flights: division by zero for some row");
    }

    #[test]
    fn a_broken_connection_names_site_and_tables() {
        let told = from_site(&SiteId::new("bts"), "ontime.flights", Status::unavailable("tcp connect error"));
        assert_eq!(told.code(), Code::SiteUnavailable);
        assert!(told.sentence().contains("bts") && told.sentence().contains("ontime.flights"));
        assert!(!told.sentence().contains("tcp"));
    }

    #[test]
    fn causes_do_not_leave() {
        let error = EngineError::new(Code::Eval, "division by zero").caused_by("SECRET");
        let status = to_status(&error, Some(&QueryId::random()));
        assert_eq!(status.code(), Grpc::InvalidArgument);
        assert!(!format!("{status:?}").contains("SECRET"));
        assert!(status.metadata().get(headers::QUERY_ID).is_some());
    }

    /// The table of codes that the paper on policy has, and the two that are told before there is a policy.
    const TABLE: [(Code, Grpc); 27] = [
        (Code::Syntax, Grpc::InvalidArgument),
        (Code::Type, Grpc::InvalidArgument),
        (Code::Unsupported, Grpc::Unimplemented),
        (Code::Statement, Grpc::InvalidArgument),
        (Code::Function, Grpc::InvalidArgument),
        (Code::Complexity, Grpc::InvalidArgument),
        (Code::Cost, Grpc::ResourceExhausted),
        (Code::NotFound, Grpc::NotFound),
        (Code::Unauthenticated, Grpc::Unauthenticated),
        (Code::Purpose, Grpc::PermissionDenied),
        (Code::Revoked, Grpc::PermissionDenied),
        (Code::Expired, Grpc::PermissionDenied),
        (Code::Cap, Grpc::ResourceExhausted),
        (Code::Aggregate, Grpc::PermissionDenied),
        (Code::Disclosure, Grpc::PermissionDenied),
        (Code::Eval, Grpc::InvalidArgument),
        (Code::Memory, Grpc::ResourceExhausted),
        (Code::Deadline, Grpc::DeadlineExceeded),
        (Code::Cancelled, Grpc::Cancelled),
        (Code::Busy, Grpc::Unavailable),
        (Code::SiteUnavailable, Grpc::Unavailable),
        (Code::SiteProtocol, Grpc::Internal),
        (Code::Stale, Grpc::FailedPrecondition),
        (Code::Audit, Grpc::Unavailable),
        (Code::Policy, Grpc::FailedPrecondition),
        (Code::Config, Grpc::FailedPrecondition),
        (Code::Internal, Grpc::Internal),
    ];

    #[test]
    fn a69_every_code_leaves_as_its_sentence_and_nothing_else() {
        assert_eq!(TABLE.map(|(code, _)| code), Code::ALL);
        for (code, grpc) in TABLE {
            let cause = EngineError::internal("thread 'query' panicked at /srv/data: SECRET\nstack backtrace:");
            let error = EngineError::new(code, "a sentence").caused_by(cause);
            let status = to_status(&error, Some(&QueryId::random()));
            assert_eq!((status.code(), status.message()), (grpc, format!("{}: a sentence", code.name()).as_str()));
            assert!(status.details().is_empty(), "{code}");
            let names: Vec<_> = status.metadata().keys().map(|name| format!("{name:?}")).collect();
            let mut expected = vec![format!("Ascii({:?})", headers::QUERY_ID)];
            expected.extend((code == Code::Busy).then(|| format!("Ascii({:?})", headers::RETRY_AFTER)));
            assert_eq!(names, expected, "{code}");
        }
    }

    #[test]
    fn a69_what_no_site_of_ours_says_is_not_repeated() {
        let site = SiteId::new("bts");
        let codes = (0..=16).map(Grpc::from_i32);
        for status in codes.map(|code| Status::new(code, "panicked at /srv/data: SECRET")) {
            let told = from_site(&site, "ontime.flights", status);
            assert!(matches!(told.code(), Code::SiteUnavailable | Code::SiteProtocol), "{told}");
            let status = to_status(&told, Some(&QueryId::random()));
            assert!(!format!("{status:?}").contains("SECRET") && !status.message().contains("/srv"), "{status:?}");
        }
    }
}
