//! The way out: a result's batches re-cut, built anew, encoded, bounded in time, and closed with a trailer for peers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow_flight::FlightData;
use arrow_flight::utils::batches_to_flight_data;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::IpcWriteOptions;
use bytes::Bytes;
use connectors::plain::conform;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::{Stream, StreamExt, stream};
use parking_lot::Mutex;
use prost::Message;
use tokio::time::{Instant, sleep_until};
use tonic::Status;

use crate::config::limits::Limits;
use crate::error::{Code, EngineError, Result};
use crate::exec::value_bytes::bytes_of_batch;
use crate::flight::kept::Kept;
use crate::flight::messages::Messages;
use crate::flight::rebuild::rebuild;
use crate::flight::status::to_status;
use crate::flight::wire_types::Reader;
use crate::peer::trailer::Digest;
use crate::sabotage::{Control, thrown};
use crate::session::queries::RunningQuery;

/// Whether the stream ends with a trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// For clients: the end of the stream is the end of the answer.
    Plain,
    /// For peers: an empty batch whose metadata is the trailer of the statement with this number in its query.
    Trailer(u64),
}

/// How a result leaves.
#[derive(Debug)]
pub struct Egress {
    /// How the stream ends.
    pub ending: Ending,
    /// Who reads it.
    pub reader: Reader,
    /// How bodies are compressed, for those who are known to decode it.
    pub compression: Option<CompressionType>,
    /// The node's limits.
    pub limits: Arc<Limits>,
}

/// Encodes a running query's batches under its declared schema.
///
/// Rows leave in batches of fixed counts, the first one small; while none is ready an empty batch is sent every so
/// often, so that nobody between the two ends thinks the stream dead. Dropping the stream drops the query.
///
/// # Errors
/// When the compression is not built in.
pub fn encode(batches: SendableRecordBatchStream, running: RunningQuery, egress: Egress) -> Result<Kept> {
    let schema = egress.reader.schema(&batches.schema());
    let record = Arc::clone(running.record());
    let digest = Arc::new(Mutex::new(match egress.ending {
        Ending::Plain => Digest::default(),
        Ending::Trailer(number) => Digest::of(&record.id, number, &record.statement),
    }));
    let options = IpcWriteOptions::default().try_with_compression(egress.compression).map_err(EngineError::internal)?;
    let bytes_target = match egress.ending {
        Ending::Plain => egress.limits.flight_data_bytes_target,
        Ending::Trailer(_) => egress.limits.peer_data_bytes_target.min(egress.limits.message_bytes_max),
    };
    let mut messages = Messages::new(options, bytes_target);
    let first = (0, messages.schema(&schema));
    let (ending, rows_max) = (egress.ending, egress.limits.answer_rows_max);
    let message_bytes_max = egress.limits.message_bytes_max;
    let outlet = Outlet::new(batches, running, Arc::clone(&schema), egress);
    let following = outlet.into_stream().flat_map(move |batch| {
        let encoded = batch.and_then(|batch| messages.batch(&batch).map_err(EngineError::internal));
        stream::iter(encoded.map_or_else(|error| vec![Err(error)], |sent| sent.into_iter().map(Ok).collect()))
    });
    let (hashed, reader) = (Arc::clone(&digest), Arc::clone(&record));
    // One batch is many messages, and a reader may take them slowly: each is let out by itself.
    let let_out = move |message: Result<(usize, FlightData)>| {
        let handed_over = message.and_then(|(rows, data)| {
            if record.rows().saturating_add(rows as u64) > rows_max {
                return Err(too_many_rows(rows_max));
            }
            if data.encoded_len() > message_bytes_max {
                return Err(too_large_a_row(message_bytes_max));
            }
            record.hand_over(rows, data.encoded_len())?;
            let mut digest = hashed.lock();
            digest.rows(rows);
            if ending != Ending::Plain {
                digest.message(&data);
            }
            Ok(data)
        });
        handed_over.map_err(|error| {
            record.failed(error.code());
            to_status(&error, Some(&record.id))
        })
    };
    let messages = stream::iter([Ok(first)]).chain(following).map(let_out);
    let messages = match ending {
        Ending::Plain => stop_at_error(messages).boxed(),
        Ending::Trailer(_) => {
            let trailer = stream::once(async move { trailer(&schema, &digest.lock()) });
            stop_at_error(messages.chain(trailer)).boxed()
        }
    };
    Ok(Kept::new(messages, reader))
}

fn too_many_rows(most: u64) -> EngineError {
    EngineError::new(
        Code::Cap,
        format!(
            "the answer has more than {most} rows, which is all that is given (`answer_rows_max`); aggregate or filter it"
        ),
    )
}

/// Rows are never cut, and who reads takes no larger message.
fn too_large_a_row(most: usize) -> EngineError {
    EngineError::new(
        Code::Cap,
        format!(
            "a row of the answer has more than {most} bytes, which is all that one message holds (`message_bytes_max`); ask for \
             less of it"
        ),
    )
}

/// Nothing follows an error: not a batch, and above all no trailer.
fn stop_at_error<S>(messages: S) -> impl Stream<Item = Result<FlightData, Status>>
where
    S: Stream<Item = Result<FlightData, Status>>,
{
    let mut failed = false;
    messages.take_while(move |message| {
        let go_on = !failed;
        failed |= message.is_err();
        futures::future::ready(go_on)
    })
}

fn trailer(schema: &SchemaRef, digest: &Digest) -> Result<FlightData, Status> {
    let failed = |error: &dyn std::fmt::Display| to_status(&EngineError::internal(error.to_string()), None);
    let empty = RecordBatch::new_empty(Arc::clone(schema));
    let mut messages = batches_to_flight_data(schema, vec![empty]).map_err(|error| failed(&error))?;
    let text = serde_json::to_vec(&digest.trailer()).map_err(|error| failed(&error))?;
    let mut last = messages.pop().ok_or_else(|| failed(&"no message for an empty batch"))?;
    last.app_metadata = Bytes::from(text);
    Ok(last)
}

/// Takes batches from the query and lets them out in counts of its own.
struct Outlet {
    batches: SendableRecordBatchStream,
    running: RunningQuery,
    schema: SchemaRef,
    limits: Arc<Limits>,
    last_sent: Instant,
    target_rows: usize,
    waiting: VecDeque<RecordBatch>,
    waiting_rows: usize,
    waiting_bytes: usize,
    /// Whether what waits is large already, however few rows it has.
    is_full: bool,
    ended: bool,
}

impl Outlet {
    fn new(batches: SendableRecordBatchStream, running: RunningQuery, schema: SchemaRef, egress: Egress) -> Self {
        Self {
            batches,
            running,
            target_rows: egress.limits.first_batch_rows.min(most_rows(&schema, &egress.limits)),
            schema,
            last_sent: Instant::now(),
            limits: egress.limits,
            waiting: VecDeque::new(),
            waiting_rows: 0,
            waiting_bytes: 0,
            is_full: false,
            ended: false,
        }
    }

    fn into_stream(self) -> impl Stream<Item = Result<RecordBatch>> + Send {
        stream::unfold(Some(self), |outlet| async move {
            let mut outlet = outlet?;
            match outlet.next().await {
                Ok(Some(batch)) => Some((Ok(batch), Some(outlet))),
                Ok(None) => {
                    outlet.running.finished();
                    None
                }
                Err(error) => {
                    outlet.running.failed(error.code());
                    Some((Err(error), None))
                }
            }
        })
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if self.waiting_rows >= self.target_rows || self.is_full || (self.ended && self.waiting_rows > 0) {
                return self.cut().map(Some);
            }
            if self.ended {
                return Ok(None);
            }
            let silence = self.last_sent + Duration::from_millis(self.limits.empty_batch_interval_ms);
            let record = Arc::clone(self.running.record());
            tokio::select! {
                biased;
                reason = record.stopped() => return Err(reason),
                batch = self.batches.next() => match batch {
                    Some(batch) => self.take(batch.map_err(EngineError::of_running)?)?,
                    None => self.ended = true,
                },
                () = sleep_until(silence) => {
                    self.last_sent = Instant::now();
                    return Ok(Some(RecordBatch::new_empty(Arc::clone(&self.schema))));
                }
            }
        }
    }

    /// Takes a batch to those that wait. Few rows may be very large: whether they are is asked of them built anew, since as they
    /// came hidden values lie between them.
    fn take(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.waiting_rows += batch.num_rows();
        self.waiting_bytes += bytes_of_batch(&batch);
        self.waiting.push_back(batch);
        if self.waiting_bytes >= self.limits.batch_bytes_target && self.waiting_rows < self.target_rows {
            let pieces = self.take_rows(self.waiting_rows);
            let together = self.built(&pieces)?;
            self.waiting_bytes = bytes_of_batch(&together);
            self.is_full = self.waiting_bytes >= self.limits.batch_bytes_target;
            self.put_back(together);
        }
        Ok(())
    }

    fn put_back(&mut self, rows: RecordBatch) {
        self.waiting_rows += rows.num_rows();
        self.waiting.push_front(rows);
    }

    /// The pieces as one batch, built anew.
    fn built(&self, pieces: &[RecordBatch]) -> Result<RecordBatch> {
        let build = if thrown(Control::Egress) { as_they_came } else { rebuild };
        build(pieces, &self.schema).map_err(EngineError::internal)
    }

    /// Cuts the next batch off what waits, and lets the next one be larger.
    ///
    /// What is cut is built anew last, so that the sizes by which the encoder cuts again, and which limits count, are those
    /// of shown values: in memory as it came, hidden ones lie between them.
    fn cut(&mut self) -> Result<RecordBatch> {
        let pieces = self.take_rows(self.target_rows.min(self.waiting_rows));
        self.last_sent = Instant::now();
        (self.is_full, self.waiting_bytes) = (false, 0);
        let mut batch = self.built(&pieces)?;
        let mut bytes = bytes_of_batch(&batch);
        if bytes > self.limits.batch_bytes_target {
            // By shown values alone, however many came together.
            let rows = rows_within(&batch, self.limits.batch_bytes_target);
            if rows < batch.num_rows() {
                self.put_back(batch.slice(rows, batch.num_rows() - rows));
                batch = self.built(&[batch.slice(0, rows)])?;
                bytes = bytes_of_batch(&batch);
            }
        }
        self.target_rows = self.next_rows(batch.num_rows(), bytes);
        self.running.record().charge(batch.num_rows(), bytes)?;
        Ok(batch)
    }

    /// Twice as many as before, but no more than have their place by the size of those: of shown values alone.
    fn next_rows(&self, rows: usize, bytes: usize) -> usize {
        let fitting = self.limits.batch_bytes_target / bytes.div_ceil(rows.max(1)).max(1);
        (self.target_rows * 2).min(fitting).min(most_rows(&self.schema, &self.limits)).max(1)
    }

    /// Takes this many rows from the front of what waits.
    fn take_rows(&mut self, rows: usize) -> Vec<RecordBatch> {
        let mut pieces = Vec::new();
        let mut missing = rows;
        while let Some(batch) = self.waiting.pop_front() {
            let taken = missing.min(batch.num_rows());
            if taken < batch.num_rows() {
                self.waiting.push_front(batch.slice(taken, batch.num_rows() - taken));
            }
            pieces.push(batch.slice(0, taken));
            missing -= taken;
            if missing == 0 {
                break;
            }
        }
        self.waiting_rows -= rows;
        pieces
    }
}

/// Rows of a batch of such columns at most.
fn most_rows(schema: &SchemaRef, limits: &Limits) -> usize {
    limits.batch_rows.min(limits.batch_values_max / schema.fields().len().max(1)).max(1)
}

/// The first rows of a batch that have so many bytes together; one at least.
fn rows_within(batch: &RecordBatch, bytes: usize) -> usize {
    let (mut few, mut enough) = (0, batch.num_rows());
    while enough - few > 1 {
        let rows = few + (enough - few) / 2;
        if bytes_of_batch(&batch.slice(0, rows)) < bytes { few = rows } else { enough = rows }
    }
    enough
}

/// What a server sends that does not build anew: the buffers that a query made, with whatever lies under their nulls.
fn as_they_came(pieces: &[RecordBatch], schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let pieces = pieces.iter().map(|piece| conform(piece, schema)).collect::<Result<Vec<_>, _>>()?;
    concat_batches(schema, &pieces)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringViewArray};
    use arrow::compute::filter_record_batch;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use futures::future::ready;

    use super::*;
    use crate::identity::Asker;
    use crate::session::queries::{Admitted, Progress, Queries, QueryId, QueryRecord, Stop, Warrant};

    const ROWS: usize = 20_000;

    /// One batch in messages of some kilobytes, and its query.
    fn sending() -> (Arc<Queries>, RunningQuery, SendableRecordBatchStream, Egress) {
        let queries = Queries::new(1, 1);
        let admitted = Admitted { handle: None, timeout: Duration::from_secs(600) };
        let running = queries.begin(QueryId::random(), &Arc::new(Asker::peer("ann")), "SELECT n", admitted).unwrap();
        let numbers: Int64Array = (0..ROWS as i64).collect();
        let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as _)]).unwrap();
        let batches = RecordBatchStreamAdapter::new(batch.schema(), stream::once(ready(Ok(batch))));
        let limits = Limits { peer_data_bytes_target: 8_000, first_batch_rows: ROWS, ..Limits::default() };
        let egress =
            Egress { ending: Ending::Trailer(1), reader: Reader::Arrow, compression: None, limits: Arc::new(limits) };
        (queries, running, Box::pin(batches), egress)
    }

    #[tokio::test]
    async fn no_message_follows_the_end_of_the_right() {
        let (queries, running, batches, egress) = sending();
        let record = Arc::clone(running.record());
        let mut messages = encode(batches, running, egress).unwrap();
        for _ in 0..3 {
            messages.next().await.unwrap().unwrap();
        }
        let (rows, bytes) = (record.rows(), record.bytes());
        assert_eq!(rows, 2_000, "the schema and two messages of a batch that has more");
        record.stop(Stop::Revoked);
        let after: Vec<_> = messages.collect().await;
        assert!(matches!(&after[..], [Err(status)] if status.message().starts_with("REVOKED: ")), "{after:?}");
        assert_eq!((record.rows(), record.bytes()), (rows, bytes), "what did not leave is not counted");
        assert_eq!(record.progress(), Progress::Failed(Code::Revoked));
        assert!(queries.running().is_empty());
    }

    #[tokio::test]
    async fn what_was_made_before_the_right_ended_does_not_leave_after_it() {
        let (_queries, running, batches, egress) = sending();
        let record = Arc::clone(running.record());
        let messages = encode(batches, running, egress).unwrap();
        messages.rows().await;
        record.stop(Stop::Revoked);
        let after: Vec<_> = messages.collect().await;
        assert!(matches!(&after[..], [Err(status)] if status.message().starts_with("REVOKED: ")), "{after:?}");
    }

    #[tokio::test]
    async fn what_goes_on_leaves_whole_and_is_counted() {
        let (_queries, running, batches, egress) = sending();
        let record = Arc::clone(running.record());
        let sent: Vec<_> = encode(batches, running, egress).unwrap().collect().await;
        assert!(sent.iter().all(Result::is_ok));
        assert_eq!((record.rows(), record.progress()), (ROWS as u64, Progress::Finished));
    }

    /// What was charged, in order.
    #[derive(Debug, Default, Clone)]
    struct Charged(Arc<Mutex<Vec<(u64, u64)>>>);

    impl Warrant for Charged {
        fn lapsed(&self) -> Option<Stop> {
            None
        }

        fn charge(&self, rows: u64, bytes: u64) -> Result<()> {
            self.0.lock().push((rows, bytes));
            Ok(())
        }

        fn ended(&self, _record: &QueryRecord) {}
    }

    /// What is charged for three rows that a filter left of these.
    async fn charged(hidden: &[&str]) -> Vec<(u64, u64)> {
        let shown = ["a name that is seen", "another name that is seen", "a third name that is seen"];
        let names: ArrayRef = Arc::new(StringViewArray::from_iter_values(shown.iter().chain(hidden)));
        let kept = BooleanArray::from_iter((0..names.len()).map(|row| Some(row < shown.len())));
        let batch = RecordBatch::try_from_iter([("name", names)]).unwrap();
        let batch = filter_record_batch(&batch, &kept).unwrap();
        let schema = batch.schema();
        let batches = Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter([Ok(batch)])));
        let admitted = Admitted { handle: None, timeout: Duration::from_secs(600) };
        let asker = Arc::new(Asker::peer("ann"));
        let running = Queries::new(1, 1).begin(QueryId::random(), &asker, "SELECT name", admitted).unwrap();
        let warrant = Charged::default();
        running.record().warrant(|| Ok((Arc::new(warrant.clone()) as Arc<dyn Warrant>, ()))).unwrap();
        let egress = Egress {
            ending: Ending::Plain,
            reader: Reader::Arrow,
            compression: None,
            limits: Arc::new(Limits::default()),
        };
        let sent: Vec<_> = encode(batches, running, egress).unwrap().collect().await;
        assert!(sent.iter().all(std::result::Result::is_ok), "{sent:?}");
        warrant.0.lock().clone()
    }

    #[tokio::test]
    async fn limits_count_what_leaves_and_nothing_that_lies_beside_it() {
        let alone = charged(&[]).await;
        assert_eq!(alone.iter().map(|(rows, _)| rows).sum::<u64>(), 3);
        assert_eq!(charged(&["a hidden name that is long enough to have a buffer"; 40]).await, alone);
    }
}
