//! A fragment as SQL text, made one plan node at a time, and the check that proves the text.
//!
//! ```text
//! optimized plan ─► steps (blocks, merged where that is safe) ─► print (one dialect's tokens) ─► text
//!        │                                                                                        │ parse, plan,
//!        ▼                                                                                        ▼ coerce types
//!    canonical form  ◄──────────────── check: the two must be equal ─────────────────►  canonical form
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `allow` | the one list of what a statement may hold; for each SQL database its own, made of `classes` |
//! | `steps`, `block`, `names` | a plan node to a SELECT; when it joins the one below; names that meet nothing |
//! | `print`, `literal`, `dialect` | expressions, literals and the tokens of a dialect: one for each kind of server |
//! | `types`, `digits` | what the columns of a statement are, and how large a number can be |
//! | `scope` | strict names, for the generator and for the check |
//! | `canonical`, `expression`, `check` | one positional form of a plan, and the comparison |
//!
//! **Invariant:** what the lists do not name is refused; nothing is dropped silently.
//! **Invariant:** a statement that [`check`] accepts means exactly what its fragment means.

mod allow;
mod block;
mod canonical;
mod check;
mod dialect;
mod digits;
mod expression;
mod literal;
mod names;
mod print;
mod refusal;
mod scope;
mod steps;
mod types;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::{Expr, LogicalPlan};

pub(crate) use dialect::sqlite::functions as sqlite_functions;

pub use allow::{Accepts, SIZE_MAX, SIZED_FUNCTIONS, type_size};
pub use check::check;
pub use dialect::ForeignEngine;
pub use refusal::Refusal;
pub use types::{Call, Form, Stored, StoredTables};

/// A fragment as SQL text.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The text: a flat chain of steps, `WITH n0 AS (…), n1 AS (…) SELECT … FROM n1`.
    pub text: String,
    /// What the fragment declares. The columns of the result answer to it by position, whatever they are called.
    /// A fragment without columns is answered with one marker column that says how many rows there are.
    pub schema: SchemaRef,
    /// How many SELECTs the chain has.
    pub steps: usize,
}

/// Writes `plan` as one statement.
///
/// `plan` is an optimized subtree whose leaves are scans, values or empty relations. Scan filters, projections and
/// limits are always said, whatever the provider promises to do with them. Table names are printed as they stand.
///
/// The text is not yet proven: plan it against the same tables with types coerced and not optimized, and give both
/// plans to [`check`].
///
/// # Errors
/// The first operator or expression that cannot be said with the same meaning, or a budget of `accepts` that is spent.
pub fn write(plan: &LogicalPlan, accepts: &Accepts) -> Result<Statement, Refusal> {
    write_in(&dialect::DataFusion, plan, accepts)
}

/// Writes `plan` as one statement for a PostgreSQL server, whose tables are stored as `stored` tells.
///
/// The steps are those of [`write`], whose text over the same plan is the one that can be proven: write both, [`check`]
/// that one, and send this one. Here only the tokens differ, and what is not known to mean the same on both sides is
/// refused: see `allow/postgres.rs`. Of the server it is required that the session takes backslashes in
/// literals as they stand and searches no schema but the system's, and that text columns told [`Stored::Plain`] are stored in
/// UTF-8 and have a deterministic collation.
///
/// # Errors
/// As [`write`], and what PostgreSQL would evaluate in another way.
pub fn write_for_postgres(plan: &LogicalPlan, accepts: &Accepts, stored: &StoredTables) -> Result<Statement, Refusal> {
    write_in(&dialect::Postgres { stored }, plan, accepts)
}

/// Writes `plan` as one statement for a SQLite database, whose tables are stored as `stored` tells, over a connection that
/// has the functions of `dialect/sqlite/functions.rs`.
///
/// As for [`write_for_postgres`], the text that can be proven is that of [`write`]; what SQLite evaluates otherwise is
/// refused: see `allow/sqlite.rs`.
///
/// # Errors
/// As [`write`], and what SQLite would evaluate in another way.
pub fn write_for_sqlite(plan: &LogicalPlan, accepts: &Accepts, stored: &StoredTables) -> Result<Statement, Refusal> {
    write_in(&dialect::Sqlite { stored }, plan, accepts)
}

/// Writes `plan` as one statement for a server that others run, behind which there is `engine`, and whose tables are stored as
/// `stored` tells.
///
/// As [`write_for_postgres`]: what is refused stands in `allow/other_datafusion.rs` and `allow/any_sql.rs`. Of the server it is
/// required that it reads `"` around names.
///
/// # Errors
/// As [`write`], and what the engine may evaluate in another way.
pub fn write_for_foreign(
    engine: ForeignEngine,
    plan: &LogicalPlan,
    accepts: &Accepts,
    stored: &StoredTables,
) -> Result<Statement, Refusal> {
    write_in(&dialect::Foreign { engine, stored }, plan, accepts)
}

/// Writes `plan` as one statement for a MySQL or MariaDB server, whose tables are stored as `stored` tells.
///
/// As [`write_for_postgres`]; the list is `allow/mysql.rs`. Of the server it is required that the session is in UTC, has the
/// `sql_mode` ANSI_QUOTES, NO_BACKSLASH_ESCAPES, PIPES_AS_CONCAT and NO_UNSIGNED_SUBTRACTION, and `collation` for its literals:
/// one of utf8mb4 under which text is equal and ordered by its bytes; and that text columns told [`Stored::Plain`] are of utf8mb4.
///
/// # Errors
/// As [`write`], and what such a server would evaluate in another way; a table or column whose name holds a backslash.
pub fn write_for_mysql(
    plan: &LogicalPlan,
    accepts: &Accepts,
    stored: &StoredTables,
    collation: &'static str,
) -> Result<Statement, Refusal> {
    let statement = write_in(&dialect::Mysql { stored, collation }, plan, accepts)?;
    // No literal has one: it is of a name. The driver, which looks for parameters, would take it to hide the quote after it.
    match statement.text.contains('\\') {
        true => Err(Refusal::new("name", "holds a backslash")),
        false => Ok(statement),
    }
}

fn write_in(dialect: &dyn dialect::Dialect, plan: &LogicalPlan, accepts: &Accepts) -> Result<Statement, Refusal> {
    let (text, steps) = steps::Writer::new(dialect, accepts, plan).statement(plan)?;
    if text.len() > accepts.text_bytes_max {
        return Err(Refusal::new("statement", "is longer than the far side accepts"));
    }
    Ok(Statement { text, schema: Arc::clone(plan.schema().inner()), steps })
}

/// Whether this one node, its operator and its expressions but not its inputs, can be written.
///
/// A cutter asks bottom-up. `None` is not yet a promise: [`write`] also refuses what shows only in context, such as a
/// name that two columns share or the mark of a mark join that outlives the filter above it.
pub fn refuse(plan: &LogicalPlan, accepts: &Accepts) -> Option<Refusal> {
    check_node(plan, accepts).err()
}

fn check_node(plan: &LogicalPlan, accepts: &Accepts) -> Result<(), Refusal> {
    allow::check_operator(plan, accepts)?;
    let any_subquery = [String::new()];
    let types = types::Types::default();
    let printer = print::Printer { dialect: &dialect::DataFusion, accepts, subqueries: &any_subquery, types: &types };
    for expr in plan.expressions() {
        let expr = scope::transform(&expr, &mut |part| match part {
            Expr::ScalarSubquery(subquery) => {
                check_subquery(&subquery, accepts)?;
                Ok(print::token(print::Token::Value, 0, None))
            }
            other => Ok(other),
        })?;
        match &expr {
            Expr::GroupingSet(_) => printer.grouping(&[expr])?,
            expr => printer.expression(expr)?,
        };
    }
    Ok(())
}

fn check_subquery(subquery: &datafusion_expr::Subquery, accepts: &Accepts) -> Result<(), Refusal> {
    if !subquery.outer_ref_columns.is_empty() {
        return Err(Refusal::new("subquery", "is correlated"));
    }
    let mut found = Ok(());
    let walked = subquery.subquery.apply(|node| {
        found = check_node(node, accepts);
        Ok(if found.is_ok() { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    walked.map_err(|error| Refusal::new("subquery", error.strip_backtrace()))?;
    found
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion_common::{JoinType, NullEquality};
    use datafusion_expr::logical_plan::table_scan;
    use datafusion_expr::{LogicalPlanBuilder, col, lit};

    use super::*;

    fn scan(name: &str) -> LogicalPlanBuilder {
        let fields = ["a", "b"].map(|field| Field::new(field, DataType::Int64, true));
        table_scan(Some(name), &Schema::new(fields.to_vec()), None).unwrap()
    }

    fn check(plan: LogicalPlanBuilder, expect: &str) {
        let plan = plan.build().unwrap();
        let statement = write(&plan, &Accepts::default()).unwrap();
        assert_eq!(statement.text, expect);
        assert_eq!(statement.schema.fields().len(), plan.schema().fields().len());
    }

    #[test]
    fn nodes_join_one_select_where_that_is_safe() {
        check(
            scan("s.p.o").filter(col("a").gt(lit(1_i64))).unwrap().project([col("b")]).unwrap(),
            r#"SELECT "t0"."b" AS "c0_0" FROM "s"."p"."o" AS "t0" WHERE ("t0"."a" > 1)"#,
        );
        check(
            scan("x")
                .sort([col("b").sort(false, true)])
                .unwrap()
                .limit(2, Some(3))
                .unwrap()
                .project([col("a")])
                .unwrap(),
            r#"SELECT "t0"."a" AS "c0_0" FROM "x" AS "t0" ORDER BY "t0"."b" DESC NULLS FIRST LIMIT 3 OFFSET 2"#,
        );
        let joined = scan("x").join_on(scan("y").build().unwrap(), JoinType::Left, [col("x.a").eq(col("y.b"))]);
        check(
            joined.unwrap().project([col("y.a")]).unwrap(),
            r#"SELECT "t1"."a" AS "c0_0" FROM "x" AS "t0" LEFT JOIN "y" AS "t1" ON ("t0"."a" = "t1"."b")"#,
        );
    }

    #[test]
    fn what_may_not_be_merged_is_a_step() {
        check(
            scan("x").limit(0, Some(5)).unwrap().filter(col("a").is_null()).unwrap(),
            "WITH \"n0\" AS (SELECT \"t0\".\"a\" AS \"c0_0\", \"t0\".\"b\" AS \"c0_1\" FROM \"x\" AS \"t0\" LIMIT 5)\n\
             SELECT \"c0_0\" AS \"c1_0\", \"c0_1\" AS \"c1_1\" FROM \"n0\" WHERE (\"c0_0\" IS NULL)",
        );
        let computed = scan("x").project([(col("a") + col("b")).alias("s")]).unwrap();
        check(
            computed.filter(col("s").gt(lit(0_i64))).unwrap(),
            "WITH \"n0\" AS (SELECT (\"t0\".\"a\" + \"t0\".\"b\") AS \"c0_0\" FROM \"x\" AS \"t0\")\n\
             SELECT \"c0_0\" AS \"c1_0\" FROM \"n0\" WHERE (\"c0_0\" > 0)",
        );
    }

    #[test]
    fn both_flags_of_a_join_are_said() {
        let keys = || (vec!["x.a"], vec!["y.a"]);
        let right = || scan("y").build().unwrap();
        let null = NullEquality::NullEqualsNull;
        check(
            scan("x").join_detailed(right(), JoinType::LeftSemi, keys(), None, null).unwrap(),
            r#"SELECT "t0"."a" AS "c0_0", "t0"."b" AS "c0_1" FROM "x" AS "t0" LEFT SEMI JOIN "y" AS "t1" ON ("t0"."a" IS NOT DISTINCT FROM "t1"."a")"#,
        );
        let nothing = NullEquality::NullEqualsNothing;
        let anti = scan("x").join_detailed_with_options(right(), JoinType::LeftAnti, keys(), None, nothing, true);
        check(
            anti.unwrap(),
            "WITH \"n0\" AS (SELECT \"t1\".\"a\" AS \"c0_0\" FROM \"y\" AS \"t1\")\n\
             SELECT \"t0\".\"a\" AS \"c1_0\", \"t0\".\"b\" AS \"c1_1\" FROM \"x\" AS \"t0\" \
             WHERE (\"t0\".\"a\" NOT IN (SELECT \"c0_0\" FROM \"n0\"))",
        );
    }

    #[test]
    fn a_node_is_refused_by_name() {
        let plan = scan("x").distinct_on(vec![col("a")], vec![col("b")], None).unwrap().build().unwrap();
        let refusal = refuse(&plan, &Accepts::default()).unwrap();
        assert_eq!(refusal.to_string(), "distinct on: is not accepted by the far side");
        assert_eq!(refuse(&scan("x").build().unwrap(), &Accepts::default()), None);
    }
}
