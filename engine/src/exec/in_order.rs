//! Partitions one after another. Where a statement is given one thread, the arms of a union are partitions still, and whichever
//! is ready first would come first: how long an arm takes tells of rows that its barrier hides.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::limit::LimitStream;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, SendableRecordBatchStream,
};
use futures::{TryStreamExt, stream};

use crate::error::EngineError;

/// Reads each partition of a plan to its end before it begins the next.
#[derive(Debug)]
pub struct InOrderExec {
    input: Arc<dyn ExecutionPlan>,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl InOrderExec {
    fn new(input: Arc<dyn ExecutionPlan>, fetch: Option<usize>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, fetch, properties: Arc::new(properties) }
    }
}

/// The plan with one partition, and every place where partitions come together in their order.
///
/// # Errors
/// When the plan cannot be walked: a defect.
pub fn in_order(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let ordered = plan.transform_up(|node| {
        Ok(match node.downcast_ref::<CoalescePartitionsExec>() {
            Some(together) => {
                let input = Arc::clone(together.input());
                Transformed::yes(Arc::new(InOrderExec::new(input, together.fetch())) as Arc<dyn ExecutionPlan>)
            }
            None => Transformed::no(node),
        })
    });
    let ordered = ordered.data()?;
    Ok(match ordered.output_partitioning().partition_count() {
        1 => ordered,
        _ => Arc::new(InOrderExec::new(ordered, None)),
    })
}

impl DisplayAs for InOrderExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fetch {
            Some(fetch) => write!(f, "InOrderExec: fetch={fetch}"),
            None => f.write_str("InOrderExec"),
        }
    }
}

impl ExecutionPlan for InOrderExec {
    fn name(&self) -> &'static str {
        "InOrderExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) if children.is_empty() => Ok(Arc::new(Self::new(input, self.fetch))),
            _ => Err(EngineError::defect("partitions in order have one input").into()),
        }
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(EngineError::defect("partitions in order are one").into());
        }
        let input = Arc::clone(&self.input);
        let partitions = 0..input.output_partitioning().partition_count();
        let batches = stream::iter(partitions.map(Ok))
            .and_then(move |partition| std::future::ready(input.execute(partition, Arc::clone(&context))))
            .try_flatten();
        let batches: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches));
        Ok(match self.fetch {
            None => batches,
            Some(fetch) => {
                let metrics = BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
                Box::pin(LimitStream::new(batches, 0, Some(fetch), metrics))
            }
        })
    }
}
