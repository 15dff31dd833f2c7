//! What SQL says and DataFusion does not take: a column that is named twice, LIKE with an escape sign of its own, times of day
//! of different widths and lists of different layouts compared, and texts joined of which nothing tells a type. Each is written so
//! that DataFusion takes it.
//!
//! ```text
//! operators  while a statement becomes a plan   `t32 = t64`, `list_view = list`, `? || ?`
//! repeated   where it does not become one       `SELECT a, a`
//! like       before the plan is analyzed        `LIKE 'a!%' ESCAPE '!'`
//! times      likewise                           `t32 IN (t64)`, `t32 BETWEEN t64 AND t64`, `t32 = $1`,
//!                                               `WHERE t32 IS DISTINCT FROM t64`
//! lists      likewise                           the same of `list_view` and `list`
//! ```

mod like;
mod lists;
mod operators;
mod repeated;
mod times;

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::parser::Statement;

/// What reads operators that DataFusion does not know for their operands.
pub fn planner() -> Arc<dyn ExprPlanner> {
    Arc::new(operators::Operators)
}

/// The plan of a statement whose tables the session holds.
///
/// # Errors
/// What DataFusion says of it.
pub async fn plan(state: &SessionState, statement: Statement) -> DataFusionResult<LogicalPlan> {
    match state.statement_to_plan(statement.clone()).await {
        Err(error) if repeated::is_refused(&error) => repeated::plan(state, statement, error).await,
        planned => planned,
    }
}

/// The plan with every expression as DataFusion takes it; its columns keep their names. Values are bound to its parameters
/// before: a pattern is read as it is, and nothing can be read of one that is not known.
///
/// # Errors
/// `TYPE`-like faults of DataFusion for expressions without a type.
pub fn rewrite(plan: LogicalPlan) -> DataFusionResult<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let preserver = NamePreserver::new(&node);
        let schema = merge_schema(&node.inputs());
        node.map_expressions(|expr| {
            let name = preserver.save(&expr);
            let rewritten = expr.transform_up(|expr| rewrite_one(expr, &schema))?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })
    })?;
    rewritten.data.recompute_schema()
}

fn rewrite_one(expr: Expr, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    let of_times = match expr {
        Expr::Like(like) => return Ok(like::with_backslash(like)),
        Expr::BinaryExpr(compared) if times::compares(compared.op) => times::compared(compared, schema)?,
        Expr::Between(between) => times::between(between, schema)?,
        Expr::InList(list) => times::in_list(list, schema)?,
        other => return Ok(Transformed::no(other)),
    };
    of_times.transform_data(|comparison| lists::compared(comparison, schema))
}
