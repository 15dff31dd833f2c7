//! Statements kept as text: the queries of TPC-H and the corpus, each with what it promises and what DuckDB makes of it.

use std::ops::ControlFlow;
use std::path::PathBuf;

use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart, visit_relations_mut};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::oracle::Promise;
use crate::tpch::LAYOUT_V3;

/// One statement of a file.
#[derive(Debug, Clone)]
pub struct Statement {
    /// File and name in it: what a failure is called by.
    pub name: String,
    /// Text for DataFusion and for Chancery.
    pub sql: String,
    /// What its answer may be compared by.
    pub promise: Promise,
    /// What DuckDB is asked.
    pub duckdb: DuckDb,
}

/// How DuckDB takes part in checking a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DuckDb {
    /// It runs the same text.
    Same,
    /// It runs another text of the same meaning.
    Text(String),
    /// It answers otherwise, or not at all, for this reason.
    Differs(String),
}

/// Every statement of `tests/corpus`, by file and then in the order of the file.
pub fn corpus() -> Vec<Statement> {
    let mut statements = vec![];
    for path in sql_files("corpus") {
        let file = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        statements.extend(parse(&file, &text).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
    }
    statements
}

/// The 22 queries of TPC-H, with full names as in layout V3. Each sorts by a key that is unique at the scales tested, or has one row.
pub fn tpch_queries() -> Vec<Statement> {
    tpch_queries_over(&LAYOUT_V3)
}

/// The same over tables of other full names: catalog, schema and TPC-H's own.
pub fn tpch_queries_over(names: &[(&str, &str, &str)]) -> Vec<Statement> {
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        Statement { name, sql: with_full_names(&text, names), promise: Promise::Ordered, duckdb: DuckDb::Same }
    };
    sql_files("queries/tpch").into_iter().map(read).collect()
}

fn sql_files(directory: &str) -> Vec<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a readable directory").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort();
    files
}

/// `customer` becomes `sales.tpch.customer`, where it names a relation and nowhere else.
fn with_full_names(sql: &str, names: &[(&str, &str, &str)]) -> String {
    let mut statements = Parser::parse_sql(&GenericDialect {}, sql).unwrap_or_else(|e| panic!("{e} in {sql}"));
    assert_eq!(statements.len(), 1, "one statement a file: {sql}");
    let _: ControlFlow<()> = visit_relations_mut(&mut statements, |name| {
        if let Some((site, source, table)) = names.iter().find(|(_, _, table)| name.to_string() == *table) {
            *name =
                ObjectName([site, source, table].map(|part| ObjectNamePart::Identifier(Ident::new(*part))).to_vec());
        }
        ControlFlow::Continue(())
    });
    statements.remove(0).to_string()
}

/// A file is a list of statements, each under its own header:
///
/// ```text
/// -- name: a_name_unique_in_the_file [ordered | rows only]
/// -- duckdb: a text of the same meaning, on one line          (or)
/// -- duckdb differs: why there is nothing to compare
/// SELECT …
/// ```
fn parse(file: &str, text: &str) -> Result<Vec<Statement>, String> {
    let mut statements: Vec<Statement> = vec![];
    for (number, line) in text.lines().enumerate() {
        let current = statements.last_mut();
        if let Some(header) = line.strip_prefix("-- name: ") {
            statements.push(begin(file, header).map_err(|e| format!("line {}: {e}", number + 1))?);
        } else if let Some(other) = line.strip_prefix("-- duckdb: ") {
            current.ok_or("a text for DuckDB before the first name")?.duckdb = DuckDb::Text(other.to_string());
        } else if let Some(reason) = line.strip_prefix("-- duckdb differs: ") {
            current.ok_or("a reason before the first name")?.duckdb = DuckDb::Differs(reason.to_string());
        } else if !line.trim().is_empty() && !line.starts_with("-- ") {
            let sql = &mut current.ok_or(format!("line {}: a statement before the first name", number + 1))?.sql;
            sql.push_str(line);
            sql.push('\n');
        }
    }
    match statements.iter().find(|statement| statement.sql.is_empty()) {
        Some(empty) => Err(format!("{} has no statement", empty.name)),
        None => Ok(statements),
    }
}

fn begin(file: &str, header: &str) -> Result<Statement, String> {
    let (name, promise) = match header.split_once(' ') {
        None => (header, Promise::Multiset),
        Some((name, "ordered")) => (name, Promise::Ordered),
        Some((name, "rows only")) => (name, Promise::RowsOnly),
        Some((_, other)) => {
            return Err(format!("{other:?} is no promise: ordered, rows only, or nothing"));
        }
    };
    Ok(Statement { name: format!("{file}/{name}"), sql: String::new(), promise, duckdb: DuckDb::Same })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_statements_with_their_promises() {
        let text =
            "-- a remark\n-- name: one\nSELECT 1\nFROM t\n\n-- name: two ordered\n-- duckdb: SELECT 3\nSELECT 2\n";
        let [one, two] = &parse("f", text).unwrap()[..] else { panic!("two statements") };
        assert_eq!(
            (one.name.as_str(), one.sql.as_str(), one.promise),
            ("f/one", "SELECT 1\nFROM t\n", Promise::Multiset)
        );
        assert_eq!((two.promise, &two.duckdb), (Promise::Ordered, &DuckDb::Text("SELECT 3".to_string())));
    }

    #[test]
    fn a_file_that_is_wrong_says_where() {
        assert!(parse("f", "SELECT 1").unwrap_err().contains("line 1"));
        assert!(parse("f", "\n-- name: one sorted\nSELECT 1").unwrap_err().contains("line 2: \"sorted\""));
        assert!(parse("f", "-- name: one\n-- name: two\nSELECT 1").unwrap_err().contains("f/one has no statement"));
    }

    #[test]
    fn only_relations_get_full_names() {
        let sql = with_full_names(
            "SELECT n_name AS nation FROM nation AS n, part WHERE nation = 'part' ORDER BY nation",
            &LAYOUT_V3,
        );
        assert_eq!(
            sql,
            "SELECT n_name AS nation FROM supply.tpch.nation AS n, supply.tpch.part WHERE nation = 'part' ORDER BY nation"
        );
    }

    #[test]
    fn names_are_unique_and_there_are_enough() {
        let mut names: Vec<String> = corpus().into_iter().map(|statement| statement.name).collect();
        let statements = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), statements, "each name once");
        assert!(statements >= 120, "{statements}");
        assert_eq!(tpch_queries().len(), 22);
    }
}
