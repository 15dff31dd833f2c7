//! What every engine that reads SQL evaluates as DataFusion does, whichever it is: three-valued logic over tests for NULL and over
//! comparisons of whole numbers with literals. Text has collations and blanks at its end, decimals and floats are rounded, and dates
//! are no dates in some.

use std::collections::BTreeSet;

use datafusion_expr::expr::{BinaryExpr, InList};
use datafusion_expr::{Between, Expr, Operator};

use super::Accepts;
use super::classes::{Class, class, refusal};
use crate::statement::refusal::Refusal;
use crate::statement::types::Types;

impl Accepts {
    /// What a server takes of whose engine nothing is known: scans with conditions and limits.
    pub fn any_sql() -> Self {
        Self {
            operators: BTreeSet::from(["scan".to_owned()]),
            scalar_functions: BTreeSet::new(),
            aggregate_functions: BTreeSet::new(),
            window_functions: BTreeSet::new(),
            ..Self::default()
        }
    }
}

/// Whether `expr`, whose parts are asked for each, means the same everywhere.
pub(in crate::statement) fn admit(expr: &Expr, types: &Types) -> Result<(), Refusal> {
    let is_number = |expr: &Expr| class(expr, types) == Some(Class::Whole);
    let is_condition = |expr: &Expr| !matches!(expr, Expr::Column(_) | Expr::Literal(..));
    let are_compared = |column: &Expr, literals: &[&Expr]| {
        let is_literal = |expr: &&Expr| matches!(expr, Expr::Literal(value, _) if !value.is_null()) && is_number(expr);
        matches!(column, Expr::Column(_)) && is_number(column) && literals.iter().all(is_literal)
    };
    let admitted = match expr {
        Expr::Alias(_) | Expr::Column(_) | Expr::Literal(..) => true,
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => matches!(inner.as_ref(), Expr::Column(_)),
        Expr::Not(inner) => is_condition(inner),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And | Operator::Or, right }) => {
            is_condition(left) && is_condition(right)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            are_compared(left, &[right]) || are_compared(right, &[left])
        }
        Expr::Between(Between { expr, low, high, .. }) => are_compared(expr, &[low, high]),
        Expr::InList(InList { expr, list, .. }) => {
            are_compared(expr, &list.iter().collect::<Vec<_>>()) && !list.is_empty()
        }
        _ => false,
    };
    if admitted { Ok(()) } else { Err(refusal(expr, types)) }
}

fn is_comparison(operator: Operator) -> bool {
    matches!(operator, Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq)
}
