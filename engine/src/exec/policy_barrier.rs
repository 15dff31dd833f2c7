//! The barrier's physical half: a node that passes batches up and nothing down.
//!
//! Over a table with hidden rows it forwards no filter (a join's dynamic filter included), no limit, no statistics, no
//! ordering and no error text. Where every row is there for the subject, nothing hidden means nothing to leak: filters over
//! clear columns and limits go down, and statistics of clear columns come up as estimates, so that no answer is made of
//! them.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, Statistics};
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::filter_pushdown::{ChildFilterDescription, FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, SendableRecordBatchStream,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::TryStreamExt;
use policy::barrier::{Governed, PolicyBarrier};
use policy::resource::TableName;

use crate::error::{Code, EngineError};
use crate::exec::fixed_batches::fixed_batches;

/// Keeps a treated table apart from what reads it.
#[derive(Debug)]
pub struct PolicyBarrierExec {
    governed: Arc<Governed>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl PolicyBarrierExec {
    /// The barrier over a treated scan. Of the scan's properties only the number of partitions is told.
    pub fn new(governed: Arc<Governed>, input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { governed, input, properties: Arc::new(properties) }
    }

    /// What it stands for.
    pub fn governed(&self) -> &Arc<Governed> {
        &self.governed
    }

    fn clear_columns(&self) -> HashSet<usize> {
        let schema = self.schema();
        let fields = schema.fields().iter().enumerate();
        fields.filter(|(_, field)| self.governed.is_clear(field.name())).map(|(position, _)| position).collect()
    }
}

impl DisplayAs for PolicyBarrierExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyBarrierExec: table={}", self.governed.table)
    }
}

impl ExecutionPlan for PolicyBarrierExec {
    fn name(&self) -> &'static str {
        "PolicyBarrierExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// The tree below stays walkable: the verifier reads it.
    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) if children.is_empty() => Ok(Arc::new(Self::new(Arc::clone(&self.governed), input))),
            _ => Err(EngineError::defect("a barrier has one input").into()),
        }
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = context.session_config().batch_size();
        let batches = self.input.execute(partition, context)?;
        if self.governed.shows_all_rows() {
            return Ok(fixed_batches(batches, rows));
        }
        let table = self.governed.table.clone();
        let batches = batches.map_err(move |error| without_its_words(&table, error));
        // No batch is without rows: an expression without columns would be computed for it, and might fail.
        Ok(fixed_batches(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)), rows))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![if self.governed.shows_all_rows() { ChildStats::At(partition) } else { ChildStats::Skip }]
    }

    fn statistics_from_inputs(&self, inputs: &[Arc<Statistics>], _args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let mut told = Statistics::new_unknown(&self.schema());
        if let [below] = inputs
            && self.governed.shows_all_rows()
        {
            let clear = self.clear_columns();
            told.num_rows = below.num_rows.to_inexact();
            // Which side of a join is kept in memory hangs on their bytes. What a value of a type takes is known to all; texts,
            // whose bytes would tell of hidden ones, have none here.
            told.calculate_total_byte_size(&self.schema());
            told.column_statistics = (below.column_statistics.iter().enumerate())
                .map(|(position, column)| match clear.contains(&position) {
                    true => column.clone().to_inexact(),
                    false => ColumnStatistics::new_unknown(),
                })
                .collect();
        }
        Ok(Arc::new(told))
    }

    fn supports_limit_pushdown(&self) -> bool {
        self.governed.shows_all_rows()
    }

    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        if !self.governed.shows_all_rows() {
            return Ok(FilterDescription::all_unsupported(&parent_filters, &self.children()));
        }
        let clear = self.clear_columns();
        let child = ChildFilterDescription::from_child_with_allowed_indices(&parent_filters, clear, &self.input)?;
        Ok(FilterDescription::new().with_child(child))
    }
}

/// A failure below the barrier, for whoever is above: that some value could not be read tells of a row that may be hidden.
fn without_its_words(table: &TableName, error: DataFusionError) -> DataFusionError {
    let error = EngineError::of_running(error);
    match error.code() {
        Code::Memory | Code::Deadline | Code::Cancelled | Code::Busy | Code::Stale | Code::SiteUnavailable => {
            error.into()
        }
        _ => EngineError::new(
            Code::SiteUnavailable,
            format!("the table `{table}` cannot be read; its owner's log says why"),
        )
        .caused_by(error)
        .into(),
    }
}

/// Plans a [`PolicyBarrier`] to a [`PolicyBarrierExec`].
#[derive(Debug)]
pub struct PolicyBarrierPlanner;

#[async_trait]
impl ExtensionPlanner for PolicyBarrierPlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _planning_ctx: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(barrier) = node.as_any().downcast_ref::<PolicyBarrier>() else {
            return Ok(None);
        };
        match physical_inputs {
            [input] => Ok(Some(Arc::new(PolicyBarrierExec::new(Arc::clone(barrier.governed()), Arc::clone(input))))),
            _ => Err(EngineError::defect("a sealed barrier reached the physical planner").into()),
        }
    }
}
