//! Whether an answer is what a record expects.

use datafusion::sql::parser::{DFParser, Statement as Parsed};
use datafusion::sql::sqlparser::ast::Statement;

use super::shown;
use super::source::Expects;
use crate::oracle::Answer;

/// What may be anything, in an expected text.
const IGNORED: &str = "<slt:ignore>";

/// Why an answer is not what is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An error, as a client sees it.
    Refused(String),
    /// An answer in the place of an error.
    Answered(String),
    /// Columns of other types.
    Types(String),
    /// The same rows in another order.
    Order(String),
    /// Other rows.
    Rows(String),
    /// Any of these; but one process says the same of the same tables, in a session like the federation's.
    Alike(Box<Fault>),
    /// Any of these; but the same sites answer as expected where no policy is in force.
    OfPolicy(Box<Fault>),
}

impl Fault {
    /// One word for it: an error's code, or what differs.
    pub fn word(&self) -> &str {
        match self {
            Self::Refused(error) => error.split(':').next().filter(|code| is_code(code)).unwrap_or("error"),
            Self::Answered(_) => "answered",
            Self::Types(_) => "types",
            Self::Order(_) => "order",
            Self::Rows(_) => "rows",
            Self::Alike(_) => "alike",
            Self::OfPolicy(_) => "policy",
        }
    }

    /// The whole of it.
    pub fn told(&self) -> &str {
        match self {
            Self::Alike(fault) | Self::OfPolicy(fault) => fault.told(),
            Self::Refused(told) | Self::Answered(told) | Self::Types(told) | Self::Order(told) | Self::Rows(told) => {
                told
            }
        }
    }
}

fn is_code(word: &str) -> bool {
    word.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
}

/// Compares an answer with what is expected of it. A statement that does not say how its rows are ordered may give them in any
/// order.
pub fn judge(expects: &Expects, answer: &Result<Answer, String>, sql: &str) -> Result<(), Fault> {
    match (expects, answer) {
        (Expects::Error, Err(error)) if is_about_statement(error) => Ok(()),
        (Expects::Nothing, Ok(_)) => Ok(()),
        (Expects::Error, Ok(answer)) => Err(Fault::Answered(texts(answer)?.join("\n"))),
        (_, Err(error)) => Err(Fault::Refused(error.clone())),
        (Expects::Rows { types, sorted, rows }, Ok(answer)) => {
            let actual = shown::types(answer);
            if actual != *types {
                return Err(Fault::Types(format!("{actual} for {types}")));
            }
            let mut texts = texts(answer)?;
            if *sorted {
                texts = sorted_texts(answer)?;
            }
            compare(rows, &texts, sql)
        }
    }
}

/// Whether an error says what is wrong with the statement, and not that something went wrong with the federation.
pub fn is_about_statement(error: &str) -> bool {
    let code = error.split(':').next().unwrap_or_default();
    !["INTERNAL", "SITE_UNAVAILABLE", "SITE_PROTOCOL", "STALE", "BUSY", "DEADLINE", "CANCELLED", "UNAUTHENTICATED"]
        .contains(&code)
}

fn texts(answer: &Answer) -> Result<Vec<String>, Fault> {
    Ok(shown::rows(answer).map_err(Fault::Refused)?.iter().map(|row| line(row)).collect())
}

/// Sorted value by value, which is not the order of the lines.
fn sorted_texts(answer: &Answer) -> Result<Vec<String>, Fault> {
    let mut rows = shown::rows(answer).map_err(Fault::Refused)?;
    rows.sort_unstable();
    Ok(rows.iter().map(|row| line(row)).collect())
}

fn line(row: &[String]) -> String {
    row.join(" ").trim_end().to_string()
}

fn compare(expected: &[String], actual: &[String], sql: &str) -> Result<(), Fault> {
    let expected: Vec<String> = expected.iter().map(|line| line.trim_end().to_string()).collect();
    if expected == actual || matches(&expected.join("\n"), &actual.join("\n")) {
        return Ok(());
    }
    let told = format!("expected\n{}\nactual\n{}", expected.join("\n"), actual.join("\n"));
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort_unstable();
        lines
    };
    match sorted(&expected) == sorted(actual) {
        true if !is_ordered(sql) => Ok(()),
        true => Err(Fault::Order(told)),
        false => Err(Fault::Rows(told)),
    }
}

/// Whether the text is the expected one, but for what is ignored in that.
fn matches(expected: &str, actual: &str) -> bool {
    let Some((begin, rest)) = expected.split_once(IGNORED) else { return false };
    let Some(mut left) = actual.strip_prefix(begin) else { return false };
    let (between, end) = rest.rsplit_once(IGNORED).map_or((None, rest), |(between, end)| (Some(between), end));
    for part in between.into_iter().flat_map(|between| between.split(IGNORED)) {
        match left.split_once(part) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(end)
}

/// Whether the whole statement says how its rows are ordered.
fn is_ordered(sql: &str) -> bool {
    let parsed = DFParser::parse_sql(sql).ok().and_then(|mut parsed| parsed.pop_front());
    match parsed {
        Some(Parsed::Statement(statement)) => match *statement {
            Statement::Query(query) => query.order_by.is_some(),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::local_answer;
    use datafusion::prelude::SessionContext;

    async fn check(sql: &str, types: &str, sorted: bool, rows: &[&str]) -> Result<(), Fault> {
        let expects =
            Expects::Rows { types: types.to_string(), sorted, rows: rows.iter().map(ToString::to_string).collect() };
        let answer = local_answer(&SessionContext::new(), sql).await.map_err(|error| error.to_string());
        judge(&expects, &answer, sql)
    }

    #[tokio::test]
    async fn order_counts_where_it_is_asked_for() {
        let rows = "SELECT * FROM (VALUES (2, 'b'), (1, 'a')) AS t(n, s)";
        check(rows, "IT", false, &["1 a", "2 b"]).await.unwrap();
        check(rows, "IT", true, &["1 a", "2 b"]).await.unwrap();
        let ordered = check(&format!("{rows} ORDER BY n DESC"), "IT", false, &["1 a", "2 b"]).await;
        assert_eq!(ordered.unwrap_err().word(), "order");
    }

    #[tokio::test]
    async fn rows_types_and_errors_count() {
        assert_eq!(check("SELECT 1", "I", false, &["2"]).await.unwrap_err().word(), "rows");
        assert_eq!(check("SELECT 1", "I", false, &[]).await.unwrap_err().word(), "rows");
        assert_eq!(check("SELECT 1", "R", false, &["1"]).await.unwrap_err().word(), "types");
        assert_eq!(check("SELECT nothing", "I", false, &["1"]).await.unwrap_err().word(), "error");
        let refused = judge(&Expects::Nothing, &Err("TYPE: no".to_string()), "SELECT 1");
        assert_eq!(refused.unwrap_err().word(), "TYPE");
    }

    #[tokio::test]
    async fn what_is_ignored_may_be_anything() {
        check("SELECT 'at 17 by ana'", "T", false, &["at <slt:ignore> by ana"]).await.unwrap();
        check("SELECT 'at 17 by ana'", "T", false, &["<slt:ignore>ana"]).await.unwrap();
        assert!(check("SELECT 'at 17 by ana'", "T", false, &["by <slt:ignore>"]).await.is_err());
    }
}
