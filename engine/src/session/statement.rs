//! The closed list of statement classes: what may be said at a door, and everything else refused by name.

use datafusion::sql::parser::{DFParser, DFParserBuilder, Statement as ParsedStatement};
use datafusion::sql::sqlparser::ast::{Query, SetExpr, Statement as SqlStatement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::audit::template;
use crate::catalog::listing::is_listing;
use crate::error::{Code, EngineError, Result};
use crate::sabotage::{Control, thrown};
use crate::session::complexity::Budget;
use crate::session::placeholders::tokens;

/// A statement of a class that is answered here.
#[derive(Debug, Clone)]
pub enum Statement {
    /// `SELECT`, `VALUES`, `WITH`, `TABLE`, `SHOW TABLES` and its like, `DESCRIBE`: rows.
    Query(ParsedStatement),
    /// `EXPLAIN` of a query: how it would be answered, and what would be sent to whom.
    Explain(ParsedStatement),
    /// `EXPLAIN ANALYZE` of a query: the same after it ran, with what crossed each border.
    ExplainAnalyze(ParsedStatement),
    /// A statement of policy, as written; `policy` reads it.
    Policy(String),
    /// `EXPLAIN POLICY` of a query: what would leave, in which form and by which policy.
    ExplainPolicy {
        /// For whom: the asker, or a user that an administrator names.
        who: ExplainedFor,
        /// The query; it does not run.
        query: ParsedStatement,
    },
}

/// For whom a policy is explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExplainedFor {
    /// The asker.
    Asker,
    /// `AS USER name [PURPOSE purpose]`.
    User {
        /// The user.
        name: String,
        /// The purpose; none when left out.
        purpose: Option<String>,
    },
}

/// Parses `sql` and finds its class.
///
/// # Errors
/// `SYNTAX` for what is no SQL, `STATEMENT` for a class that is refused here, `COMPLEXITY` for what is beyond the budget.
pub fn parse(sql: &str, budget: &Budget) -> Result<Statement> {
    budget.check_text(sql)?;
    let mut parser = DFParserBuilder::new(tokens(sql)?).with_dialect(&GenericDialect {}).build()?;
    if let Some(who) = explain_policy(&mut parser.parser)? {
        return match classify(only_statement(&mut parser, budget)?)? {
            Statement::Query(query) => Ok(Statement::ExplainPolicy { who, query }),
            _ => Err(refused("EXPLAIN POLICY of anything but a query")),
        };
    }
    if policy::statement::is_policy_statement(sql) {
        return Ok(Statement::Policy(sql.to_string()));
    }
    classify(only_statement(&mut parser, budget)?)
}

/// A statement as it is shown to others and kept after its end, `?` for each literal. Of a text that is no SQL within its budget
/// nobody can say what of it is a literal, and all of it is one `?`.
pub fn shown(sql: &str, budget: &Budget) -> String {
    if is_sql(sql, budget) { template::shape(sql) } else { "?".to_string() }
}

/// Whether a text is SQL to its end within its budget, also of a class that is refused.
fn is_sql(sql: &str, budget: &Budget) -> bool {
    match parse(sql, budget) {
        Ok(Statement::Policy(text)) => policy::statement::can_be_read(&text),
        Ok(_) => true,
        Err(error) => error.code() == Code::Statement,
    }
}

fn only_statement(parser: &mut DFParser<'_>, budget: &Budget) -> Result<ParsedStatement> {
    let mut statements = parser.parse_statements()?;
    let first = statements.pop_front().ok_or_else(|| EngineError::new(Code::Syntax, "the statement is empty"))?;
    if !statements.is_empty() {
        return Err(EngineError::new(Code::Statement, "one statement at a time, please"));
    }
    budget.check_tree(&first)?;
    Ok(first)
}

/// Reads over `EXPLAIN POLICY [AS USER name [PURPOSE purpose]]`; `None`, and nothing read, for any other beginning.
fn explain_policy(parser: &mut Parser<'_>) -> Result<Option<ExplainedFor>> {
    if !eat(parser, &["EXPLAIN", "POLICY"]) {
        return Ok(None);
    }
    if !eat(parser, &["AS", "USER"]) {
        return Ok(Some(ExplainedFor::Asker));
    }
    let name = name(parser, "AS USER")?;
    let purpose = if eat(parser, &["PURPOSE"]) { Some(self::name(parser, "PURPOSE")?) } else { None };
    Ok(Some(ExplainedFor::User { name, purpose }))
}

/// Reads over these words, or over none of them.
fn eat(parser: &mut Parser<'_>, words: &[&str]) -> bool {
    let is = |token: Token, expected: &str| matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected));
    let there = words.iter().enumerate().all(|(index, word)| is(parser.peek_nth_token(index).token, word));
    if there {
        words.iter().for_each(|_| parser.advance_token());
    }
    there
}

/// A name, in quotes or not, as it is written.
fn name(parser: &mut Parser<'_>, after: &str) -> Result<String> {
    match parser.next_token().token {
        Token::Word(word) => Ok(word.value),
        Token::SingleQuotedString(text) => Ok(text),
        _ => Err(EngineError::new(Code::Syntax, format!("{after} is followed by a name"))),
    }
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
                _ => Err(refused("EXPLAIN of EXPLAIN")),
            }
        }
        ParsedStatement::Statement(inner) => match *inner {
            SqlStatement::Query(query) if reads_only(&query) => {
                Ok(Statement::Query(ParsedStatement::Statement(Box::new(SqlStatement::Query(query)))))
            }
            listing if is_listing(&listing) => Ok(Statement::Query(ParsedStatement::Statement(Box::new(listing)))),
            other if thrown(Control::Statements) => Ok(Statement::Query(ParsedStatement::Statement(Box::new(other)))),
            other => Err(refused(&class_name(&other))),
        },
        other if thrown(Control::Statements) => Ok(Statement::Query(other)),
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
        format!(
            "{class} is refused here; this door answers SELECT, VALUES, WITH, SHOW, DESCRIBE, EXPLAIN, EXPLAIN ANALYZE, \
             EXPLAIN POLICY, USE and SET purpose, catalog, schema or statement_timeout"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::limits::Limits;

    fn check(sql: &str, expected: &str) {
        let told = match parse(sql, &Budget::of(&Limits::default())) {
            Ok(Statement::Query(_)) => "query".to_string(),
            Ok(Statement::Explain(_)) => "explain".to_string(),
            Ok(Statement::ExplainAnalyze(_)) => "analyze".to_string(),
            Ok(Statement::Policy(text)) => format!("policy {text}"),
            Ok(Statement::ExplainPolicy { who, query }) => format!("{who:?} {query}"),
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
        check("SHOW TABLES FROM north LIKE 'p%'", "query");
        check("DESCRIBE north.civil.people", "query");
    }

    #[test]
    fn a_policy_is_explained_for_somebody() {
        check("explain policy SELECT 1;", "Asker SELECT 1");
        check(
            "EXPLAIN POLICY AS USER desk WITH a AS (SELECT 1) SELECT * FROM a",
            "User { name: \"desk\", purpose: None } WITH",
        );
        check(
            "EXPLAIN POLICY AS USER 'An Other' PURPOSE \"Care\" SELECT 1",
            "User { name: \"An Other\", purpose: Some(\"Care\") } SELECT 1",
        );
        check("EXPLAIN POLICY", "SYNTAX");
        check("EXPLAIN POLICY AS USER", "SYNTAX");
        check("EXPLAIN POLICY DROP TABLE t", "STATEMENT: DROP TABLE");
        check("EXPLAIN POLICY EXPLAIN SELECT 1", "STATEMENT: EXPLAIN POLICY of anything");
        check("EXPLAIN POLICY SELECT 1; SELECT 2", "STATEMENT: one statement");
    }

    #[test]
    fn policy_is_kept_as_it_is_written() {
        check("GRANT SELECT ON SCHEMA civil TO ROLE analyst", "policy GRANT SELECT");
        check("create policy p on table t row filter (a = 1) to all", "policy create policy");
        check("SHOW POLICIES", "policy SHOW");
        check("EXPLAIN GRANT SELECT ON t TO x", "STATEMENT: GRANT");
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
        check("SHOW FUNCTIONS", "STATEMENT: SHOW FUNCTIONS");
        check("SELECT * INTO t2 FROM t", "STATEMENT: a query that writes");
        check("WITH a AS (SELECT * INTO x FROM t) SELECT * FROM a", "STATEMENT: a query that writes");
        check("SELECT 1; SELECT 2", "STATEMENT: one statement");
        check("", "SYNTAX");
        check("SELEC 1", "SYNTAX");
    }
}
