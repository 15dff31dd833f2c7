//! The inputs of an operator that may work on one batch for long, so that it works in steps. Of a join, what builds is counted,
//! and what probes comes in as many rows as one step may meet of them: a join by pairs never yields within a batch of its
//! probe side, nor does a hash join whose filter lets nothing pass. What computes costly expressions gets as many rows as it
//! computes in a short time, and what it makes of a batch is counted as if it had come whole. Between two steps all of them yield.

use std::collections::HashMap;
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
use parking_lot::Mutex;

use crate::error::{Code, EngineError};
use crate::exec::value_bytes::bytes_of;

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
    fn rows_at_least(&self) -> usize {
        match self {
            Steps::ByPairs(_) | Steps::ByTime => 16,
            Steps::Expressions(_) => 1,
        }
    }

    /// A new batch is cut into steps.
    fn begin_batch(&self, partition: usize) {
        if let Steps::Expressions(batches) = self {
            *batches.0.lock().entry(partition).or_default() += 1;
        }
    }

    /// The number of the batch that a partition is at.
    fn batch(&self, partition: usize) -> u64 {
        match self {
            Steps::Expressions(batches) => batches.0.lock().get(&partition).copied().unwrap_or_default(),
            Steps::ByPairs(_) | Steps::ByTime => 0,
        }
    }
}

/// At which batch each partition is, by their numbers.
#[derive(Debug, Default)]
pub struct Batches(Mutex<HashMap<usize, u64>>);

/// What a projection makes of one batch in steps: no more than a function may make of it at once, since whoever collects the
/// steps again counts rows.
#[derive(Debug)]
pub struct Made {
    bytes_max: usize,
    /// The columns that are computed.
    columns: Vec<usize>,
    /// Of the batch with that number, by partitions.
    of_batch: Mutex<HashMap<usize, (u64, usize)>>,
}

impl Made {
    /// Nothing yet, in these columns.
    pub fn new(bytes_max: usize, columns: Vec<usize>) -> Self {
        Self { bytes_max, columns, of_batch: Mutex::default() }
    }

    fn add(&self, partition: usize, batch: u64, step: &RecordBatch) -> Result<()> {
        let computed = self.columns.iter().filter_map(|column| step.columns().get(*column));
        let bytes: usize = computed.map(|column| bytes_of(column.as_ref())).sum();
        let mut of_batch = self.of_batch.lock();
        let (of, made) = of_batch.entry(partition).or_default();
        if *of != batch {
            (*of, *made) = (batch, 0);
        }
        *made = made.saturating_add(bytes);
        if *made <= self.bytes_max {
            return Ok(());
        }
        let sentence = format!(
            "functions would make more than {} bytes of one batch of rows (`function_bytes_max`); ask for less at once",
            self.bytes_max
        );
        Err(EngineError::new(Code::Memory, sentence).into())
    }
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
#[derive(Debug, Clone)]
pub enum Side {
    /// Of a join: read to its end first, and kept.
    Build,
    /// Of a join: met with what was built, batch by batch.
    Probe,
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
            Side::Build => Box::pin(Built { input, steps, rows: 0 }),
            Side::Probe | Side::Computed => Box::pin(Probing::new(input, steps, partition)),
            Side::Made(made) => Box::pin(Making { input, steps, made: Arc::clone(made), partition }),
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

/// Counts what is made in steps.
struct Making {
    input: SendableRecordBatchStream,
    steps: Arc<Steps>,
    made: Arc<Made>,
    partition: usize,
}

impl Stream for Making {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.input.poll_next_unpin(cx));
        if let Some(Ok(step)) = &next {
            self.made.add(self.partition, self.steps.batch(self.partition), step)?;
        }
        Poll::Ready(next)
    }
}

impl RecordBatchStream for Making {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}

/// Hands out an input a step at a time.
struct Probing {
    input: SendableRecordBatchStream,
    steps: Arc<Steps>,
    partition: usize,
    /// What a step left of a batch.
    rest: Option<RecordBatch>,
    /// Pairs since it last yielded.
    unyielded: u64,
    timed: Timed,
    /// When the first step since it last yielded was handed out.
    turn: Option<Instant>,
}

/// How many rows the next step has, by the time that those before took.
struct Timed {
    rows: usize,
    handed_out: Option<Instant>,
    /// Rows and time of the step before.
    before: Option<(usize, Duration)>,
}

impl Timed {
    /// A step has been handed out.
    fn begin(&mut self, rows: usize) {
        self.rows = rows;
        self.handed_out = Some(Instant::now());
    }

    /// The step is over, if there was one: when it was handed out. The next one has half or twice as many rows if it took
    /// long or did not. Where a smaller one took no less, what takes long is not the rows, and more of them cost little.
    fn end(&mut self, at_least: usize) -> Option<Instant> {
        let handed_out = self.handed_out.take()?;
        let (rows, took) = (self.rows, handed_out.elapsed());
        let is_fixed = self.before.is_some_and(|(more, longer)| rows * 2 <= more && took * 4 > longer * 3);
        self.before = Some((rows, took));
        self.rows = match () {
            () if is_fixed => (rows * 4).min(ROWS_OF_A_FIXED_PRICE),
            () if took > STEP_LONG => (rows / 2).max(at_least),
            () if took < STEP_SHORT => (rows * 2).min(ROWS_AT_MOST),
            () => rows,
        };
        Some(handed_out)
    }
}

/// By time, steps begin this small.
const ROWS_AT_FIRST: usize = 16;
/// Rows of a step whose time is not that of its rows.
const ROWS_OF_A_FIXED_PRICE: usize = 8_192;
/// A step that took longer is followed by a smaller one; after so long, of one step or of many, others have their turn.
const STEP_LONG: Duration = Duration::from_millis(50);
/// A step that took less is followed by a larger one.
const STEP_SHORT: Duration = Duration::from_millis(10);
/// No batch is larger.
const ROWS_AT_MOST: usize = 1 << 20;

impl Probing {
    fn new(input: SendableRecordBatchStream, steps: Arc<Steps>, partition: usize) -> Self {
        Self {
            input,
            steps,
            partition,
            rest: None,
            unyielded: 0,
            timed: Timed { rows: ROWS_AT_FIRST, handed_out: None, before: None },
            turn: None,
        }
    }

    /// Whether others have their turn now: the steps since they had it were many, or long.
    fn gives_way(&mut self) -> bool {
        match self.steps.as_ref() {
            Steps::ByPairs(pairs) if self.unyielded >= pairs.step_max => {
                self.unyielded = 0;
                true
            }
            Steps::ByPairs(_) => false,
            Steps::ByTime | Steps::Expressions(_) => {
                let Some(handed_out) = self.timed.end(self.steps.rows_at_least()) else { return false };
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
            Steps::ByTime | Steps::Expressions(_) => self.timed.rows,
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
            Steps::ByTime | Steps::Expressions(_) => self.timed.begin(step.num_rows()),
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
                Some(Ok(batch)) => {
                    self.steps.begin_batch(self.partition);
                    batch
                }
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
