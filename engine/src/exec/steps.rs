//! The inputs of an operator that may work on one batch for long, so that it works in steps. Of a join, what builds is counted,
//! and what probes comes in as many rows as one step may meet of them: a join by pairs never yields within a batch of its
//! probe side, nor does a hash join whose filter lets nothing pass. What computes costly expressions gets as many rows as it
//! computes in a short time. Between two steps all of them yield.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, RecordBatchStream, SendableRecordBatchStream,
};
use futures::{Stream, StreamExt};

use crate::error::{Code, EngineError};

/// How the steps of one operator are cut.
#[derive(Debug)]
pub enum Steps {
    /// Of a join that looks at every pair: by their number.
    ByPairs(Pairs),
    /// Of another join, and of costly expressions: by the time that the step before took, and no smaller than so many rows.
    ByTime(usize),
}

impl Steps {
    /// By time, of a join: it reads what it builds on for each step, and whoever reads it may be slow too.
    pub const OF_A_JOIN: Steps = Steps::ByTime(16);
    /// By time, of expressions that may take long for a single row.
    pub const OF_EXPRESSIONS: Steps = Steps::ByTime(1);
}

/// The pairs of one join.
#[derive(Debug)]
pub struct Pairs {
    /// Pairs of one step, unless one row of the probe side has more.
    step_max: u64,
    /// Pairs of the whole join.
    all_max: u64,
    /// Rows of the build side, complete before the probe side is read.
    built: AtomicUsize,
    /// Pairs so far.
    seen: AtomicU64,
}

impl Pairs {
    /// Pairs of a join that has seen none.
    pub fn new(step_max: u64, all_max: u64) -> Self {
        Self { step_max, all_max, built: AtomicUsize::new(0), seen: AtomicU64::new(0) }
    }

    fn built(&self) -> u64 {
        self.built.load(Ordering::Acquire).max(1) as u64
    }

    fn take(&self, rows: usize) -> Result<()> {
        let pairs = self.built().saturating_mul(rows as u64);
        let seen = self.seen.fetch_add(pairs, Ordering::Relaxed).saturating_add(pairs);
        if seen > self.all_max { Err(too_many(self.all_max).into()) } else { Ok(()) }
    }
}

/// The refusal of a join with too many pairs.
pub fn too_many(all_max: u64) -> EngineError {
    EngineError::new(
        Code::Cost,
        format!(
            "a join without an equality has to compare more than {all_max} pairs of rows; write the equality, or filter both \
             sides first (`join_pairs_max`)"
        ),
    )
}

/// Which input it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Of a join: read to its end first, and kept.
    Build,
    /// Of a join: met with what was built, batch by batch. Or the one input of what is no join.
    Probe,
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
            Some(input) if children.is_empty() => Ok(Arc::new(Self::new(input, self.side, Arc::clone(&self.steps)))),
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
        Ok(match self.side {
            Side::Build => Box::pin(Built { input, steps, rows: 0 }),
            Side::Probe => Box::pin(Probing::new(input, steps)),
        })
    }
}

/// Counts the rows of the build side.
struct Built {
    input: SendableRecordBatchStream,
    steps: Arc<Steps>,
    rows: usize,
}

impl Stream for Built {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.input.poll_next_unpin(cx));
        if let Some(Ok(batch)) = &next {
            self.rows += batch.num_rows();
            if let Steps::ByPairs(pairs) = self.steps.as_ref() {
                // A side may be read more than once, by each partition that probes.
                pairs.built.fetch_max(self.rows, Ordering::AcqRel);
            }
        }
        Poll::Ready(next)
    }
}

impl RecordBatchStream for Built {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}

/// Hands out the probe side a step at a time.
struct Probing {
    input: SendableRecordBatchStream,
    steps: Arc<Steps>,
    /// What a step left of a batch.
    rest: Option<RecordBatch>,
    /// Pairs since it last yielded.
    unyielded: u64,
    /// Rows of the next step, and when the last one was handed out.
    timed: (usize, Option<Instant>),
    /// When the first step since it last yielded was handed out.
    turn: Option<Instant>,
}

/// By time, steps begin this small.
const ROWS_AT_FIRST: usize = 16;
/// A step that took longer is followed by a smaller one; after so long, of one step or of many, others have their turn.
const STEP_LONG: Duration = Duration::from_millis(50);
/// A step that took less is followed by a larger one.
const STEP_SHORT: Duration = Duration::from_millis(10);
/// No batch is larger.
const ROWS_AT_MOST: usize = 1 << 20;

impl Probing {
    fn new(input: SendableRecordBatchStream, steps: Arc<Steps>) -> Self {
        Self { input, steps, rest: None, unyielded: 0, timed: (ROWS_AT_FIRST, None), turn: None }
    }

    /// Whether others have their turn now: the steps since they had it were many, or long.
    fn gives_way(&mut self) -> bool {
        match self.steps.as_ref() {
            Steps::ByPairs(pairs) if self.unyielded >= pairs.step_max => {
                self.unyielded = 0;
                true
            }
            Steps::ByPairs(_) => false,
            Steps::ByTime(at_least) => {
                let (rows, Some(handed_out)) = self.timed else { return false };
                let took = handed_out.elapsed();
                let next = match () {
                    () if took > STEP_LONG => (rows / 2).max(*at_least),
                    () if took < STEP_SHORT => (rows * 2).min(ROWS_AT_MOST),
                    () => rows,
                };
                self.timed = (next, None);
                let is_over = self.turn.get_or_insert(handed_out).elapsed() > STEP_LONG;
                if is_over {
                    self.turn = None;
                }
                is_over
            }
        }
    }

    /// The next step of a batch.
    fn step(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let rows = match self.steps.as_ref() {
            Steps::ByPairs(pairs) => usize::try_from(pairs.step_max / pairs.built()).unwrap_or(usize::MAX).max(1),
            Steps::ByTime(_) => self.timed.0,
        };
        let step = if batch.num_rows() > rows {
            self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
            batch.slice(0, rows)
        } else {
            batch
        };
        match self.steps.as_ref() {
            Steps::ByPairs(pairs) => {
                pairs.take(step.num_rows())?;
                self.unyielded += pairs.built().saturating_mul(step.num_rows() as u64);
            }
            Steps::ByTime(_) => self.timed.1 = Some(Instant::now()),
        }
        Ok(step)
    }
}

impl Stream for Probing {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.gives_way() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let batch = match self.rest.take() {
            Some(batch) => batch,
            None => match ready!(self.input.poll_next_unpin(cx)) {
                Some(Ok(batch)) => batch,
                end => return Poll::Ready(end),
            },
        };
        Poll::Ready(Some(self.step(batch)))
    }
}

impl RecordBatchStream for Probing {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
