//! The inputs of an operator that may work on one batch for long, so that it works in steps. Of a join, what builds is counted,
//! and what probes comes in as many rows as one step may meet of them: a join by pairs never yields within a batch of its
//! probe side, nor does a hash join whose filter lets nothing pass. What computes costly expressions gets as many rows as it
//! computes in a short time, and what it makes of a batch is counted as if it had come whole. Between two steps all of them yield.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};
use parking_lot::Mutex;

use crate::error::EngineError;
use crate::exec::built::{Building, Built, HandingOn};
use crate::exec::made::{Made, Making};
use crate::exec::pairs::Pairs;
use crate::exec::stepping::Stepping;

/// How the steps of one operator are cut.
#[derive(Debug)]
pub enum Steps {
    /// Of a join that looks at every pair: by their number.
    ByPairs(Pairs),
    /// Of a join that looks at few: by the time that the step before took.
    ByTime,
    /// Of costly expressions: by time too.
    Expressions(Batches),
}

impl Steps {
    /// The rows of the smallest step by time. Whoever reads a join may be slow too; an expression may take long for one row.
    pub(super) fn rows_at_least(&self) -> usize {
        match self {
            Steps::ByPairs(_) | Steps::ByTime => 16,
            Steps::Expressions(_) => 1,
        }
    }

    /// A new batch is cut into steps.
    pub(super) fn begin_batch(&self, partition: usize) {
        if let Steps::Expressions(batches) = self {
            *batches.0.lock().entry(partition).or_default() += 1;
        }
    }

    /// The number of the batch that a partition is at.
    pub(super) fn batch(&self, partition: usize) -> u64 {
        match self {
            Steps::Expressions(batches) => batches.0.lock().get(&partition).copied().unwrap_or_default(),
            Steps::ByPairs(_) | Steps::ByTime => 0,
        }
    }
}

/// At which batch each partition is, by their numbers.
#[derive(Debug, Default)]
pub struct Batches(Mutex<HashMap<usize, u64>>);

/// Which input it is.
#[derive(Debug, Clone)]
pub enum Side {
    /// Of a join: read to its end first, and kept.
    Build(Arc<Built>),
    /// Of a join: met with what was built, batch by batch.
    Probe(Arc<Built>),
    /// No input: what a join makes of its steps, and collects.
    Joined(Arc<Built>),
    /// The one input of what computes costly expressions.
    Computed,
    /// No input: what a projection makes in steps.
    Made(Arc<Made>),
}

/// One input of an operator that works in steps.
#[derive(Debug)]
pub struct StepsExec {
    input: Arc<dyn ExecutionPlan>,
    side: Side,
    steps: Arc<Steps>,
    properties: Arc<PlanProperties>,
}

impl StepsExec {
    /// That input of an operator with these steps.
    pub fn new(input: Arc<dyn ExecutionPlan>, side: Side, steps: Arc<Steps>) -> Self {
        let properties = Arc::clone(input.properties());
        Self { input, side, steps, properties }
    }

    /// The steps in which a projection made it, if one did.
    pub fn made_in(&self) -> Option<&Arc<Steps>> {
        matches!(self.side, Side::Made(_)).then_some(&self.steps)
    }
}

impl DisplayAs for StepsExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StepsExec")
    }
}

impl ExecutionPlan for StepsExec {
    fn name(&self) -> &'static str {
        "StepsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) if children.is_empty() => {
                Ok(Arc::new(Self::new(input, self.side.clone(), Arc::clone(&self.steps))))
            }
            _ => Err(EngineError::defect("an input of an operator in steps is one").into()),
        }
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let unknown = || Arc::new(Statistics::new_unknown(&self.schema()));
        Ok(inputs.first().map_or_else(unknown, Arc::clone))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let steps = Arc::clone(&self.steps);
        Ok(match &self.side {
            Side::Build(built) => Box::pin(Building::new(input, Arc::clone(built))),
            Side::Probe(built) => Box::pin(Stepping::new(input, steps, Some(Arc::clone(built)), partition)),
            Side::Joined(built) => Box::pin(HandingOn { input, built: Arc::clone(built), partition }),
            Side::Computed => Box::pin(Stepping::new(input, steps, None, partition)),
            Side::Made(made) => Box::pin(Making { input, steps, made: Arc::clone(made), partition }),
        })
    }
}
