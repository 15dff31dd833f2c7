//! The release of groups, physically: groups that may be told pass, without the columns that say whether they may.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{and, filter_record_batch};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, SendableRecordBatchStream,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::{StreamExt, future};
use policy::aggregate::Release;

use crate::error::EngineError;

/// Lets groups through that may be told. Like a barrier it forwards nothing downwards and tells nothing of what is below.
#[derive(Debug)]
pub struct ReleaseExec {
    columns: usize,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl ReleaseExec {
    /// The groups of `input`: its first `columns` columns, where all others are TRUE.
    ///
    /// # Errors
    /// When `input` has fewer columns.
    pub fn new(columns: usize, input: Arc<dyn ExecutionPlan>) -> Result<Self> {
        let told = input.schema().project(&(0..columns).collect::<Vec<_>>())?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(told)),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Ok(Self { columns, input, properties: Arc::new(properties) })
    }
}

impl DisplayAs for ReleaseExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReleaseExec")
    }
}

impl ExecutionPlan for ReleaseExec {
    fn name(&self) -> &'static str {
        "ReleaseExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) if children.is_empty() => Ok(Arc::new(Self::new(self.columns, input)?)),
            _ => Err(EngineError::defect("a release has one input").into()),
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
        let groups = self.input.execute(partition, context)?;
        let (columns, schema) = (self.columns, self.schema());
        let told = groups.map(move |batch| released(&batch?, columns, &schema));
        // Suppressed groups and no groups look alike.
        let told = told.filter(|batch| future::ready(!matches!(batch, Ok(batch) if batch.num_rows() == 0)));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), told)))
    }
}

fn released(batch: &RecordBatch, columns: usize, told: &SchemaRef) -> Result<RecordBatch> {
    let mut conditions = batch.columns().iter().skip(columns);
    let Some(first) = conditions.next() else {
        return Err(EngineError::defect("a release without a condition").into());
    };
    let mut may_be_told = as_boolean_array(first)?.clone();
    for condition in conditions {
        may_be_told = and(&may_be_told, as_boolean_array(condition)?)?;
    }
    // A condition that is NULL suppresses the group.
    let groups = filter_record_batch(batch, &may_be_told)?;
    let arrays = groups.columns().iter().take(columns).map(Arc::clone).collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(groups.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(told), arrays, &options)?)
}

/// Plans a [`Release`] to a [`ReleaseExec`].
#[derive(Debug)]
pub struct ReleasePlanner;

#[async_trait]
impl ExtensionPlanner for ReleasePlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _planning_ctx: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(release) = node.as_any().downcast_ref::<Release>() else {
            return Ok(None);
        };
        match physical_inputs {
            [input] => Ok(Some(Arc::new(ReleaseExec::new(release.columns(), Arc::clone(input))?))),
            _ => Err(EngineError::defect("a sealed release reached the physical planner").into()),
        }
    }
}
