//! What a coordinator must never do (D0), for the tests that show that it would be seen: with the control switched off, what one
//! site answers to a subquery stands as a literal in the statement for another.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Subquery, lit};
use datafusion::physical_plan::collect;

use crate::error::Result;
use crate::plan::pipeline;

/// The plan with the value of each scalar subquery that stands alone in the subquery's place.
///
/// # Errors
/// Those of the subqueries.
pub(super) async fn fold_subqueries(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut values = Vec::new();
    for subquery in subqueries(&plan)? {
        let planned = pipeline::plan(state, subquery.subquery.as_ref().clone(), None).await?;
        let answer = collect(planned.physical, state.task_ctx()).await?;
        if let Some(batch) = answer.iter().find(|batch| batch.num_rows() > 0) {
            values.push((subquery, ScalarValue::try_from_array(batch.column(0), 0)?));
        }
    }
    let fold = |expr: Expr| match &expr {
        Expr::ScalarSubquery(own) => match values.iter().find(|(subquery, _)| subquery == own) {
            Some((_, value)) => Ok(Transformed::yes(lit(value.clone()))),
            None => Ok(Transformed::no(expr)),
        },
        _ => Ok(Transformed::no(expr)),
    };
    Ok(plan.transform_up(|node| node.map_expressions(|expr| expr.transform_up(fold)))?.data)
}

fn subqueries(plan: &LogicalPlan) -> Result<Vec<Subquery>> {
    let mut found = Vec::new();
    plan.apply(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::ScalarSubquery(subquery) = expr
                    && subquery.outer_ref_columns.is_empty()
                {
                    found.push(subquery.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(found)
}
