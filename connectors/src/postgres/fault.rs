//! What the server's errors mean: the one place that reads SQLSTATE.

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::fault::{Meaning, ServerError};

impl ServerError for Error {
    fn meaning(&self) -> Meaning {
        self.code().map_or(Meaning::Unavailable, meaning)
    }
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
