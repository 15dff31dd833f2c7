//! An input that is handed out a step at a time: as many rows as the operator may meet of them, or computes in a short time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_plan::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};

use crate::exec::built::{Built, Loads};
use crate::exec::steps::Steps;

/// Hands out an input a step at a time.
pub(super) struct Stepping {
    input: SendableRecordBatchStream,
    steps: Arc<Steps>,
    /// Of a join: what the input meets.
    built: Option<Arc<Built>>,
    partition: usize,
    /// What a step left of a batch.
    rest: Option<(RecordBatch, Loads)>,
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

impl Stepping {
    pub(super) fn new(
        input: SendableRecordBatchStream,
        steps: Arc<Steps>,
        built: Option<Arc<Built>>,
        partition: usize,
    ) -> Self {
        Self {
            input,
            steps,
            built,
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

    /// What each row of the input meets.
    fn met(&self) -> u64 {
        self.built.as_ref().map_or(1, |built| built.rows())
    }

    /// A batch before its first step.
    fn begin(&self, batch: RecordBatch) -> Result<(RecordBatch, Loads)> {
        self.steps.begin_batch(self.partition);
        let loads = match &self.built {
            Some(built) => built.loads(&batch)?,
            None => Loads::default(),
        };
        Ok((batch, loads))
    }

    /// The next step of a batch.
    fn step(&mut self, batch: RecordBatch, mut loads: Loads) -> Result<RecordBatch> {
        let rows = match self.steps.as_ref() {
            Steps::ByPairs(pairs) => usize::try_from(pairs.step_max / self.met()).unwrap_or(usize::MAX).max(1),
            Steps::ByTime | Steps::Expressions(_) => self.timed.rows,
        };
        let (rows, load) = loads.take(rows.min(batch.num_rows()));
        if let Some(built) = &self.built {
            built.hold(self.partition, load)?;
        }
        let step = if batch.num_rows() > rows {
            self.rest = Some((batch.slice(rows, batch.num_rows() - rows), loads));
            batch.slice(0, rows)
        } else {
            batch
        };
        match self.steps.as_ref() {
            Steps::ByPairs(pairs) => {
                let met = self.met().saturating_mul(rows as u64);
                pairs.take(met)?;
                self.unyielded += met;
            }
            Steps::ByTime | Steps::Expressions(_) => self.timed.begin(rows),
        }
        Ok(step)
    }
}

impl Stream for Stepping {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.gives_way() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let (batch, loads) = match self.rest.take() {
            Some(rest) => rest,
            None => match ready!(self.input.poll_next_unpin(cx)) {
                Some(Ok(batch)) => self.begin(batch)?,
                end => return Poll::Ready(end),
            },
        };
        Poll::Ready(Some(self.step(batch, loads)))
    }
}

impl RecordBatchStream for Stepping {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
