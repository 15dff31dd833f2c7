//! What windows keep of their input, and make of it, in the memory that queries share: DataFusion counts neither. One kind has
//! all of its input before its first row; the other lets rows go as they come out, and gets few enough bytes at once, since it
//! makes all its columns of what it is given.
//!
//! ```text
//! before   WindowAggExec(a)
//! after    BoundedExec(WindowAggExec(BoundedExec(a)))
//! ```

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::compute::partition;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::window::{PlainAggregateWindowExpr, SlidingAggregateWindowExpr, WindowExpr};
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;

use crate::error::{Code, EngineError};
use crate::exec::bounded::{Bound, BoundedExec};
use crate::exec::value_bytes::{bytes_of, bytes_of_batch};
use crate::exec::widths::fixed_width;
use crate::exec::with_inputs;

/// Rows that a function may make a list of each for, of the rows around it: their number squared is what it makes.
const LISTED_ROWS: usize = 10_000;
/// Rows of a frame of which a list is short.
const FEW_ROWS: u64 = 100;
/// Bytes of a result of fixed size, or less.
const RESULT_BYTES: usize = 16;

/// The windows of one operator.
#[derive(Debug)]
pub struct Windows {
    /// How many results have a size of their own in each row.
    of_any_size: usize,
    of_fixed_size: usize,
    /// Those that make a list for each row.
    lists: Vec<Arc<dyn WindowExpr>>,
    keeps: Keeps,
    /// By partition, from when the operator is executed until its input is.
    begun: Mutex<HashMap<usize, Arc<Kept>>>,
}

/// What an operator keeps of its input.
#[derive(Debug)]
enum Keeps {
    /// All of it, to its end.
    All,
    /// What it has made no row of yet. It gets pieces of which it makes so many bytes.
    Pending { bytes_max: usize },
}

/// The operator between what counts for it, if it computes windows.
///
/// # Errors
/// When a window has no type: a defect.
pub fn bounded_windows(node: &Arc<dyn ExecutionPlan>, function_bytes: usize) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let windows = if let Some(node) = node.downcast_ref::<WindowAggExec>() {
        Windows::new(node.window_expr(), Keeps::All)?
    } else if let Some(node) = node.downcast_ref::<BoundedWindowAggExec>() {
        Windows::new(node.window_expr(), Keeps::Pending { bytes_max: function_bytes / 2 })?
    } else {
        return Ok(None);
    };
    let windows = Arc::new(windows);
    let counted = |input: &Arc<dyn ExecutionPlan>| -> Arc<dyn ExecutionPlan> {
        Arc::new(BoundedExec::new(Arc::clone(input), Bound::Window(Arc::clone(&windows))))
    };
    let window = with_inputs(node, node.children().into_iter().map(counted).collect())?;
    Ok(Some(Arc::new(BoundedExec::new(window, Bound::Windowed(windows)))))
}

impl Windows {
    fn new(windows: &[Arc<dyn WindowExpr>], keeps: Keeps) -> Result<Self> {
        let mut of_any_size = 0;
        for window in windows {
            of_any_size += usize::from(fixed_width(window.field()?.data_type()).is_none());
        }
        let lists = windows.iter().filter(|window| listing(window.as_ref()).is_some()).map(Arc::clone).collect();
        let of_fixed_size = windows.len() - of_any_size;
        Ok(Self { of_any_size, of_fixed_size, lists, keeps, begun: Mutex::default() })
    }

    /// What comes out: begun before the operator that reads what goes in.
    pub(super) fn output(
        &self,
        partition: usize,
        context: &TaskContext,
        operator: impl FnOnce() -> Result<SendableRecordBatchStream>,
    ) -> Result<SendableRecordBatchStream> {
        let kept = Arc::new(Kept::new(context));
        self.begun.lock().insert(partition, Arc::clone(&kept));
        let lets_go = matches!(self.keeps, Keeps::Pending { .. });
        Ok(Box::pin(Output { rows: operator()?, kept, lets_go }))
    }

    /// What goes in.
    pub(super) fn input(
        self: &Arc<Self>,
        partition: usize,
        context: &TaskContext,
        rows: SendableRecordBatchStream,
    ) -> SendableRecordBatchStream {
        let begun = self.begun.lock().remove(&partition);
        let kept = begun.unwrap_or_else(|| Arc::new(Kept::new(context)));
        let windows = Arc::clone(self);
        Box::pin(Input { rows, windows, kept, seen: 0, listed: 0, last_keys: None, rest: Vec::new() })
    }

    /// What the operator keeps and makes of some rows. What it keeps it has twice, when it puts it together.
    fn bytes(&self, rows: &RecordBatch) -> usize {
        let values = bytes_of_batch(rows).saturating_mul(2 + self.of_any_size);
        values.saturating_add(rows.num_rows().saturating_mul(RESULT_BYTES * self.of_fixed_size))
    }
}

/// The name of a function that makes a list, or a text, of the rows around each, however many there are.
fn listing(window: &dyn WindowExpr) -> Option<&str> {
    if has_few_rows(window.get_window_frame()) {
        return None;
    }
    let window = window.as_any();
    let aggregate = match window.downcast_ref::<PlainAggregateWindowExpr>() {
        Some(plain) => plain.get_aggregate_expr(),
        None => window.downcast_ref::<SlidingAggregateWindowExpr>()?.get_aggregate_expr(),
    };
    let name = aggregate.fun().name();
    matches!(name, "array_agg" | "string_agg").then_some(name)
}

/// Whether a frame has a fixed number of rows, and few.
fn has_few_rows(frame: &WindowFrame) -> bool {
    let is_near = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::CurrentRow => true,
        WindowFrameBound::Preceding(rows) | WindowFrameBound::Following(rows) => {
            matches!(rows, ScalarValue::UInt64(Some(rows)) if *rows <= FEW_ROWS)
        }
    };
    frame.units == WindowFrameUnits::Rows && is_near(&frame.start_bound) && is_near(&frame.end_bound)
}

/// What one partition keeps.
#[derive(Debug)]
struct Kept {
    memory: MemoryReservation,
    /// Rows and bytes of what was kept, the first first.
    pieces: Mutex<VecDeque<(usize, usize)>>,
}

impl Kept {
    fn new(context: &TaskContext) -> Self {
        let memory = MemoryConsumer::new("window").register(context.memory_pool());
        Self { memory, pieces: Mutex::default() }
    }

    fn add(&self, rows: usize, bytes: usize) -> Result<()> {
        self.memory.try_grow(bytes)?;
        self.pieces.lock().push_back((rows, bytes));
        Ok(())
    }

    /// So many rows are kept no longer.
    fn let_go(&self, mut rows: usize) {
        let mut pieces = self.pieces.lock();
        while let Some((of_piece, bytes)) = pieces.front_mut() {
            if *of_piece > rows {
                *of_piece -= rows;
                return;
            }
            rows -= *of_piece;
            // It was added with as many.
            let _ = self.memory.try_shrink(*bytes);
            pieces.pop_front();
        }
    }
}

/// Counts what goes into windows, in pieces.
struct Input {
    rows: SendableRecordBatchStream,
    windows: Arc<Windows>,
    kept: Arc<Kept>,
    /// Rows so far of the statement's partition that comes.
    seen: usize,
    /// Bytes so far that each list of it may have.
    listed: usize,
    /// The keys of the statement's partition that the last row was of.
    last_keys: Option<Vec<ScalarValue>>,
    /// Of a batch, the last rows first.
    rest: Vec<RecordBatch>,
}

impl Input {
    /// Where lists are made, the rows that they are made of.
    fn list(&mut self, batch: &RecordBatch) -> Result<()> {
        let Some(first) = self.windows.lists.first().map(Arc::clone) else { return Ok(()) };
        let (rows, whole) = self.of_last_partition(first.as_ref(), batch)?;
        if !whole {
            (self.seen, self.listed) = (0, 0);
        }
        let batch = &batch.slice(batch.num_rows() - rows, rows);
        let before = self.seen.saturating_mul(self.listed);
        self.seen += rows;
        if self.seen > LISTED_ROWS {
            return Err(too_many_lists(listing(first.as_ref()).unwrap_or_default()).into());
        }
        for window in &self.windows.lists {
            let arguments = window.evaluate_args(batch)?;
            let bytes: usize = arguments.iter().map(|argument| bytes_of(argument.as_ref())).sum();
            self.listed = self.listed.saturating_add(bytes);
        }
        match self.windows.keeps {
            Keeps::All => self.kept.add(0, self.seen.saturating_mul(self.listed).saturating_sub(before)),
            Keeps::Pending { .. } => Ok(()),
        }
    }

    /// How many rows of a batch, at its end, are of one partition of the statement's, and whether the rows before are of it too. They
    /// come partition by partition; of those that begin and end in one batch none is large.
    fn of_last_partition(&mut self, window: &dyn WindowExpr, batch: &RecordBatch) -> Result<(usize, bool)> {
        let keys = window.partition_by().iter().map(|key| key.evaluate(batch)?.into_array(batch.num_rows()));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        if keys.is_empty() || batch.num_rows() == 0 {
            return Ok((batch.num_rows(), true));
        }
        let ranges = partition(&keys)?.ranges();
        let first: Vec<ScalarValue> =
            keys.iter().map(|key| ScalarValue::try_from_array(key, 0)).collect::<Result<_>>()?;
        let goes_on = ranges.len() == 1 && self.last_keys.as_ref().is_none_or(|last| *last == first);
        let last = keys.iter().map(|key| ScalarValue::try_from_array(key, batch.num_rows() - 1));
        self.last_keys = Some(last.collect::<Result<_>>()?);
        Ok((ranges.last().map_or(0, std::ops::Range::len), goes_on))
    }

    /// The next piece of some rows: all of them, or as many as may go in at once.
    fn piece(&mut self, mut rows: RecordBatch) -> Result<RecordBatch> {
        let most = match self.windows.keeps {
            Keeps::All => usize::MAX,
            Keeps::Pending { bytes_max } => bytes_max,
        };
        let made = |rows: &RecordBatch| {
            let columns = bytes_of_batch(rows).saturating_mul(1 + self.windows.of_any_size);
            columns.saturating_add(rows.num_rows().saturating_mul(self.listed))
        };
        while rows.num_rows() > 1 && made(&rows) > most {
            let half = rows.num_rows() / 2;
            self.rest.push(rows.slice(half, rows.num_rows() - half));
            rows = rows.slice(0, half);
        }
        self.kept.add(rows.num_rows(), self.windows.bytes(&rows))?;
        Ok(rows)
    }
}

fn too_many_lists(function: &str) -> EngineError {
    let made = if function == "array_agg" { "list" } else { "text" };
    let sentence = format!(
        "`{function}` as a window function makes a {made} for each row; it is offered over at most {LISTED_ROWS} rows of \
         a partition"
    );
    EngineError::new(Code::Memory, sentence)
}

impl Stream for Input {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let rows = match self.rest.pop() {
            Some(rows) => rows,
            None => match ready!(self.rows.poll_next_unpin(cx)) {
                Some(Ok(batch)) => {
                    self.list(&batch)?;
                    batch
                }
                end => return Poll::Ready(end),
            },
        };
        Poll::Ready(Some(self.piece(rows)))
    }
}

impl RecordBatchStream for Input {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

/// Holds what is kept: to its own end, or until the rows of it are out.
struct Output {
    rows: SendableRecordBatchStream,
    kept: Arc<Kept>,
    lets_go: bool,
}

impl Stream for Output {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.rows.poll_next_unpin(cx));
        if let Some(Ok(batch)) = &next
            && self.lets_go
        {
            self.kept.let_go(batch.num_rows());
        }
        Poll::Ready(next)
    }
}

impl RecordBatchStream for Output {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    use datafusion::execution::SessionStateBuilder;
    use datafusion::execution::runtime_env::RuntimeEnvBuilder;
    use datafusion::physical_plan::collect;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;
    use crate::config::limits::Limits;
    use crate::exec::physical_rules;

    const MIB: usize = 1 << 20;

    fn with_memory(bytes: usize) -> SessionContext {
        let limits = Limits { function_bytes_max: MIB, ..Limits::default() };
        let runtime = RuntimeEnvBuilder::new().with_memory_limit(bytes, 1.0).build_arc().unwrap();
        let state = SessionStateBuilder::new()
            .with_config(SessionConfig::new().with_target_partitions(1))
            .with_runtime_env(runtime)
            .with_default_features()
            .with_physical_optimizer_rules(physical_rules(&limits));
        SessionContext::new_with_state(state.build())
    }

    async fn value(ctx: &SessionContext, sql: &str) -> Result<String, EngineError> {
        let batches = ctx.sql(sql).await.unwrap().collect().await.map_err(EngineError::of_running)?;
        let batch = batches.iter().find(|batch| batch.num_rows() > 0).expect(sql);
        Ok(ScalarValue::try_from_array(batch.column(0), 0).unwrap().to_string())
    }

    #[tokio::test]
    async fn what_a_window_keeps_is_counted_while_it_is_kept() {
        let sql = "SELECT max(total) FROM (SELECT sum(value) OVER () AS total FROM generate_series(1, 100000))";
        for (memory, fits) in [(MIB, false), (64 * MIB, true)] {
            let ctx = with_memory(memory);
            match value(&ctx, sql).await {
                Ok(total) => assert!(fits && total == "5000050000", "{total}"),
                Err(error) => assert!(!fits && error.code() == Code::Memory, "{error}"),
            }
            assert_eq!(ctx.runtime_env().memory_pool.reserved(), 0);
        }
    }

    #[tokio::test]
    async fn what_lets_rows_go_gets_few_bytes_at_once() {
        let texts = "SELECT repeat('x', 1000 + value % 2) AS t FROM generate_series(1, 30000)";
        let sql = format!("SELECT sum(length(l)) FROM (SELECT lag(t, 1) OVER () AS l FROM ({texts}))");
        // Three times the texts are far more than there is.
        assert_eq!(value(&with_memory(16 * MIB), &sql).await.unwrap(), "30014000");
        let ctx = with_memory(1 << 40);
        let plan = ctx.sql(&sql).await.unwrap().create_physical_plan().await.unwrap();
        let mut input = None;
        plan.apply(|node| {
            if node.is::<BoundedWindowAggExec>() {
                input = node.children().first().map(|input| Arc::clone(input));
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        let pieces = collect(input.unwrap(), ctx.task_ctx()).await.unwrap();
        assert_eq!(pieces.iter().map(RecordBatch::num_rows).sum::<usize>(), 30_000);
        assert!(pieces.iter().all(|piece| bytes_of_batch(piece) <= MIB / 4), "a column more has as many bytes again");
    }

    #[tokio::test]
    async fn lists_of_each_row_are_made_of_few() {
        let ctx = with_memory(1 << 40);
        let lists = |rows: usize| {
            format!(
                "SELECT max(array_length(l)) FROM (SELECT array_agg(value) OVER () AS l FROM generate_series(1, {rows}))"
            )
        };
        assert_eq!(value(&ctx, &lists(100)).await.unwrap(), "100");
        let over = |window: &str| {
            format!(
                "SELECT max(array_length(l)) FROM (SELECT array_agg(value) OVER ({window}) AS l FROM generate_series(1, 30000))"
            )
        };
        assert_eq!(value(&ctx, &over("PARTITION BY value / 10")).await.unwrap(), "10");
        assert_eq!(value(&ctx, &over("ORDER BY value ROWS BETWEEN 2 PRECEDING AND CURRENT ROW")).await.unwrap(), "3");
        assert_eq!(value(&ctx, &over("PARTITION BY value % 2")).await.unwrap_err().code(), Code::Memory);
        let texts = "SELECT string_agg(CAST(value AS VARCHAR), ',') OVER () AS l FROM generate_series(1, 10001)";
        for (function, sql) in [("array_agg", lists(10_001)), ("string_agg", format!("SELECT max(l) FROM ({texts})"))] {
            let error = value(&ctx, &sql).await.unwrap_err();
            assert_eq!(error.code(), Code::Memory);
            assert!(error.sentence().starts_with(&format!("`{function}` as a window function")), "{error}");
        }
    }
}
