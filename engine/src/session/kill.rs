//! `KILL QUERY 'id'` and `KILL SESSION 'id'`: what somebody runs, or a session, is ended. By an administrator everybody's, by
//! others their own.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::session::setting::{is, tokens};

/// Longer texts end nothing.
const KILL_BYTES_MAX: usize = 1 << 10;

/// What is to be ended, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kill {
    /// A query: `query_id` of `system.queries.running`.
    Query(String),
    /// A session: `session_id` of `system.sessions.open`.
    Session(String),
}

impl Kill {
    /// What a statement ends; `None` for every other statement.
    pub fn read(sql: &str) -> Option<Self> {
        match tokens(sql, KILL_BYTES_MAX)?.as_slice() {
            [kill, what, Token::SingleQuotedString(id)] if is(kill, "KILL") && is(what, "QUERY") => {
                Some(Self::Query(id.clone()))
            }
            [kill, what, Token::SingleQuotedString(id)] if is(kill, "KILL") && is(what, "SESSION") => {
                Some(Self::Session(id.clone()))
            }
            _ => None,
        }
    }

    /// The column of the answer.
    pub fn column(&self) -> &'static str {
        match self {
            Self::Query(_) => "query_id",
            Self::Session(_) => "session_id",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_or_a_session_is_named_in_quotes() {
        let query = Some(Kill::Query("a1".to_string()));
        for sql in ["KILL QUERY 'a1'", "kill Query 'a1' ;", " KILL /* it */ QUERY\n'a1'"] {
            assert_eq!(Kill::read(sql), query, "{sql}");
        }
        assert_eq!(Kill::read("KILL SESSION 'x''y'"), Some(Kill::Session("x'y".to_string())));
        for sql in
            ["KILL", "KILL 5", "KILL QUERY", "KILL QUERY a1", "KILL QUERY 'a' 'b'", "\"KILL\" QUERY 'a'", "SELECT 1"]
        {
            assert_eq!(Kill::read(sql), None, "{sql}");
        }
    }
}
