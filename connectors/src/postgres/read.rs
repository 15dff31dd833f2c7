//! One statement read to its end: a transaction at the statement's moment, its types checked, then a COPY into batches.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio_postgres::{CopyOutStream, Statement};

use super::decode::{Frames, append_row, is_sent_as, wire_name};
use super::lease::Lease;
use super::server::{Server, Use};
use super::snapshot::Snapshot;
use crate::database::batch::BatchBuilder;
use crate::database::{Batches, Reading};
use crate::error::ConnectorError;
use crate::fault::Asking;

/// The rows of a statement of `server`.
pub(super) fn read(server: Arc<Server>, reading: Reading) -> Batches {
    let opening = async move {
        let open = Box::pin(open(server, reading)).await?;
        Ok(stream::try_unfold(open, OpenReading::next_batch))
    };
    stream::once(opening).try_flatten().boxed()
}

async fn open(server: Arc<Server>, reading: Reading) -> Result<OpenReading, ConnectorError> {
    // The snapshot first: whoever holds a reading session waits for nothing any more.
    let snapshot = match &reading.scope {
        Some(scope) => Some(Snapshot::of(scope, &server).await?),
        None => None,
    };
    let mut lease = server.lease(Use::Read).await?;
    let asking = lease.asking(reading.location.as_ref());
    lease.begin(snapshot.as_deref(), &asking).await?;
    // What is prepared is locked against changes of its columns until the transaction ends.
    let prepared = lease.run()?.prepare(&reading.text).await.map_err(|error| asking.fault(error))?;
    check_types(&reading, &prepared)?;
    let copy = format!("COPY ({}) TO STDOUT (FORMAT binary)", reading.text);
    let copied = lease.run()?.copy_out(&copy).await.map_err(|error| asking.fault(error))?;
    Ok(OpenReading {
        frames: Frames::new(reading.schema.fields().len()),
        batch: BatchBuilder::new(&reading, wire_name)?,
        reading,
        asking,
        copied: Box::pin(copied),
        lease: Some(lease),
        _snapshot: snapshot,
    })
}

/// Bytes say nothing of their type: a column that was altered since would be read as another value.
fn check_types(reading: &Reading, prepared: &Statement) -> Result<(), ConnectorError> {
    let (sent, fields) = (prepared.columns(), reading.schema.fields());
    let agree = sent.len() == fields.len()
        && sent.iter().zip(fields).all(|(sent, field)| is_sent_as(field.data_type(), sent.type_()));
    if agree { Ok(()) } else { Err(ConnectorError::Changed { location: reading.location.to_string() }) }
}

/// What is being read.
struct OpenReading {
    reading: Reading,
    asking: Asking,
    copied: Pin<Box<CopyOutStream>>,
    frames: Frames,
    batch: BatchBuilder,
    /// Gone once all was read and the server has confirmed the end.
    lease: Option<Lease>,
    _snapshot: Option<Arc<Snapshot>>,
}

impl OpenReading {
    async fn next_batch(mut self) -> Result<Option<(RecordBatch, Self)>, ConnectorError> {
        while self.lease.is_some() && !self.is_batch_full()? {
            match self.copied.next().await {
                Some(Ok(chunk)) => self.frames.feed(chunk),
                Some(Err(error)) => return Err(self.asking.fault(error)),
                None => self.finish().await?,
            }
        }
        if self.batch.is_empty() {
            return Ok(None);
        }
        Ok(Some((self.batch.finish()?, self)))
    }

    /// Decodes what has come, until a batch is full.
    fn is_batch_full(&mut self) -> Result<bool, ConnectorError> {
        while !self.batch.is_full() {
            match self.frames.next_row() {
                Ok(Some(row)) => append_row(&mut self.batch, &row)?,
                Ok(None) => return Ok(false),
                Err(_) => return Err(self.cut_short()),
            }
        }
        Ok(true)
    }

    /// The rows have ended. They count only if their end was sent, and the server then ends the transaction.
    async fn finish(&mut self) -> Result<(), ConnectorError> {
        if !self.frames.is_complete() {
            return Err(self.cut_short());
        }
        match self.lease.take() {
            Some(lease) => lease.commit(&self.asking).await,
            None => Ok(()),
        }
    }

    fn cut_short(&self) -> ConnectorError {
        ConnectorError::unavailable(self.reading.location.to_string(), "the rows end early, or are not rows of a COPY")
    }
}
