//! What the build side of a join is to its probe side: how many rows each row may meet, and what the join repeats of wide rows.
//!
//! Whoever collects what a join makes counts rows, the join itself first: thousands of them, each with a text of megabytes once
//! more, in memory that no pool counts. So a row of the probe side has a load: its own bytes, if they are many, as often as it
//! meets rows, and those of the wide rows that it meets. A step has little load, and so has all that comes before a batch is out.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use arrow::array::{Array, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::SchemaRef;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::{JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::{ExecutionPlan, RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;

use crate::error::{Code, EngineError};
use crate::exec::value_bytes::bytes_of_batch;
use crate::exec::widths::{fixed_width, wide_rows};
use crate::session::process_memory::room_for;

/// Rows are wide that have more than this part of what a function may make of a batch: 256 KiB of 128 MiB. A batch of others, each
/// of them repeated, is no danger.
const WIDE: usize = 512;
/// Rows of a batch, at which a join hands on what it has collected.
const BATCH_ROWS: usize = 8_192;
/// A batch may have so many times what a function may make of one.
const BATCHES: usize = 4;

/// The build side of one join, complete before its probe side is read.
#[derive(Debug)]
pub struct Built {
    meeting: Meeting,
    repeats: Repeats,
    bytes_max: usize,
    rows: AtomicUsize,
    /// Bytes of wide rows: of all, or where one is met after another, of the widest.
    wide_bytes: AtomicUsize,
    /// What was loaded by each partition since the join last handed on a batch of it.
    held: Mutex<HashMap<usize, usize>>,
}

/// Which rows of the build side a row of the probe side meets.
#[derive(Debug)]
enum Meeting {
    /// Each, one after another: a cross join.
    OneByOne,
    /// All at once, some of which a condition then lets pass.
    All,
    /// Those with its keys.
    Keyed(Box<Keyed>),
}

/// What a join repeats of the rows that meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeats {
    /// Nothing: it only asks whether any do.
    Nothing,
    /// What it makes of a step, for as long as that takes.
    ForAStep,
    /// What it makes, until that is a batch.
    ForABatch,
}

impl Built {
    /// Nothing yet of that join, under the limit of what a function may make of a batch.
    pub fn of(join: &dyn ExecutionPlan, bytes_max: usize) -> Self {
        let (meeting, repeats) = if let Some(join) = join.downcast_ref::<HashJoinExec>() {
            let keyed = Box::new(Keyed::of(join));
            (Meeting::Keyed(keyed), Repeats::of(*join.join_type(), join.filter().is_some()))
        } else if let Some(join) = join.downcast_ref::<NestedLoopJoinExec>() {
            (Meeting::All, Repeats::of(*join.join_type(), join.filter().is_some()))
        } else {
            (Meeting::OneByOne, Repeats::ForAStep)
        };
        let (rows, wide_bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { meeting, repeats, bytes_max, rows, wide_bytes, held: Mutex::default() }
    }

    /// Whether the join collects rows before it hands them on.
    pub fn is_collected(&self) -> bool {
        self.repeats == Repeats::ForABatch
    }

    /// How many rows it has, one at least.
    pub(super) fn rows(&self) -> u64 {
        self.rows.load(Ordering::Acquire).max(1) as u64
    }

    /// What the join repeats for each row of a batch of its probe side.
    pub(super) fn loads(&self, batch: &RecordBatch) -> Result<Loads> {
        let mut loads = Loads { bytes_max: self.bytes_max, ..Loads::default() };
        if self.repeats == Repeats::Nothing {
            return Ok(loads);
        }
        let (wide, wide_bytes) = (wide_rows(batch, self.bytes_max / WIDE), self.wide_bytes.load(Ordering::Acquire));
        if wide.is_none() && wide_bytes == 0 {
            return Ok(loads);
        }
        let wide = wide.unwrap_or_else(|| vec![0; batch.num_rows()]);
        let load =
            |bytes: usize, met: Met| bytes.saturating_mul(met.rows.min(BATCH_ROWS)).saturating_add(met.wide_bytes);
        loads.of_rows = match &self.meeting {
            Meeting::Keyed(keyed) => keyed.met(batch)?.into_iter().zip(wide).map(|(met, row)| load(row, met)).collect(),
            Meeting::OneByOne | Meeting::All => {
                let met = Met { rows: self.rows.load(Ordering::Acquire), wide_bytes };
                wide.into_iter().map(|row| load(row, met)).collect()
            }
        };
        Ok(loads)
    }

    /// A step with that load is handed out.
    pub(super) fn hold(&self, partition: usize, load: usize) -> Result<()> {
        if load == 0 {
            return Ok(());
        }
        let mut held = self.held.lock();
        let of_partition = held.entry(partition).or_default();
        let before = if self.is_collected() { *of_partition } else { 0 };
        *of_partition = before.saturating_add(load);
        let most = self.bytes_max.saturating_mul(BATCHES);
        if *of_partition <= most {
            return Ok(());
        }
        let sentence = format!(
            "a join would repeat wide rows until one batch had more than {most} bytes of them; join first and fetch the wide \
             columns after, or ask for less of them (`function_bytes_max`)"
        );
        Err(EngineError::new(Code::Memory, sentence).into())
    }

    /// The join has handed on what it had collected.
    fn handed_on(&self, partition: usize) {
        self.held.lock().remove(&partition);
    }
}

impl Repeats {
    fn of(join: JoinType, has_condition: bool) -> Self {
        match join {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => Self::ForABatch,
            _ if has_condition => Self::ForAStep,
            _ => Self::Nothing,
        }
    }
}

/// What one row of the probe side meets.
#[derive(Debug, Clone, Copy, Default)]
struct Met {
    rows: usize,
    wide_bytes: usize,
}

/// What the rows of a batch load, those that no step has had yet.
#[derive(Debug, Default)]
pub(super) struct Loads {
    /// Of each row of the batch; of none where none has any.
    of_rows: Vec<usize>,
    taken: usize,
    bytes_max: usize,
}

impl Loads {
    /// How many of the next `rows` make a step, one at least, and their load.
    pub(super) fn take(&mut self, rows: usize) -> (usize, usize) {
        if self.of_rows.is_empty() {
            return (rows, 0);
        }
        let (mut taken, mut load) = (0, 0_usize);
        for row in self.of_rows.iter().skip(self.taken).take(rows) {
            let more = load.saturating_add(*row);
            if taken > 0 && more > self.bytes_max {
                break;
            }
            (taken, load) = (taken + 1, more);
        }
        self.taken += taken;
        (taken, load)
    }
}

/// The build side of a join by equality, by its keys.
#[derive(Debug)]
struct Keyed {
    build: Vec<Arc<dyn PhysicalExpr>>,
    probe: Vec<Arc<dyn PhysicalExpr>>,
    nulls: NullEquality,
    /// Whether a row of the probe side can be wide, so that it matters how many it meets.
    counts_rows: bool,
    /// Rows by the hash of their keys; some of other keys are among them.
    rows: OnceLock<Box<[AtomicU32]>>,
    /// Bytes of wide rows by the hash of their keys; there are few.
    wide_bytes: Mutex<HashMap<u64, usize>>,
}

/// In so many places rows are counted by hashes.
const PLACES: usize = 1 << 16;

impl Keyed {
    fn of(join: &HashJoinExec) -> Self {
        let (build, probe) = join.on().iter().map(|(build, probe)| (Arc::clone(build), Arc::clone(probe))).unzip();
        let probed = join.right().schema();
        let counts_rows = probed.fields().iter().any(|field| fixed_width(field.data_type()).is_none());
        let (nulls, rows, wide_bytes) = (join.null_equality(), OnceLock::new(), Mutex::default());
        Self { build, probe, nulls, counts_rows, rows, wide_bytes }
    }

    /// Counts rows of the build side; `wide` are the bytes of each if some are wide.
    fn add(&self, batch: &RecordBatch, wide: Option<&[usize]>) -> Result<()> {
        if !self.counts_rows && wide.is_none() {
            return Ok(());
        }
        let hashes = self.hashes(&self.build, batch)?;
        if self.counts_rows {
            let rows = self.rows.get_or_init(|| (0..PLACES).map(|_| AtomicU32::new(0)).collect());
            for count in hashes.iter().flatten().filter_map(|hash| rows.get(place(*hash))) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        let Some(wide) = wide else { return Ok(()) };
        let mut wide_bytes = self.wide_bytes.lock();
        for (hash, bytes) in hashes.iter().zip(wide) {
            if let Some(hash) = hash
                && *bytes > 0
            {
                let of_key = wide_bytes.entry(*hash).or_default();
                *of_key = of_key.saturating_add(*bytes);
            }
        }
        Ok(())
    }

    /// What each row of a batch of the probe side meets, about.
    fn met(&self, batch: &RecordBatch) -> Result<Vec<Met>> {
        let of = |rows: &AtomicU32| usize::try_from(rows.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let hashes = self.hashes(&self.probe, batch)?;
        let (counts, wide_bytes) = (self.rows.get(), self.wide_bytes.lock());
        // So many of other keys are in each place.
        let strangers = counts.map_or(0, |counts| counts.iter().map(of).sum::<usize>()) / PLACES;
        let met = |hash: u64| {
            let rows = counts.and_then(|counts| counts.get(place(hash))).map_or(0, of);
            Met { rows: rows.saturating_sub(strangers), wide_bytes: wide_bytes.get(&hash).copied().unwrap_or_default() }
        };
        Ok(hashes.into_iter().map(|hash| hash.map(&met).unwrap_or_default()).collect())
    }

    /// The hash of the keys of each row, if they can be equal to any.
    fn hashes(&self, keys: &[Arc<dyn PhysicalExpr>], batch: &RecordBatch) -> Result<Vec<Option<u64>>> {
        let keys = keys.iter().map(|key| key.evaluate(batch)?.into_array(batch.num_rows()));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let mut hashes = vec![0_u64; batch.num_rows()];
        create_hashes(&keys, &RandomState::with_seed(0), &mut hashes)?;
        let nulls = match self.nulls {
            NullEquality::NullEqualsNull => None,
            NullEquality::NullEqualsNothing => keys.iter().fold(None, |nulls: Option<NullBuffer>, key| {
                NullBuffer::union(nulls.as_ref(), key.logical_nulls().as_ref())
            }),
        };
        let meets = |row: usize| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        Ok(hashes.into_iter().enumerate().map(|(row, hash)| meets(row).then_some(hash)).collect())
    }
}

fn place(hash: u64) -> usize {
    usize::try_from(hash % PLACES as u64).unwrap_or_default()
}

/// Counts the build side.
pub(super) struct Building {
    input: SendableRecordBatchStream,
    built: Arc<Built>,
    rows: usize,
    bytes: usize,
    wide_bytes: usize,
}

impl Building {
    pub(super) fn new(input: SendableRecordBatchStream, built: Arc<Built>) -> Self {
        Self { input, built, rows: 0, bytes: 0, wide_bytes: 0 }
    }

    /// A side may be read more than once, by each partition that probes: what counts is one reading of it.
    fn see(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows();
        self.bytes = self.bytes.saturating_add(bytes_of_batch(batch));
        self.built.rows.fetch_max(self.rows, Ordering::AcqRel);
        if self.built.repeats == Repeats::Nothing {
            return Ok(());
        }
        let wide = wide_rows(batch, self.built.bytes_max / WIDE);
        let bytes = wide.iter().flatten().copied();
        self.wide_bytes = match &self.built.meeting {
            Meeting::OneByOne => bytes.fold(self.wide_bytes, usize::max),
            Meeting::All | Meeting::Keyed(_) => bytes.fold(self.wide_bytes, usize::saturating_add),
        };
        self.built.wide_bytes.fetch_max(self.wide_bytes, Ordering::AcqRel);
        match &self.built.meeting {
            Meeting::Keyed(keyed) => keyed.add(batch, wide.as_deref()),
            Meeting::OneByOne | Meeting::All => Ok(()),
        }
    }
}

impl Stream for Building {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.input.poll_next_unpin(cx));
        match &next {
            Some(Ok(batch)) => self.see(batch)?,
            Some(Err(_)) => {}
            // The join makes one batch of the side now. One without an equality reads it again, a part at a time, where that fails.
            None if !matches!(self.built.meeting, Meeting::All) => drop(room_for(self.bytes)?),
            None => {}
        }
        Poll::Ready(next)
    }
}

impl RecordBatchStream for Building {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}

/// Sees what a join hands on.
pub(super) struct HandingOn {
    pub(super) input: SendableRecordBatchStream,
    pub(super) built: Arc<Built>,
    pub(super) partition: usize,
}

impl Stream for HandingOn {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(self.input.poll_next_unpin(cx));
        self.built.handed_on(self.partition);
        Poll::Ready(next)
    }
}

impl RecordBatchStream for HandingOn {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use datafusion::config::ConfigOptions;
    use datafusion::datasource::memory::MemorySourceConfig;
    use datafusion::execution::TaskContext;
    use datafusion::execution::context::SessionConfig;
    use datafusion::physical_expr::expressions::col;
    use datafusion::physical_optimizer::PhysicalOptimizerRule;
    use datafusion::physical_plan::collect;
    use datafusion::physical_plan::joins::{CrossJoinExec, PartitionMode};

    use super::*;
    use crate::config::limits::Limits;
    use crate::exec::give_way::GiveWay;

    type Plan = Arc<dyn ExecutionPlan>;

    /// Rows of a key and a text of so many bytes.
    fn rows(rows: impl IntoIterator<Item = (Option<i64>, usize)>) -> Plan {
        let (keys, texts): (Vec<_>, Vec<_>) = rows.into_iter().map(|(key, bytes)| (key, "x".repeat(bytes))).unzip();
        let (keys, texts): (ArrayRef, ArrayRef) =
            (Arc::new(Int64Array::from(keys)), Arc::new(StringArray::from(texts)));
        let batch = RecordBatch::try_from_iter([("k", keys), ("t", texts)]).unwrap();
        let schema = batch.schema();
        MemorySourceConfig::try_new_exec(&[vec![batch]], schema, None).unwrap()
    }

    fn bounded(join: impl ExecutionPlan) -> Plan {
        let limits = Limits { function_bytes_max: 1 << 20, ..Limits::default() };
        GiveWay::new(&limits).optimize(Arc::new(join), &ConfigOptions::new()).unwrap()
    }

    fn hash_join(build: Plan, probe: Plan, join_type: JoinType) -> Plan {
        let on = vec![(col("k", &build.schema()).unwrap(), col("k", &probe.schema()).unwrap())];
        let (mode, nulls) = (PartitionMode::CollectLeft, NullEquality::NullEqualsNothing);
        bounded(HashJoinExec::try_new(build, probe, on, None, &join_type, None, mode, nulls, false).unwrap())
    }

    /// How many rows there are, with so many to a batch.
    async fn answer(join: Plan, batch_rows: usize) -> Result<usize, Code> {
        let config = SessionConfig::new().with_batch_size(batch_rows);
        let context = Arc::new(TaskContext::default().with_session_config(config));
        let batches = collect(join, context).await.map_err(|error| EngineError::of_running(error).code())?;
        Ok(batches.iter().map(RecordBatch::num_rows).sum())
    }

    #[tokio::test]
    async fn a_cross_join_repeats_a_wide_row_a_step_at_a_time() {
        for (bytes, expected) in [(900_000, vec![1; 10]), (400_000, vec![2; 5]), (1_000, vec![10])] {
            let probe = rows((0..10).map(|key| (Some(key), 1)));
            let join = bounded(CrossJoinExec::new(rows([(None, bytes), (None, 1)]), probe));
            let sides: Vec<Plan> = join.children()[0].children().into_iter().map(Arc::clone).collect();
            let context = Arc::new(TaskContext::default());
            assert_eq!(collect(Arc::clone(&sides[0]), Arc::clone(&context)).await.unwrap().len(), 1);
            let steps = collect(Arc::clone(&sides[1]), context).await.unwrap();
            assert_eq!(steps.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), expected, "{bytes}");
            assert_eq!(answer(join, 8_192).await, Ok(20));
        }
    }

    #[tokio::test]
    async fn wide_rows_of_the_build_side_are_repeated_while_a_batch_has_room() {
        let build = || rows([(Some(1), 100_000), (Some(2), 1), (None, 100_000)]);
        let many = || rows((0..1_000).map(|_| (Some(1), 1)));
        assert_eq!(answer(hash_join(build(), many(), JoinType::Inner), 8_192).await, Err(Code::Memory));
        assert_eq!(answer(hash_join(build(), many(), JoinType::Right), 8_192).await, Err(Code::Memory));
        // Small batches are handed on, and begin anew.
        assert_eq!(answer(hash_join(build(), many(), JoinType::Inner), 2).await, Ok(1_000));
        // Nothing is repeated where keys differ, or where it is only asked whether any is the same.
        let few = rows((0..1_000).map(|key| (Some(key), 1)));
        assert_eq!(answer(hash_join(build(), few, JoinType::Inner), 8_192).await, Ok(2));
        let none = rows((0..1_000).map(|_| (None, 1)));
        assert_eq!(answer(hash_join(build(), none, JoinType::Right), 8_192).await, Ok(1_000));
        assert_eq!(answer(hash_join(build(), many(), JoinType::RightSemi), 8_192).await, Ok(1_000));
        assert_eq!(answer(hash_join(build(), many(), JoinType::LeftSemi), 8_192).await, Ok(1));
    }

    #[tokio::test]
    async fn a_wide_row_of_the_probe_side_meets_few() {
        let probe = || rows([(Some(1), 100_000)]);
        let alike = || rows((0..1_000).map(|_| (Some(1), 1)));
        let differing = || rows((0..1_000).map(|key| (Some(key), 1)));
        assert_eq!(answer(hash_join(alike(), probe(), JoinType::Inner), 8_192).await, Err(Code::Memory));
        assert_eq!(answer(hash_join(differing(), probe(), JoinType::Inner), 8_192).await, Ok(1));
        assert_eq!(answer(hash_join(alike(), probe(), JoinType::RightSemi), 8_192).await, Ok(1));
        let nested = |build: Plan| NestedLoopJoinExec::try_new(build, probe(), None, &JoinType::Inner, None).unwrap();
        assert_eq!(answer(bounded(nested(differing())), 8_192).await, Err(Code::Memory));
        assert_eq!(answer(bounded(nested(rows([(None, 1); 10]))), 8_192).await, Ok(10));
        let cross = bounded(CrossJoinExec::new(differing(), probe()));
        assert_eq!(answer(cross, 8_192).await, Err(Code::Memory));
    }
}
