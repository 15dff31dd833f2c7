//! What the log says of an error's causes. Their texts may hold values of rows and of statements, so it says their kinds.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Debug;
use std::io;

use arrow::error::ArrowError;
use connectors::error::{ConnectorError, Reason};
use datafusion::error::DataFusionError;

use super::EngineError;

/// A defect in words of this program, which hold no value.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Defect(pub(super) Cow<'static, str>);

/// The causes below `error`, from the outermost to the innermost, each as ` <- kind`.
pub(super) fn kinds(error: &(dyn Error + 'static)) -> String {
    let mut told = String::new();
    let mut next = error.source();
    while let Some(cause) = next {
        told.push_str(" <- ");
        told.push_str(&kind(cause));
        next = cause.source();
    }
    told
}

/// What is wrong with a table or a source, and the causes, for the log of its owner.
pub(crate) fn with_causes(error: &ConnectorError) -> String {
    format!("{error}{}", kinds(error))
}

fn kind(cause: &(dyn Error + 'static)) -> String {
    if let Some(ours) = cause.downcast_ref::<EngineError>() {
        ours.code().to_string()
    } else if let Some(defect) = cause.downcast_ref::<Defect>() {
        defect.to_string()
    } else if let Some(connector) = cause.downcast_ref::<ConnectorError>() {
        of_connector(connector)
    } else if let Some(reason) = cause.downcast_ref::<Reason>() {
        reason.to_string()
    } else if let Some(engine) = cause.downcast_ref::<DataFusionError>() {
        variant("DataFusion", engine)
    } else if let Some(arrow) = cause.downcast_ref::<ArrowError>() {
        variant("Arrow", arrow)
    } else if let Some(database) = cause.downcast_ref::<rusqlite::Error>() {
        variant("SQLite", database)
    } else if let Some(system) = cause.downcast_ref::<io::Error>() {
        system.kind().to_string()
    } else {
        "an error of a library".to_string()
    }
}

/// Where it was; what was wrong there may quote the data.
fn of_connector(error: &ConnectorError) -> String {
    match error {
        ConnectorError::InvalidData { location, .. } => format!("invalid data in {location}"),
        other => other.to_string(),
    }
}

/// The name of the variant, with which a derived `Debug` begins.
fn variant(library: &str, error: &impl Debug) -> String {
    let told = format!("{error:?}");
    let name: String = told.chars().take_while(char::is_ascii_alphanumeric).collect();
    format!("{library} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn check(cause: impl Into<Box<dyn Error + Send + Sync>>, expect: &str) {
        assert_eq!(EngineError::new(Code::Eval, "it failed for SECRET").caused_by(cause).for_log(), expect);
    }

    #[test]
    fn causes_are_told_by_their_kinds() {
        let cast = || ArrowError::CastError("Cannot cast string 'SECRET' to Int64".to_string());
        check(cast(), "EVAL <- Arrow CastError");
        check(DataFusionError::from(cast()), "EVAL <- DataFusion ArrowError <- Arrow CastError");
        check(DataFusionError::Execution("SECRET".to_string()), "EVAL <- DataFusion Execution");
        check(DataFusionError::Internal("SECRET".to_string()), "EVAL <- DataFusion Internal");
        check("SECRET", "EVAL <- an error of a library");
        check(io::Error::from(io::ErrorKind::ConnectionRefused), "EVAL <- connection refused");
        let unavailable = ConnectorError::unavailable("a.csv", "a value SECRET");
        check(unavailable, "EVAL <- a.csv: cannot be read <- an error of a library");
        let unreached = ConnectorError::unavailable("a.csv", Reason::new("no connection: connection refused"));
        check(unreached, "EVAL <- a.csv: cannot be read <- no connection: connection refused");
        let invalid = ConnectorError::invalid_data("a.csv", "line 3 has SECRET", "mend it");
        check(invalid, "EVAL <- invalid data in a.csv");
        check(EngineError::new(Code::Stale, "SECRET").caused_by("SECRET"), "EVAL <- STALE <- an error of a library");
    }

    #[test]
    fn an_owner_is_told_what_is_wrong_with_a_table_and_why() {
        let refused =
            ConnectorError::Forbidden { location: "a.csv".into(), cause: Reason::new("403 AccessDenied").into() };
        assert_eq!(with_causes(&refused), "a.csv: may not be read by the source's account <- 403 AccessDenied");
    }

    #[test]
    fn a_defect_in_our_own_words_is_told_in_them() {
        assert_eq!(EngineError::defect("a scan without a table").for_log(), "INTERNAL <- a scan without a table");
    }
}
