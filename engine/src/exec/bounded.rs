//! Rows that pass as they are, where nobody else counts what is kept of them: windows keep theirs in the memory that queries
//! share, the value of a subquery, which stands in every row, is not much larger than a literal may be, and rows that are repeated
//! come few at a time.
//!
//! ```text
//! before   WindowAggExec(a)
//! after    BoundedExec(WindowAggExec(BoundedExec(a)))
//! before   ScalarSubqueryExec(a, value)
//! after    ScalarSubqueryExec(a, BoundedExec(value))
//! before   UnnestExec(a)
//! after    UnnestExec(BoundedExec(a))
//! before   ProjectionExec('a long literal', a)
//! after    ProjectionExec('a long literal', BoundedExec(a))
//! never    anything else: other operators count what they keep
//! ```

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::Statistics;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::scalar_subquery::ScalarSubqueryExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::scalar_subquery::ScalarSubqueryExec;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, RecordBatchStream, SendableRecordBatchStream,
};
use futures::{Stream, StreamExt};

use crate::config::limits::Limits;
use crate::error::{Code, EngineError};
use crate::exec::repeated::{InSteps, Repeated};
use crate::exec::value_bytes::bytes_of_batch;
use crate::exec::widths::fixed_width;
use crate::exec::windows::{Windows, bounded_windows};
use crate::exec::with_inputs;

/// The value of a subquery may be so many times as long as literals.
const VALUES: usize = 4;

/// Rows of a batch, of which so many do no harm.
const BATCH_ROWS: usize = 8_192;

/// The rule; it changes nothing that another rule could use.
#[derive(Debug)]
pub struct BoundWhatIsKept {
    function_bytes: usize,
    value_bytes: usize,
}

impl BoundWhatIsKept {
    /// The rule under the limits of a node.
    pub fn new(limits: &Limits) -> Self {
        let value_bytes = limits.literal_bytes_max.saturating_mul(VALUES);
        Self { function_bytes: limits.function_bytes_max, value_bytes }
    }
}

impl BoundWhatIsKept {
    /// The operator over few rows at a time, if it repeats them, or values that stand in each.
    fn repeated(&self, node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let repeated = match node.downcast_ref::<UnnestExec>() {
            Some(unnest) => Repeated::by(unnest, self.function_bytes),
            None if node.is::<ProjectionExec>() || node.is::<AggregateExec>() => {
                let rows = self.function_bytes / self.bytes_in_each_row(node.as_ref())?.max(1);
                if rows >= BATCH_ROWS {
                    return Ok(None);
                }
                Repeated::Rows(rows)
            }
            None => return Ok(None),
        };
        let inputs = node.children().into_iter().map(|input| -> Arc<dyn ExecutionPlan> {
            Arc::new(BoundedExec::new(Arc::clone(input), Bound::Repeated(repeated.clone())))
        });
        with_inputs(node, inputs.collect()).map(Some)
    }

    /// What an operator's long literals and subqueries have in each row, at most.
    fn bytes_in_each_row(&self, node: &dyn ExecutionPlan) -> Result<usize> {
        let mut bytes = 0_usize;
        node.apply_expressions(&mut |expr| {
            expr.apply(|part| {
                if let Some(literal) = part.downcast_ref::<Literal>() {
                    bytes = bytes.saturating_add(literal.value().size());
                } else if part.is::<ScalarSubqueryExpr>() {
                    // Its type is its own, whatever the rows are.
                    let value = part.return_field(&Schema::empty())?;
                    let is_long = fixed_width(value.data_type()).is_none();
                    bytes = bytes.saturating_add(if is_long { self.value_bytes } else { 0 });
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(bytes)
    }
}

impl PhysicalOptimizerRule for BoundWhatIsKept {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let bounded = match bounded_values(&node, self.value_bytes)? {
                Some(bounded) => Some(bounded),
                None => bounded_windows(&node, self.function_bytes)?,
            };
            let bounded = match bounded {
                Some(bounded) => Some(bounded),
                None => self.repeated(&node)?,
            };
            Ok(bounded.map_or_else(|| Transformed::no(node), Transformed::yes))
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "bound_what_is_kept"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Which rows pass.
#[derive(Debug, Clone)]
pub(super) enum Bound {
    /// The input of windows.
    Window(Arc<Windows>),
    /// What windows make.
    Windowed(Arc<Windows>),
    /// The value of a subquery, of so many bytes at most.
    Value(usize),
    /// What the operator above repeats.
    Repeated(Repeated),
}

/// Passes rows on, counted.
#[derive(Debug)]
pub struct BoundedExec {
    input: Arc<dyn ExecutionPlan>,
    bound: Bound,
    properties: Arc<PlanProperties>,
}

impl BoundedExec {
    /// These rows.
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, bound: Bound) -> Self {
        let properties = Arc::clone(input.properties());
        Self { input, bound, properties }
    }
}

/// The operator over values of so many bytes at most, if it evaluates subqueries.
///
/// # Errors
/// When the operator does not take its inputs back: a defect.
fn bounded_values(node: &Arc<dyn ExecutionPlan>, bytes_max: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if !node.is::<ScalarSubqueryExec>() {
        return Ok(None);
    }
    let inputs = node.children().into_iter().enumerate().map(|(position, input)| -> Arc<dyn ExecutionPlan> {
        match position {
            // The rows in which the values stand.
            0 => Arc::clone(input),
            _ => Arc::new(BoundedExec::new(Arc::clone(input), Bound::Value(bytes_max))),
        }
    });
    with_inputs(node, inputs.collect()).map(Some)
}

impl DisplayAs for BoundedExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoundedExec")
    }
}

impl ExecutionPlan for BoundedExec {
    fn name(&self) -> &'static str {
        "BoundedExec"
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
            Some(input) if children.is_empty() => Ok(Arc::new(Self::new(input, self.bound.clone()))),
            _ => Err(EngineError::defect("what is bounded has one input").into()),
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
        let rows = || self.input.execute(partition, Arc::clone(&context));
        Ok(match &self.bound {
            Bound::Window(windows) => windows.input(partition, &context, rows()?),
            Bound::Windowed(windows) => windows.output(partition, &context, rows)?,
            Bound::Value(bytes_max) => Box::pin(Value { rows: rows()?, bytes_max: *bytes_max }),
            Bound::Repeated(repeated) => Box::pin(InSteps::new(rows()?, repeated.clone())),
        })
    }
}

/// Refuses a value that is too large.
struct Value {
    rows: SendableRecordBatchStream,
    bytes_max: usize,
}

impl Stream for Value {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.rows.poll_next_unpin(cx));
        // More than one row is refused by whoever reads it.
        if let Some(Ok(row)) = &next
            && row.num_rows() == 1
            && bytes_of_batch(row) > self.bytes_max
        {
            return Poll::Ready(Some(Err(too_large(self.bytes_max).into())));
        }
        Poll::Ready(next)
    }
}

impl RecordBatchStream for Value {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

fn too_large(bytes_max: usize) -> EngineError {
    EngineError::new(
        Code::Memory,
        format!(
            "the value of a subquery has more than {bytes_max} bytes, which would stand in every row (four times \
             `literal_bytes_max`)"
        ),
    )
}

#[cfg(test)]
mod tests {
    use datafusion::execution::SessionStateBuilder;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;
    use crate::config::limits::Limits;
    use crate::exec::physical_rules;

    async fn rows(value_bytes: usize) -> Result<usize, Code> {
        let state = SessionStateBuilder::new()
            .with_config(SessionConfig::new().with_target_partitions(1))
            .with_default_features()
            .with_physical_optimizer_rules(physical_rules(&Limits::default()));
        let ctx = SessionContext::new_with_state(state.build());
        let value = format!("SELECT max(repeat('x', {value_bytes} - value % 2)) FROM generate_series(1, 2)");
        let sql = format!("SELECT value FROM generate_series(1, 3) WHERE value < length(({value}))");
        let rows = ctx.sql(&sql).await.unwrap().collect().await;
        let rows = rows.map_err(|error| EngineError::of_running(error).code())?;
        Ok(rows.iter().map(RecordBatch::num_rows).sum())
    }

    #[tokio::test]
    async fn the_value_of_a_subquery_is_not_much_larger_than_literals() {
        assert_eq!(rows(1_000).await, Ok(3));
        assert_eq!(rows(260_000).await, Ok(3));
        assert_eq!(rows(270_000).await, Err(Code::Memory));
    }
}
