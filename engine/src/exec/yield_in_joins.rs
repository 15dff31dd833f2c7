//! Joins that let go: a join may look at very many pairs of one batch of its input, and make very many rows of it, and what
//! reads it does not pause either. Wrapped, it yields to its thread after each step, so that a query that nobody wants any
//! more ends soon; and a join of more pairs than may be is refused.
//!
//! ```text
//! before   AggregateExec(NestedLoopJoinExec(a, b))
//! after    AggregateExec(CooperativeExec(NestedLoopJoinExec(JoinStepsExec(a), JoinStepsExec(b))))
//! never    anything but joins: DataFusion does the same for the leaves of a plan itself
//! ```

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use crate::config::limits::Limits;
use crate::exec::join_steps::{JoinStepsExec, Pairs, Side, Steps, too_many};

/// The rule; the last one, since it changes nothing that another rule could use.
#[derive(Debug)]
pub struct YieldInJoins {
    step_pairs: u64,
    pairs_max: u64,
}

impl YieldInJoins {
    /// The rule under the limits of a node.
    pub fn new(limits: &Limits) -> Self {
        Self { step_pairs: limits.join_step_pairs_max, pairs_max: limits.join_pairs_max }
    }

    /// The steps that a join is cut into; none for what is no join.
    fn steps(&self, node: &dyn ExecutionPlan) -> Option<Steps> {
        if node.is::<CrossJoinExec>() || node.is::<NestedLoopJoinExec>() {
            return Some(Steps::ByPairs(Pairs::new(self.step_pairs, self.pairs_max)));
        }
        node.is::<HashJoinExec>().then_some(Steps::ByTime)
    }

    /// Refuses a join by pairs of which it is known that they are too many. A cross join may be cut short by a limit.
    fn check_estimate(&self, node: &dyn ExecutionPlan) -> Result<()> {
        if !node.is::<NestedLoopJoinExec>() {
            return Ok(());
        }
        let statistics = StatisticsContext::new();
        let mut pairs = 1_u64;
        for side in node.children() {
            let rows = statistics.compute(side.as_ref(), &StatisticsArgs::new())?.num_rows;
            let Some(rows) = rows.get_value() else { return Ok(()) };
            pairs = pairs.saturating_mul(*rows as u64);
        }
        if pairs > self.pairs_max { Err(too_many(self.pairs_max).into()) } else { Ok(()) }
    }

    fn wrap(&self, join: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        self.check_estimate(join.as_ref())?;
        let Some(steps) = self.steps(join.as_ref()) else { return Ok(Arc::new(CooperativeExec::new(join))) };
        let steps = Arc::new(steps);
        let sides = join.children().into_iter().zip([Side::Build, Side::Probe]).map(|(input, side)| {
            match (side, steps.as_ref()) {
                (Side::Build, Steps::ByTime) => Arc::clone(input),
                _ => {
                    Arc::new(JoinStepsExec::new(Arc::clone(input), side, Arc::clone(&steps))) as Arc<dyn ExecutionPlan>
                }
            }
        });
        let sides: Vec<_> = sides.collect();
        let join = join.replace_children(sides, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))?;
        Ok(Arc::new(CooperativeExec::new(join)))
    }
}

impl PhysicalOptimizerRule for YieldInJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(if is_join(node.as_ref()) { Transformed::yes(self.wrap(node)?) } else { Transformed::no(node) })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "yield_in_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn is_join(node: &dyn ExecutionPlan) -> bool {
    node.is::<HashJoinExec>()
        || node.is::<CrossJoinExec>()
        || node.is::<NestedLoopJoinExec>()
        || node.is::<SortMergeJoinExec>()
}
