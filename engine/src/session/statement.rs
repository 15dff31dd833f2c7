//! The closed list of statement classes: what may be said at a door, and everything else refused by name.

use datafusion::sql::parser::{DFParserBuilder, Statement as ParsedStatement};
use datafusion::sql::sqlparser::ast::{Query, SetExpr, Statement as SqlStatement};
use datafusion::sql::sqlparser::dialect::GenericDialect;

use crate::error::{Code, EngineError, Result};

/// A statement of a class that is answered here.
#[derive(Debug, Clone)]
pub enum Statement {
    /// `SELECT`, `VALUES`, `WITH`, `TABLE`: rows.
    Query(ParsedStatement),
    /// `EXPLAIN` of a query: how it would be answered, and what would be sent to whom.
    Explain(ParsedStatement),
    /// `EXPLAIN ANALYZE` of a query: the same after it ran, with what crossed each border.
    ExplainAnalyze(ParsedStatement),
}

/// Parses `sql` and finds its class.
///
/// # Errors
/// `SYNTAX` for what is no SQL, `STATEMENT` for a class that is refused here, `COMPLEXITY` for a text above
/// `bytes_max`.
pub fn parse(sql: &str, bytes_max: usize) -> Result<Statement> {
    if sql.len() > bytes_max {
        return Err(EngineError::new(
            Code::Complexity,
            format!("the statement has {} bytes; at most {bytes_max} are read", sql.len()),
        ));
    }
    let mut statements = DFParserBuilder::new(sql).with_dialect(&GenericDialect {}).build()?.parse_statements()?;
    let first = statements.pop_front().ok_or_else(|| EngineError::new(Code::Syntax, "the statement is empty"))?;
    if !statements.is_empty() {
        return Err(EngineError::new(Code::Statement, "one statement at a time, please"));
    }
    classify(first)
}

fn classify(statement: ParsedStatement) -> Result<Statement> {
    match statement {
        ParsedStatement::Explain(explain) => {
            if explain.options.verbose {
                return Err(refused("EXPLAIN VERBOSE"));
            }
            match classify(*explain.statement)? {
                Statement::Query(query) if explain.options.analyze => Ok(Statement::ExplainAnalyze(query)),
                Statement::Query(query) => Ok(Statement::Explain(query)),
                Statement::Explain(_) | Statement::ExplainAnalyze(_) => Err(refused("EXPLAIN of EXPLAIN")),
            }
        }
        ParsedStatement::Statement(inner) => match *inner {
            SqlStatement::Query(query) if reads_only(&query) => {
                Ok(Statement::Query(ParsedStatement::Statement(Box::new(SqlStatement::Query(query)))))
            }
            other => Err(refused(&class_name(&other))),
        },
        ParsedStatement::CreateExternalTable(_) => Err(refused("CREATE EXTERNAL TABLE")),
        ParsedStatement::CopyTo(_) => Err(refused("COPY")),
        ParsedStatement::Reset(_) => Err(refused("RESET")),
    }
}

/// Whether no part of the query writes: no `SELECT INTO`, no `INSERT` or `UPDATE` as a query's body.
fn reads_only(query: &Query) -> bool {
    let bodies = query.with.iter().flat_map(|with| with.cte_tables.iter().map(|cte| &cte.query));
    query.locks.is_empty() && set_expr_reads_only(&query.body) && bodies.into_iter().all(|body| reads_only(body))
}

fn set_expr_reads_only(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.into.is_none(),
        SetExpr::Query(query) => reads_only(query),
        SetExpr::SetOperation { left, right, .. } => set_expr_reads_only(left) && set_expr_reads_only(right),
        SetExpr::Values(_) | SetExpr::Table(_) => true,
        _ => false,
    }
}

/// The leading words of a refused statement: its class, and nothing that the asker wrote into it.
fn class_name(statement: &SqlStatement) -> String {
    if matches!(statement, SqlStatement::Query(_)) {
        return "a query that writes or locks".to_string();
    }
    let text = statement.to_string();
    let words: Vec<&str> = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .take_while(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase()))
        .take(2)
        .collect();
    if words.is_empty() { "this class of statement".to_string() } else { words.join(" ") }
}

fn refused(class: &str) -> EngineError {
    EngineError::new(
        Code::Statement,
        format!("{class} is refused here; this door answers SELECT, VALUES, WITH, EXPLAIN and EXPLAIN ANALYZE"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, expected: &str) {
        let told = match parse(sql, 1000) {
            Ok(Statement::Query(_)) => "query".to_string(),
            Ok(Statement::Explain(_)) => "explain".to_string(),
            Ok(Statement::ExplainAnalyze(_)) => "analyze".to_string(),
            Err(error) => error.to_string(),
        };
        assert!(told.starts_with(expected), "{sql}: {told}");
    }

    #[test]
    fn queries_pass() {
        check("SELECT 1", "query");
        check("VALUES (1), (2);", "query");
        check("WITH a AS (SELECT 1) SELECT * FROM a UNION ALL SELECT 2", "query");
        check("EXPLAIN SELECT 1", "explain");
        check("EXPLAIN ANALYZE SELECT 1", "analyze");
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        check("CREATE TABLE t (a INT)", "STATEMENT: CREATE TABLE");
        check("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "STATEMENT: CREATE EXTERNAL TABLE");
        check("DROP TABLE t", "STATEMENT: DROP TABLE");
        check("INSERT INTO t VALUES (1)", "STATEMENT: INSERT INTO");
        check("COPY t TO '/tmp/x'", "STATEMENT: COPY");
        check("EXPLAIN COPY t TO '/tmp/x'", "STATEMENT: COPY");
        check("SET a = 1", "STATEMENT: SET");
        check("SHOW TABLES", "STATEMENT: SHOW");
        check("SELECT * INTO t2 FROM t", "STATEMENT: a query that writes");
        check("WITH a AS (SELECT * INTO x FROM t) SELECT * FROM a", "STATEMENT: a query that writes");
        check("SELECT 1; SELECT 2", "STATEMENT: one statement");
        check("", "SYNTAX");
        check("SELEC 1", "SYNTAX");
    }
}
