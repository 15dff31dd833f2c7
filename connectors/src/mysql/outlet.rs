//! Rows on their way from who reads them to who asked for them: a batch at a time, or by way of the disk.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion_common::DataFusionError;
use datafusion_physical_plan::SendableRecordBatchStream;
use datafusion_physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion_physical_plan::spill::SpillManager;
use datafusion_physical_plan::spill::spill_pool::{SpillPoolSink, spsc_channel};
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};

use super::moment::Moment;
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
    rest: Option<SendableRecordBatchStream>,
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
        verdict: from_verdict,
        location: Arc::clone(&reading.location),
    };
    (inlet, outlet)
}

impl Inlet {
    /// Hands a batch on once there is room, or at once, to disk, if another one waits for the session. From then on all goes
    /// to disk. A batch that nobody wants any more is dropped.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub(super) async fn give(&mut self, batch: RecordBatch, moment: &Moment) -> Result<(), DataFusionError> {
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
            () = moment.is_wanted() => self.begin_spilling().push_batch(&batch),
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
            // What goes to disk follows what was handed on.
            self.rest = tokio::select! {
                biased;
                batch = self.batches.recv() => match batch {
                    Some(batch) => return Ok(Some((batch, self))),
                    None => (&mut self.spilled).await.ok(),
                },
                rest = &mut self.spilled => rest.ok(),
            };
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
