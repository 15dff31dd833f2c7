//! What SQLite refuses for its size alone, found before it is asked: "Limits In SQLite", as it is built by default.

use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_expr::utils::split_conjunction;
use datafusion_expr::{Expr, LogicalPlan};

use crate::statement::Refusal;

/// SQLite joins 64 tables at most.
const TABLES_MAX: usize = 60;
/// It unites 500 SELECTs at most.
const BRANCHES_MAX: usize = 400;
/// An expression is 1,000 levels deep at most; a condition is said twice, and each conjunct is a level.
const CONJUNCTS_MAX: usize = 400;
const DEPTH_MAX: usize = 300;

/// Refuses a plan that would be too large as a statement.
pub(super) fn check(plan: &LogicalPlan) -> Result<(), Refusal> {
    let (mut tables, mut branches, mut conjuncts, mut depth) = (0, 0, 0, 0);
    let mut count = |expr: &Expr| {
        conjuncts += split_conjunction(expr).len();
        depth = depth.max(depth_of(expr));
    };
    let walked = plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::TableScan(_) | LogicalPlan::Values(_) => tables += 1,
            LogicalPlan::Union(union) => branches += union.inputs.len(),
            _ => {}
        }
        node.expressions().iter().for_each(&mut count);
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(|error| Refusal::new("statement", error.strip_backtrace()))?;
    let is_too_large = tables > TABLES_MAX || branches > BRANCHES_MAX || conjuncts > CONJUNCTS_MAX || depth > DEPTH_MAX;
    if is_too_large { Err(Refusal::new("statement", "is larger than SQLite takes")) } else { Ok(()) }
}

fn depth_of(expr: &Expr) -> usize {
    let mut deepest = 0;
    // The closure cannot fail.
    let _ = expr.apply_children(|part| {
        deepest = deepest.max(depth_of(part));
        Ok(TreeNodeRecursion::Continue)
    });
    deepest + 1
}
