//! One statement read to its end: a transaction at the statement's moment, its types checked, then a COPY into batches.

use std::pin::Pin;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio_postgres::{CopyOutStream, Statement};

use super::decode::{BatchBuilder, Frames, is_sent_as};
use super::fault::Asking;
use super::lease::Lease;
use super::server::{Server, Use};
use super::snapshot::Snapshot;
use crate::error::ConnectorError;
use crate::read_scope::ReadScope;

/// What is to be read.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) server: Arc<Server>,
    pub(super) text: Arc<str>,
    pub(super) schema: SchemaRef,
    /// What it is, as errors name it.
    pub(super) location: Arc<str>,
    pub(super) batch_rows: usize,
    /// Where the moment is kept at which others read too; without one it is read at a moment of its own.
    pub(super) scope: Option<Arc<ReadScope>>,
}

impl Reading {
    /// The rows. Nothing is asked before the stream is polled.
    ///
    /// # Cancellation
    /// Dropping the stream ends the statement at the server.
    pub(super) fn stream(self) -> BoxStream<'static, Result<RecordBatch, ConnectorError>> {
        let opening = async move { self.open().await.map(|open| stream::try_unfold(open, OpenReading::next_batch)) };
        stream::once(opening).try_flatten().boxed()
    }

    async fn open(self) -> Result<OpenReading, ConnectorError> {
        // The snapshot first: whoever holds a reading session waits for nothing any more.
        let snapshot = match &self.scope {
            Some(scope) => Some(Snapshot::of(scope, &self.server).await?),
            None => None,
        };
        let mut lease = self.server.lease(Use::Read).await?;
        let asking = lease.asking(self.location.as_ref());
        lease.begin(snapshot.as_deref(), &asking).await?;
        // What is prepared is locked against changes of its columns until the transaction ends.
        let prepared = lease.run()?.prepare(&self.text).await.map_err(|error| asking.fault(error))?;
        self.check_types(&prepared)?;
        let copy = format!("COPY ({}) TO STDOUT (FORMAT binary)", self.text);
        let copied = lease.run()?.copy_out(&copy).await.map_err(|error| asking.fault(error))?;
        Ok(OpenReading {
            frames: Frames::new(self.schema.fields().len()),
            batch: BatchBuilder::new(&self.schema, &self.location, self.batch_rows)?,
            reading: self,
            asking,
            copied: Box::pin(copied),
            lease: Some(lease),
            _snapshot: snapshot,
        })
    }

    /// Bytes say nothing of their type: a column that was altered since would be read as another value.
    fn check_types(&self, prepared: &Statement) -> Result<(), ConnectorError> {
        let (sent, fields) = (prepared.columns(), self.schema.fields());
        let agree = sent.len() == fields.len()
            && sent.iter().zip(fields).all(|(sent, field)| is_sent_as(field.data_type(), sent.type_()));
        if agree { Ok(()) } else { Err(ConnectorError::Changed { location: self.location.to_string() }) }
    }
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
                Ok(Some(row)) => self.batch.append(&row)?,
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
