//! Rows that are read before others are asked for: a fragment of which the keys go to other sites.
//!
//! Whoever comes first, the join that reads the rows or a remote scan that waits for their keys, has them read; the rows
//! are held until the join takes them. With more rows than may be held the keys are given up and the rest streams, once:
//! whoever asks again has the input run again.

use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::common::Statistics;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_expr::{Distribution, EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, SendableRecordBatchStream,
};
use futures::future::{BoxFuture, Shared};
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

use crate::error::EngineError;
use crate::key_set::KeySet;

/// What everybody waits for who wants the rows.
type Reading = Shared<BoxFuture<'static, Result<Arc<Held>, Arc<DataFusionError>>>>;

/// The rows that one execution of a plan holds, shared by who reads them and who waits for their keys.
#[derive(Default)]
pub struct KeySource {
    input: OnceLock<Arc<dyn ExecutionPlan>>,
    reading: Mutex<Option<Reading>>,
}

/// What was read. The last batch of what is not whole is held too, though the memory was not there for it.
struct Held {
    batches: Vec<RecordBatch>,
    /// What was not: there were too many.
    rest: Mutex<Option<SendableRecordBatchStream>>,
    /// Whether these are all the rows.
    whole: bool,
    memory: MemoryReservation,
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySource").finish_non_exhaustive()
    }
}

/// How much of a source is held.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of rows.
    pub bytes_max: usize,
    /// Keys of one set.
    pub keys_max: usize,
}

impl KeySource {
    /// The keys in `column` of all the rows; `None` when there are too many of either.
    ///
    /// # Errors
    /// Those of reading the rows.
    pub async fn keys(
        &self,
        column: usize,
        bounds: Bounds,
        context: &Arc<TaskContext>,
    ) -> DataFusionResult<Option<ArrayRef>> {
        let held = self.held(bounds, context)?.await.map_err(|error| DataFusionError::from(&error))?;
        if !held.whole {
            return Ok(None);
        }
        match held.batches.as_slice() {
            [] => Ok(self.schema().map(|schema| arrow::array::new_empty_array(schema.field(column).data_type()))),
            batches => Ok(KeySet::of(batches, column, bounds.keys_max)?),
        }
    }

    fn schema(&self) -> Option<arrow::datatypes::SchemaRef> {
        self.input.get().map(|input| input.schema())
    }

    fn held(&self, bounds: Bounds, context: &Arc<TaskContext>) -> DataFusionResult<Reading> {
        let mut reading = self.reading.lock();
        if let Some(reading) = reading.as_ref() {
            return Ok(reading.clone());
        }
        let input = self.input.get().ok_or_else(|| EngineError::defect("a key source was never planned"))?;
        let batches = input.execute(0, Arc::clone(context))?;
        let memory = MemoryConsumer::new("KeySource").register(context.memory_pool());
        let begun = read(batches, memory, bounds.bytes_max).map(|held| held.map(Arc::new).map_err(Arc::new));
        Ok(reading.insert(begun.boxed().shared()).clone())
    }
}

async fn read(
    mut batches: SendableRecordBatchStream,
    memory: MemoryReservation,
    bytes_max: usize,
) -> DataFusionResult<Held> {
    let mut held = Held { batches: Vec::new(), rest: Mutex::default(), whole: true, memory };
    while let Some(batch) = batches.try_next().await? {
        let fits = held.memory.try_grow(batch.get_array_memory_size()).is_ok() && held.memory.size() <= bytes_max;
        held.batches.push(batch);
        if !fits {
            held.whole = false;
            held.rest = Mutex::new(Some(batches));
            break;
        }
    }
    Ok(held)
}

/// Gives every key source below `plan` the input that the physical rules have left it with.
///
/// # Errors
/// Those of walking the plan.
pub fn connect_key_sources(plan: &Arc<dyn ExecutionPlan>) -> DataFusionResult<()> {
    plan.apply(|node| {
        if let Some(source) = node.downcast_ref::<KeySourceExec>() {
            // Planned once, connected once.
            let _ = source.source.input.set(Arc::clone(&source.input));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Passes on the rows of a [`KeySource`].
#[derive(Debug)]
pub struct KeySourceExec {
    source: Arc<KeySource>,
    input: Arc<dyn ExecutionPlan>,
    bounds: Bounds,
    properties: Arc<PlanProperties>,
}

impl KeySourceExec {
    /// Over `input`, whose rows `source` holds.
    pub fn new(source: Arc<KeySource>, input: Arc<dyn ExecutionPlan>, bounds: Bounds) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { source, input, bounds, properties: Arc::new(properties) }
    }
}

impl DisplayAs for KeySourceExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySourceExec")
    }
}

impl ExecutionPlan for KeySourceExec {
    fn name(&self) -> &'static str {
        "KeySourceExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        match children.pop() {
            Some(input) if children.is_empty() => Ok(Arc::new(Self::new(Arc::clone(&self.source), input, self.bounds))),
            _ => Err(EngineError::defect("a key source has one input").into()),
        }
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn required_input_distribution(&self) -> Vec<Distribution> {
        vec![Distribution::SinglePartition]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DataFusionResult<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(EngineError::defect(format!("a key source has no partition {partition}")).into());
        }
        let (source, input, bounds) = (Arc::clone(&self.source), Arc::clone(&self.input), self.bounds);
        let rows = stream::once(async move {
            let held = source.held(bounds, &context)?.await.map_err(|error| DataFusionError::from(&error))?;
            let batches = stream::iter(held.batches.clone().into_iter().map(Ok));
            let rest = held.rest.lock().take();
            Ok::<_, DataFusionError>(match (held.whole, rest) {
                (true, _) => batches.boxed(),
                (false, Some(rest)) => batches.chain(rest).boxed(),
                // A nested loop join that runs out of memory reads its left side again.
                (false, None) => input.execute(0, context)?.boxed(),
            })
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows.try_flatten())))
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _args: &StatisticsArgs,
    ) -> DataFusionResult<Arc<Statistics>> {
        inputs.first().cloned().ok_or_else(|| EngineError::defect("a key source has one input").into())
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::physical_plan::collect;

    use super::*;

    #[tokio::test]
    async fn rows_are_the_same_each_time_they_are_read() {
        let batch = |first: i64| {
            let numbers = Int64Array::from_iter_values(first..first + 1_000);
            RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef)]).unwrap()
        };
        let batches: Vec<_> = (0..5).map(|number| batch(number * 1_000)).collect();
        for (bytes_max, is_whole) in [(1 << 20, true), (10_000, false)] {
            let schema = batches[0].schema();
            let input: Arc<dyn ExecutionPlan> =
                MemorySourceConfig::try_new_exec(std::slice::from_ref(&batches), schema, None).unwrap();
            let (source, bounds) = (Arc::<KeySource>::default(), Bounds { bytes_max, keys_max: 10_000 });
            let plan: Arc<dyn ExecutionPlan> = Arc::new(KeySourceExec::new(Arc::clone(&source), input, bounds));
            connect_key_sources(&plan).unwrap();
            let context = Arc::new(TaskContext::default());
            assert_eq!(source.keys(0, bounds, &context).await.unwrap().is_some(), is_whole);
            for _ in 0..3 {
                assert_eq!(collect(Arc::clone(&plan), Arc::clone(&context)).await.unwrap(), batches, "{bytes_max}");
            }
        }
    }
}
