//! One statement read to its end: by a reader of the statement's moment, a batch ahead of whoever takes them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::connection::Watch;
use super::file::DatabaseFile;
use super::moment::Moment;
use super::session::Scan;
use crate::database::{Batches, Reading};
use crate::error::ConnectorError;

/// The rows of a statement over `file`.
pub(super) fn read(file: Arc<DatabaseFile>, reading: Reading) -> Batches {
    let opening = async move {
        let open = Box::pin(open(file, reading)).await?;
        Ok(stream::try_unfold(open, OpenReading::next_batch))
    };
    stream::once(opening).try_flatten().boxed()
}

async fn open(file: Arc<DatabaseFile>, reading: Reading) -> Result<OpenReading, ConnectorError> {
    let watch = Watch::over(file.config().statement_timeout);
    let moment = match &reading.scope {
        Some(scope) => Moment::of(scope, &file).await?,
        None => Moment::begin(&file).await?,
    };
    let location = Arc::clone(&reading.location);
    let scan = moment.claim().await?.start(reading, watch);
    Ok(OpenReading { scan, location, _moment: moment })
}

struct OpenReading {
    scan: Scan,
    location: Arc<str>,
    _moment: Arc<Moment>,
}

impl OpenReading {
    async fn next_batch(mut self) -> Result<Option<(RecordBatch, Self)>, ConnectorError> {
        match self.scan.next().await {
            Some(Ok(Some(batch))) => Ok(Some((batch, self))),
            Some(Ok(None)) => Ok(None),
            Some(Err(error)) => Err(error),
            None => Err(ConnectorError::unavailable(self.location.as_ref(), "its reader has ended")),
        }
    }
}
