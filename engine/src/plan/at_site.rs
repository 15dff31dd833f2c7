//! The order of planning at a site, after a statement is bound: one list with barriers and one without, each step with its
//! reason.

use std::sync::Arc;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use crate::error::Result;
use crate::exec::in_order::in_order;
use crate::exec::policy_barrier::PolicyBarrierPlanner;
use crate::exec::release::ReleasePlanner;
use crate::plan::cross_barrier::cross_barrier;
use crate::plan::push_to_sources::push_to_sources;
use crate::plan::source_node::SourcePlanner;
use crate::plan::verify_barriers::{RegisteredBarriers, verify_barriers};
use crate::sabotage::{Control, thrown};
use crate::session::counted::count_expressions;

/// Plans an optimized statement to its end. (DataFusion's logical rules have run; they saw sealed barriers.)
///
/// # Errors
/// As planning fails; `INTERNAL` for a plan that is not proven to keep to the barriers.
pub async fn plan_at_site(
    state: &SessionState,
    optimized: LogicalPlan,
    barriers: &RegisteredBarriers,
) -> Result<Arc<dyn ExecutionPlan>> {
    // 1. Ours: what may go below a barrier goes there, from a positive list.
    let crossed = cross_barrier(state, optimized)?;
    // 2. What is made of rows is counted, once nothing looks at expressions any more.
    let counted = count_expressions(state, crossed)?;
    // 3. Operators, and DataFusion's physical rules; a barrier forwards nothing to them that it must not.
    let planner =
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(PolicyBarrierPlanner), Arc::new(ReleasePlanner)]);
    let physical = planner.create_physical_plan(&counted, state).await?;
    // 4. Given one thread, a statement has its rows in one order, whichever arm of a union is ready first.
    let physical = if state.config().target_partitions() == 1 { in_order(physical)? } else { physical };
    // 5. The proof, whatever the steps before have done.
    if !thrown(Control::Verifier) {
        verify_barriers(&physical, barriers)?;
    }
    Ok(physical)
}

/// Plans an optimized statement to its end where no policy is enforced.
///
/// # Errors
/// As planning fails; a subtree that a source refuses is no failure.
pub async fn plan_without_policy(state: &SessionState, optimized: LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
    // 1. Ours: what sources can evaluate goes there as a whole. With barriers nothing of the asker's does.
    let pushed = push_to_sources(state, optimized).await?;
    // 2. What is made of rows here is counted.
    let counted = count_expressions(state, pushed.plan)?;
    // 3. Operators, and DataFusion's physical rules.
    let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(SourcePlanner)]);
    Ok(planner.create_physical_plan(&counted, state).await?)
}
