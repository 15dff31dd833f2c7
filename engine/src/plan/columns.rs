//! Columns as operators pass them on.

use datafusion::common::Column;
use datafusion::logical_expr::Expr;

/// The column that an expression is, through renaming alone.
pub fn plain_column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => plain_column(&alias.expr),
        _ => None,
    }
}
