//! The names of tables in a statement, replaced where they stand: all else is asked as it is written.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::sql::planner::object_name_to_table_reference;
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, Query, Statement, TableFactor, Visit, Visitor};
use datafusion::sql::sqlparser::tokenizer::Location;

/// A table that a statement names, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its name as DataFusion reads it.
    pub reference: TableReference,
    /// What columns of it may be called by, when it has no alias: the last part of the name, as it is written.
    alias: Option<String>,
    /// Bytes of the statement.
    from: usize,
    to: usize,
}

/// The tables that a statement names, in the order of the text; not its CTEs, nor functions.
pub fn tables(sql: &str, statement: &Statement) -> Vec<Named> {
    let mut tables = Tables { sql, scope: vec![], seen: BTreeSet::new(), found: vec![] };
    let _: ControlFlow<()> = statement.visit(&mut tables);
    tables.found.sort_by_key(|named| named.from);
    tables.found
}

/// The statement with another name for each of them.
pub fn replaced(sql: &str, tables: &[(Named, String)]) -> String {
    let mut text = String::new();
    let mut done = 0;
    for (named, name) in tables {
        text += &sql[done..named.from];
        text += name;
        if let Some(alias) = &named.alias {
            text += &format!(" AS {alias}");
        }
        done = named.to;
    }
    text + &sql[done..]
}

struct Tables<'a> {
    sql: &'a str,
    /// Names of the CTEs of all queries that are being visited.
    scope: Vec<TableReference>,
    seen: BTreeSet<usize>,
    found: Vec<Named>,
}

impl Tables<'_> {
    fn add(&mut self, name: &ObjectName, alias: bool) {
        let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return };
        let Ok(reference) = object_name_to_table_reference(name.clone(), true) else { return };
        // A name that is written as a text, as a file's is, has no place.
        let (Some(from), Some(to)) = (offset(self.sql, first.span.start), offset(self.sql, last.span.end)) else {
            return;
        };
        if !self.scope.contains(&reference) && self.seen.insert(from) {
            self.found.push(Named { reference, alias: (!alias).then(|| last.to_string()), from, to });
        }
    }
}

impl Visitor for Tables<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let Some(with) = &query.with else { return ControlFlow::Continue(()) };
        for cte in &with.cte_tables {
            // A CTE that is not recursive does not see itself: it is visited before its name is known, and once more after.
            if !with.recursive {
                let _: ControlFlow<()> = cte.visit(self);
            }
            let name = ObjectName::from(vec![cte.alias.name.clone()]);
            self.scope.extend(object_name_to_table_reference(name, true));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let ctes = query.with.as_ref().map_or(0, |with| with.cte_tables.len());
        self.scope.truncate(self.scope.len() - ctes);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, args: None, .. } = factor {
            self.add(name, alias.is_some());
        }
        ControlFlow::Continue(())
    }
}

/// Lines and columns are counted from one, columns in characters; none of what has no place.
fn offset(sql: &str, location: Location) -> Option<usize> {
    let lines = usize::try_from(location.line).ok()?.checked_sub(1)?;
    let characters = usize::try_from(location.column).ok()?.checked_sub(1)?;
    let line: usize = sql.split_inclusive('\n').take(lines).map(str::len).sum();
    Some(line + sql[line..].chars().take(characters).map(char::len_utf8).sum::<usize>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::parser::{DFParser, Statement as Parsed};

    fn check(sql: &str, expected: &str) {
        let Some(Parsed::Statement(statement)) = DFParser::parse_sql(sql).unwrap().pop_front() else {
            panic!("no statement: {sql}")
        };
        let named = tables(sql, &statement).into_iter().map(|named| {
            let name = format!("s.f.{}", named.reference.table());
            (named, name)
        });
        assert_eq!(replaced(sql, &named.collect::<Vec<_>>()), expected);
    }

    #[test]
    fn tables_are_renamed_and_keep_what_their_columns_are_called_by() {
        check(
            "SELECT t1.a FROM t1, public.T2 AS x WHERE 'ä' = a",
            "SELECT t1.a FROM s.f.t1 AS t1, s.f.t2 AS x WHERE 'ä' = a",
        );
        check("SELECT 'ä',\n (SELECT \"B\".a FROM \"B\")", "SELECT 'ä',\n (SELECT \"B\".a FROM s.f.B AS \"B\")");
    }

    #[test]
    fn ctes_and_functions_are_no_tables() {
        check(
            "WITH t AS (SELECT * FROM t) SELECT * FROM t, range(1)",
            "WITH t AS (SELECT * FROM s.f.t AS t) SELECT * FROM t, range(1)",
        );
        check(
            "WITH RECURSIVE t AS (SELECT 1 UNION ALL SELECT * FROM t) SELECT * FROM t",
            "WITH RECURSIVE t AS (SELECT 1 UNION ALL SELECT * FROM t) SELECT * FROM t",
        );
        check(
            "(WITH t AS (SELECT 1) SELECT * FROM t) UNION (SELECT * FROM t)",
            "(WITH t AS (SELECT 1) SELECT * FROM t) UNION (SELECT * FROM s.f.t AS t)",
        );
    }
}
