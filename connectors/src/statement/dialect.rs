//! The tokens of one SQL dialect. Steps are built without a dialect; the printer asks here for every token.

mod datafusion;
mod foreign;
mod mysql;
mod postgres;
pub(crate) mod sqlite;

use arrow::datatypes::DataType;
use datafusion_common::{Column, JoinType, ScalarValue, TableReference};
use datafusion_expr::expr::{AggregateFunction, BinaryExpr, ScalarFunction, Sort};
use datafusion_expr::{Expr, Operator};

pub(super) use self::datafusion::DataFusion;
pub(super) use self::foreign::Foreign;
pub use self::foreign::ForeignEngine;
pub(super) use self::mysql::Mysql;
pub(super) use self::postgres::Postgres;
pub(super) use self::sqlite::Sqlite;

use super::refusal::Refusal;
use super::types::{Stored, Types};

/// How one dialect spells what every statement is made of.
///
/// A dialect never decides the shape of a statement. What it cannot say with the same meaning it refuses.
pub(super) trait Dialect {
    /// `name` as an identifier that is never folded.
    fn identifier(&self, name: &str) -> String;

    /// `value` as a text literal.
    fn text(&self, value: &str) -> String;

    /// `value` as a binary literal.
    fn bytes(&self, value: &[u8]) -> String;

    /// `value` as a literal, its type included.
    ///
    /// # Errors
    /// A value that the far side would not read as the same.
    fn literal(&self, value: &ScalarValue) -> Result<String, Refusal>;

    /// `printed` cast to exactly `to`; a value that cannot be cast is an error.
    ///
    /// # Errors
    /// A type that the dialect cannot name.
    fn cast(&self, printed: &str, to: &DataType) -> Result<String, Refusal>;

    /// `printed` cast to exactly `to`; a value that cannot be cast is null.
    ///
    /// # Errors
    /// A type that the dialect cannot name.
    fn try_cast(&self, printed: &str, to: &DataType) -> Result<String, Refusal>;

    /// The token of a binary operator.
    ///
    /// # Errors
    /// An operator that the dialect does not have.
    fn operator(&self, operator: Operator) -> Result<&'static str, Refusal>;

    /// A function's name, so that no special syntax of the parser fires.
    fn function(&self, name: &str) -> String;

    /// The words that join two FROM items.
    ///
    /// # Errors
    /// A join that is not a FROM item in this dialect.
    fn join(&self, kind: JoinType) -> Result<&'static str, Refusal>;

    /// The words that join two FROM items under no condition.
    fn cross_join(&self) -> &'static str;

    /// Rows of literals as a FROM item; names are printed.
    fn values(&self, rows: &[String], alias: &str, columns: &[String]) -> String;

    /// What cuts rows off at the end of a SELECT, with a space before it; nothing if none are.
    fn limit(&self, skip: usize, fetch: Option<usize>) -> String;

    /// The function that says LIKE of a text and a pattern, if the dialect has no such operator.
    fn like_function(&self) -> Option<&'static str>;

    /// Whether a join that only tests for a row is said as EXISTS, in the WHERE clause.
    fn says_existence(&self, kind: JoinType) -> bool;

    /// How the far side stores a column of a table.
    fn stored(&self, table: &TableReference, column: &str) -> Stored;

    /// The condition, in the far side's own words, for the rows of a table that are meant; `None` for all.
    fn part(&self, table: &TableReference) -> Option<&str>;

    /// Whether the far side gives `expr`, whose parts are asked for each, the same meaning.
    ///
    /// # Errors
    /// A kind of expression, or the types it stands over, that is not known to mean the same.
    fn admit(&self, expr: &Expr, types: &Types) -> Result<(), Refusal>;

    /// Whether `expr` is equal and ordered alike on both sides: as a key of groups, of an order, of DISTINCT.
    ///
    /// # Errors
    /// A type whose values are told apart or ordered in another way.
    fn admit_key(&self, expr: &Expr, types: &Types) -> Result<(), Refusal>;

    /// Whether the far side runs a join of this kind under these conditions.
    ///
    /// # Errors
    /// A join that it refuses.
    fn admit_join(&self, kind: JoinType, on: &[Expr], types: &Types) -> Result<(), Refusal>;

    /// A column, already printed by its name.
    fn column(&self, printed: String, column: &Column, place: Place, types: &Types) -> String;

    /// `printed`, which says `expr`, where the order of its values counts.
    fn ordered(&self, printed: String, expr: &Expr, types: &Types) -> String;

    /// An item of ORDER BY around an already printed key.
    fn ordering(&self, key: &str, sort: &Sort) -> String;

    /// `printed`, which says `expr`, as a condition that rows have to meet. What holds wherever it does may stand beside it.
    ///
    /// # Errors
    /// Literals that the dialect cannot say.
    fn condition(&self, printed: String, expr: &Expr, types: &Types) -> Result<String, Refusal>;

    /// `printed`, which says `expr`, so that it has exactly the type of `expr`.
    ///
    /// # Errors
    /// A type that the dialect cannot name.
    fn computed(&self, printed: String, expr: &Expr, types: &Types) -> Result<String, Refusal>;

    /// `printed`, which says `expr`, as a column of a step or of the result.
    ///
    /// # Errors
    /// A type that the dialect cannot name.
    fn output(&self, printed: String, expr: &Expr, types: &Types) -> Result<String, Refusal>;

    /// A call of a scalar function over printed arguments.
    ///
    /// # Errors
    /// Arguments that the dialect cannot say.
    fn scalar_call(&self, function: &ScalarFunction, args: Vec<String>) -> Result<String, Refusal>;

    /// A call of an aggregate.
    ///
    /// # Errors
    /// Arguments that the dialect cannot say.
    fn aggregate_call(
        &self,
        call: &AggregateCall,
        function: &AggregateFunction,
        types: &Types,
    ) -> Result<String, Refusal>;
}

/// Where a column stands in an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Anywhere.
    Anywhere,
    /// As a column of a step or of the result, where nothing depends on its values.
    Passed,
    /// In a test whether it equals one of some literals, which an index may answer.
    EqualsLiterals,
}

/// The printed parts of an aggregate.
#[derive(Debug)]
pub(super) struct AggregateCall {
    pub(super) name: String,
    /// `DISTINCT `, or nothing.
    pub(super) distinct: &'static str,
    pub(super) args: String,
    /// ` ORDER BY …` within the parentheses, or nothing.
    pub(super) order: String,
    /// ` FILTER (WHERE …)`, or nothing.
    pub(super) filter: String,
}

impl AggregateCall {
    /// The call of `function` with these parts.
    pub(super) fn print(&self, function: &str) -> String {
        let Self { distinct, args, order, filter, .. } = self;
        format!("{function}({distinct}{args}{order}){filter}")
    }
}

/// Whether a condition equates columns of different FROM items.
fn is_key_of_two(condition: &Expr) -> bool {
    let items = |expr: &Expr| -> Vec<String> {
        let of_step = |name: &str| name.split('_').next().unwrap_or_default().to_owned();
        let item = |column: &Column| {
            column.relation.as_ref().map_or_else(|| of_step(&column.name), |relation| relation.to_string())
        };
        expr.column_refs().into_iter().map(item).collect()
    };
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = condition else { return false };
    let (left, right) = (items(left), items(right));
    !left.is_empty() && !right.is_empty() && left.iter().all(|item| !right.contains(item))
}
