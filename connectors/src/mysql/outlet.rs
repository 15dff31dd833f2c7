//! Rows on their way from who reads them to who asked for them: a batch at a time, or by way of the disk.

use std::future::Future;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion_common::DataFusionError;
use datafusion_physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion_physical_plan::spill::SpillManager;
use datafusion_physical_plan::spill::spill_pool::{SpillPoolSink, spsc_channel};
use datafusion_physical_plan::{EmptyRecordBatchStream, SendableRecordBatchStream};
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};

use crate::database::Reading;
use crate::error::ConnectorError;

/// Read ahead of who asked, beside the batch that is being built.
const BATCHES_AHEAD: usize = 1;
/// A file is removed when it has been read, so the disk holds hardly more than what nobody has read yet.
const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where a reader puts rows in.
pub(super) struct Inlet {
    batches: mpsc::Sender<RecordBatch>,
    /// Gone once rows go to disk.
    spilled: Option<oneshot::Sender<SendableRecordBatchStream>>,
    sink: Option<SpillPoolSink>,
    spill: Arc<SpillManager>,
    verdict: oneshot::Sender<Verdict>,
}

/// Where they come out, in the same order.
pub(super) struct Outlet {
    batches: mpsc::Receiver<RecordBatch>,
    spilled: oneshot::Receiver<SendableRecordBatchStream>,
    /// What goes to disk, or nothing, once it is known which: `spilled` is not asked again.
    rest: Option<SendableRecordBatchStream>,
    schema: SchemaRef,
    verdict: oneshot::Receiver<Verdict>,
    location: Arc<str>,
}

/// Whether what came was all.
type Verdict = Result<(), ConnectorError>;

/// Both ends for what `reading` reads.
pub(super) fn outlet(reading: &Reading) -> (Inlet, Outlet) {
    // Nobody asks what was spilled here.
    let unseen = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
    let spill = SpillManager::new(Arc::clone(&reading.runtime), unseen, Arc::clone(&reading.schema));
    let (batches, from_batches) = mpsc::channel(BATCHES_AHEAD);
    let (spilled, from_spilled) = oneshot::channel();
    let (verdict, from_verdict) = oneshot::channel();
    let inlet = Inlet { batches, spilled: Some(spilled), sink: None, spill: Arc::new(spill), verdict };
    let outlet = Outlet {
        batches: from_batches,
        spilled: from_spilled,
        rest: None,
        schema: Arc::clone(&reading.schema),
        verdict: from_verdict,
        location: Arc::clone(&reading.location),
    };
    (inlet, outlet)
}

impl Inlet {
    /// Hands a batch on once there is room, or at once, to disk, if another one waits for the session, which `wanted` tells.
    /// From then on all goes to disk. A batch that nobody wants any more is dropped.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub(super) async fn give(
        &mut self,
        batch: RecordBatch,
        wanted: impl Future<Output = ()>,
    ) -> Result<(), DataFusionError> {
        if let Some(sink) = &self.sink {
            return sink.push_batch(&batch);
        }
        tokio::select! {
            biased;
            room = self.batches.clone().reserve_owned() => {
                if let Ok(room) = room {
                    room.send(batch);
                }
                Ok(())
            }
            () = wanted => self.begin_spilling().push_batch(&batch),
        }
    }

    /// Tells when nobody wants any more.
    pub(super) fn watch(&self) -> mpsc::Sender<RecordBatch> {
        self.batches.clone()
    }

    /// Nothing follows; what came was all, or not.
    pub(super) fn end(self, verdict: Verdict) {
        // Whoever asked may be gone.
        let _ = self.verdict.send(verdict);
    }

    fn begin_spilling(&mut self) -> &SpillPoolSink {
        let (sink, rest) = spsc_channel(FILE_BYTES_MAX, Arc::clone(&self.spill));
        if let Some(spilled) = self.spilled.take() {
            let _ = spilled.send(rest);
        }
        self.sink.insert(sink)
    }
}

impl Outlet {
    /// The next batch; no more once the reader has said that this was all.
    ///
    /// # Errors
    /// What the reader met.
    pub(super) async fn next_batch(mut self) -> Result<Option<(RecordBatch, Self)>, ConnectorError> {
        if self.rest.is_none() {
            tokio::select! {
                biased;
                rest = &mut self.spilled => self.rest = Some(rest.unwrap_or_else(|_| nothing(&self.schema))),
                Some(batch) = self.batches.recv() => return Ok(Some((batch, self))),
            }
        }
        // What was handed on before the rest began is here, and comes first.
        if let Ok(batch) = self.batches.try_recv() {
            return Ok(Some((batch, self)));
        }
        if let Some(rest) = &mut self.rest
            && let Some(batch) = rest.next().await
        {
            let batch = batch.map_err(|error| self.unavailable(error))?;
            return Ok(Some((batch, self)));
        }
        match (&mut self.verdict).await {
            Ok(verdict) => verdict.map(|()| None),
            Err(dropped) => Err(self.unavailable(dropped)),
        }
    }

    fn unavailable(&self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ConnectorError {
        ConnectorError::unavailable(self.location.to_string(), cause)
    }
}

/// What follows if nothing went to disk.
fn nothing(schema: &SchemaRef) -> SendableRecordBatchStream {
    Box::pin(EmptyRecordBatchStream::new(Arc::clone(schema)))
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn batch(number: i64) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![number]));
        RecordBatch::try_from_iter([("n", numbers)]).unwrap()
    }

    fn ends() -> (Inlet, Outlet) {
        outlet(&Reading {
            text: "".into(),
            schema: batch(0).schema(),
            location: "table `t`".into(),
            tables: Arc::default(),
            batch_rows: 1,
            scope: None,
            runtime: Arc::default(),
        })
    }

    async fn rest_of(mut outlet: Outlet) -> (Vec<i64>, Result<(), ConnectorError>) {
        let mut came = Vec::new();
        loop {
            match outlet.next_batch().await {
                Ok(Some((batch, next))) => {
                    came.push(batch.column(0).as_primitive::<Int64Type>().value(0));
                    outlet = next;
                }
                Ok(None) => return (came, Ok(())),
                Err(error) => return (came, Err(error)),
            }
        }
    }

    /// The end is there before the last batch was asked for.
    #[tokio::test]
    async fn what_was_handed_on_before_the_end_is_not_lost() {
        let (mut inlet, outlet) = ends();
        inlet.give(batch(1), pending()).await.unwrap();
        inlet.end(Ok(()));
        let (came, ended) = rest_of(outlet).await;
        assert_eq!(came, [1]);
        ended.unwrap();
    }

    #[tokio::test]
    async fn what_goes_to_disk_follows_what_was_handed_on() {
        let (mut inlet, outlet) = ends();
        for number in 1..=3 {
            inlet.give(batch(number), ready(())).await.unwrap();
        }
        assert!(inlet.sink.is_some());
        inlet.end(Ok(()));
        let (came, ended) = rest_of(outlet).await;
        assert_eq!(came, [1, 2, 3]);
        ended.unwrap();
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_is_no_end() {
        let (mut inlet, outlet) = ends();
        inlet.give(batch(1), pending()).await.unwrap();
        drop(inlet);
        let (came, ended) = rest_of(outlet).await;
        assert_eq!(came, [1]);
        assert!(matches!(ended, Err(ConnectorError::Unavailable { .. })), "{ended:?}");
    }
}
