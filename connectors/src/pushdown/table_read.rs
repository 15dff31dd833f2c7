//! A table of a source that evaluates, read on its own: an operator that says which filters and limit the source was given.

use std::fmt;
use std::sync::Arc;

use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{Result, Statistics};
use datafusion_execution::TaskContext;
use datafusion_expr::Expr;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_plan::metrics::MetricsSet;
use datafusion_physical_plan::statistics::StatisticsArgs;
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SendableRecordBatchStream,
};

/// Reads one table by the source's own scan, and is a leaf for whoever walks the plan: what a verifier must know of the
/// scan stands here. A scan that evaluates more than one table's filters and limit is not one of these.
#[derive(Debug)]
pub struct TableReadExec {
    scan: Arc<dyn ExecutionPlan>,
    filters: Vec<Expr>,
    limit: Option<usize>,
}

impl TableReadExec {
    /// `scan`, which was asked for the rows that meet `filters`, and for no more of them than `limit`.
    pub fn new(scan: Arc<dyn ExecutionPlan>, filters: Vec<Expr>, limit: Option<usize>) -> Self {
        Self { scan, filters, limit }
    }

    /// The conditions that the source applies, over columns of the table.
    pub fn filters(&self) -> &[Expr] {
        &self.filters
    }

    /// How many rows are asked for at most.
    pub fn limit(&self) -> Option<usize> {
        self.limit
    }
}

impl DisplayAs for TableReadExec {
    /// With what is done here to the rows of the source's scan, if anything is.
    fn fmt_as(&self, format: DisplayFormatType, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = &self.scan;
        shown.fmt_as(format, out)?;
        while let [below] = shown.children().as_slice() {
            shown = below;
            out.write_str(" over ")?;
            shown.fmt_as(format, out)?;
        }
        Ok(())
    }
}

impl ExecutionPlan for TableReadExec {
    fn name(&self) -> &'static str {
        "TableReadExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.scan.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(self: Arc<Self>, _children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.scan.execute(partition, context)
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.scan.metrics()
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        statistics(&self.scan, args)
    }
}

/// What a plan tells of its rows, whoever walks from its root to its leaves.
fn statistics(plan: &Arc<dyn ExecutionPlan>, args: &StatisticsArgs) -> Result<Arc<Statistics>> {
    let inputs = plan.children().into_iter().map(|input| statistics(input, args)).collect::<Result<Vec<_>>>()?;
    plan.statistics_from_inputs(&inputs, args)
}
