//! Conditions on texts with a NUL byte, of which the server has none: they are said there without it.
//!
//! Decided at the site, they would be decided over all rows. As a row filter of policy that reads what is hidden, and fails
//! if a hidden row has a value without an exact form.

use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::expr::InList;
use datafusion_expr::{BinaryExpr, Expr, LogicalPlan, Operator};

/// The same plan, in which no text is compared with one that the server does not store.
pub(super) fn without_nul(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let said = plan.clone().transform_down_with_subqueries(|node| {
        node.map_expressions(|expr| expr.transform_up(|part| Ok(said_without(part))))
    })?;
    Ok(said.data)
}

fn said_without(part: Expr) -> Transformed<Expr> {
    match part {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::Eq | Operator::NotEq), right })
            if has_nul(&left) != has_nul(&right) =>
        {
            let text = if has_nul(&left) { right } else { left };
            Transformed::yes(always(*text, op == Operator::NotEq))
        }
        Expr::InList(InList { expr, list, negated }) if list.iter().any(has_nul) => {
            let stored: Vec<Expr> = list.into_iter().filter(|listed| !has_nul(listed)).collect();
            Transformed::yes(match stored.is_empty() {
                true => always(*expr, negated),
                false => Expr::InList(InList { expr, list: stored, negated }),
            })
        }
        other => Transformed::no(other),
    }
}

/// True of every text, or of none; unknown for NULL.
fn always(text: Expr, truth: bool) -> Expr {
    if truth { text.clone().eq(text) } else { text.clone().not_eq(text) }
}

fn has_nul(part: &Expr) -> bool {
    matches!(part, Expr::Literal(ScalarValue::Utf8(Some(text)), _) if text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use datafusion_expr::{LogicalPlanBuilder, col, lit};

    use super::*;

    fn said(condition: Expr) -> String {
        let row = LogicalPlanBuilder::values(vec![vec![lit("a")]]).unwrap();
        let plan = row.filter(condition).unwrap().build().unwrap();
        without_nul(&plan).unwrap().to_string().lines().next().unwrap().to_string()
    }

    #[test]
    fn no_text_equals_one_that_is_not_stored() {
        let text = || col("column1");
        assert_eq!(said(text().eq(lit("a\0"))), "Filter: column1 != column1");
        assert_eq!(said(lit("a\0").not_eq(text())), "Filter: column1 = column1");
        assert_eq!(said(text().in_list(vec![lit("\0")], true)), "Filter: column1 = column1");
        assert_eq!(said(text().in_list(vec![lit("a"), lit("\0")], false)), "Filter: column1 IN ([Utf8(\"a\")])");
        assert_eq!(said(text().eq(lit("a"))), "Filter: column1 = Utf8(\"a\")");
        // An order is another matter: it stays as it is, and is refused by the dialect.
        assert!(said(text().lt(lit("a\0"))).contains('<'));
    }
}
