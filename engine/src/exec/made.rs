//! What a projection makes of one batch in steps: no more than a function may make of it at once, since whoever collects the
//! steps again counts rows.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use datafusion::physical_plan::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};
use parking_lot::Mutex;

use crate::error::{Code, EngineError};
use crate::exec::steps::Steps;
use crate::exec::value_bytes::bytes_of;

/// What one projection has made of each partition's batch so far.
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

/// Counts what is made in steps.
pub(super) struct Making {
    pub(super) input: SendableRecordBatchStream,
    pub(super) steps: Arc<Steps>,
    pub(super) made: Arc<Made>,
    pub(super) partition: usize,
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
