//! A site's answer as it arrives: decoded, compared with what was asked, and complete only with its trailer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::FlightData;
use arrow_flight::decode::{DecodedFlightData, DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use connectors::plain::conform;
use datafusion::error::DataFusionError;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{FutureExt, Stream, StreamExt, stream};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::catalog::site_table::SiteId;
use crate::error::{Code, EngineError, Result};
use crate::flight::guard::Guard;
use crate::flight::status::from_site;
use crate::flight::wire_types::wire_type;
use crate::peer::trailer::{Digest, Trailer};
use crate::session::queries::{LedgerEntry, Progress};

/// What is known on our side of the border about the stream to come.
#[derive(Debug)]
pub struct Border {
    /// Who sends it.
    pub site: SiteId,
    /// The tables it is made from, for messages.
    pub tables: String,
    /// The columns it must have, by position.
    pub schema: SchemaRef,
    /// What its messages are held against before they are decoded.
    pub guard: Guard,
    /// How long the site may stay silent between messages.
    pub idle: Duration,
    /// How long the site may stay silent before its first message.
    pub first: Duration,
}

impl Border {
    fn error(&self, code: Code, what: &str) -> EngineError {
        EngineError::new(code, format!("site {} {what} (tables: {})", self.site, self.tables))
    }
}

/// The batches of a site's stream, relabelled to the schema that the fragment declares.
///
/// The stream's last item is an error unless the trailer agreed with what arrived.
/// `digest` is that of the request, before its first message.
pub fn receive<S>(messages: S, border: Border, digest: Digest, entry: Arc<LedgerEntry>) -> SendableRecordBatchStream
where
    S: Stream<Item = Result<FlightData, tonic::Status>> + Send + 'static,
{
    let schema = Arc::clone(&border.schema);
    let border = Arc::new(border);
    let digest = Arc::new(Mutex::new(digest));
    let hashed = hash_messages(messages, Arc::clone(&border), Arc::clone(&digest));
    let arrival = Arrival { border, digest, entry, decoder: FlightDataDecoder::new(hashed), done: false, began: false };
    let batches = stream::unfold(arrival, |mut arrival| async move {
        if arrival.done {
            return None;
        }
        let next = arrival.next().await;
        match &next {
            Ok(Some(_)) => {}
            Ok(None) => arrival.entry.end(Progress::Finished),
            Err(error) => arrival.entry.end(Progress::Failed(error.code())),
        }
        arrival.done = !matches!(next, Ok(Some(_)));
        next.map_err(DataFusionError::from).transpose().map(|item| (item, arrival))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, batches))
}

/// Checks every message, feeds all but the trailer's own into the digest, and turns the site's refusals into ours.
fn hash_messages<S>(
    messages: S,
    border: Arc<Border>,
    digest: Arc<Mutex<Digest>>,
) -> impl Stream<Item = Result<FlightData, FlightError>>
where
    S: Stream<Item = Result<FlightData, tonic::Status>> + Send + 'static,
{
    let mut guard = border.guard.clone();
    messages.map(move |message| {
        let external = |error: EngineError| FlightError::ExternalError(Box::new(error));
        let data = message.map_err(|status| external(from_site(&border.site, &border.tables, status)))?;
        guard.check(&data).map_err(|wrong| {
            external(border.error(Code::SiteProtocol, "sent what cannot be read").caused_by(format!("it sent {wrong}")))
        })?;
        if data.app_metadata.is_empty() {
            digest.lock().message(&data);
        }
        Ok(data)
    })
}

struct Arrival {
    border: Arc<Border>,
    digest: Arc<Mutex<Digest>>,
    entry: Arc<LedgerEntry>,
    decoder: FlightDataDecoder,
    done: bool,
    began: bool,
}

impl Drop for Arrival {
    /// Whoever no longer wants the rest ends the entry too; an end that was told before counts.
    fn drop(&mut self) {
        self.entry.end(Progress::Cancelled);
    }
}

impl Arrival {
    /// The next batch with rows; `None` after a trailer that agreed.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let message = self.message().await?;
            self.began = true;
            let Some(message) = message else {
                return Err(self.border.error(
                    Code::SiteUnavailable,
                    "ended its stream before saying that it was whole; nothing of it is used",
                ));
            };
            let message = message.map_err(|error| self.describe(error))?;
            match message.payload {
                DecodedPayload::None => {}
                DecodedPayload::Schema(schema) => self.compare_schema(&schema)?,
                DecodedPayload::RecordBatch(_) if !message.inner.app_metadata.is_empty() => {
                    return self.compare_trailer(&message.inner.app_metadata).map(|()| None);
                }
                DecodedPayload::RecordBatch(batch) => {
                    self.digest.lock().rows(batch.num_rows());
                    if batch.num_rows() > 0 {
                        self.entry.add_rows(batch.num_rows());
                        return self.relabel(&batch).map(Some);
                    }
                }
            }
        }
    }

    /// The next message, for which it is waited as long as anything of it comes within the time.
    async fn message(&mut self) -> Result<Option<Result<DecodedFlightData, FlightError>>> {
        let patience = if self.began { self.border.idle } else { self.border.first };
        loop {
            let received = self.entry.bytes_received.load(Ordering::Relaxed);
            // The decoder panics at some of what the guard lets through: values that claim to be NULL and do not say which.
            match timeout(patience, AssertUnwindSafe(self.decoder.next()).catch_unwind()).await {
                Ok(message) => {
                    return message.map_err(|_| self.border.error(Code::SiteProtocol, "sent what cannot be read"));
                }
                // A large message over a slow link.
                Err(_) if self.began && self.entry.bytes_received.load(Ordering::Relaxed) > received => {}
                Err(_) => return Err(self.border.error(Code::SiteUnavailable, "stopped sending in mid-stream")),
            }
        }
    }

    fn describe(&self, error: FlightError) -> EngineError {
        match error {
            FlightError::ExternalError(inner) => match inner.downcast::<EngineError>() {
                Ok(ours) => *ours,
                Err(other) => self.border.error(Code::SiteProtocol, "sent what cannot be read").caused_by(other),
            },
            FlightError::Tonic(status) => from_site(&self.border.site, &self.border.tables, *status),
            other => self.border.error(Code::SiteProtocol, "sent what cannot be read").caused_by(other),
        }
    }

    fn compare_schema(&self, sent: &Schema) -> Result<()> {
        let expected = &self.border.schema;
        // A fragment without columns is answered with a marker column: only its number of rows counts.
        let marker = expected.fields().is_empty() && sent.fields().len() == 1;
        let same = sent.fields().len() == expected.fields().len()
            && sent.fields().iter().zip(expected.fields()).all(|(a, b)| same_type(a.data_type(), b.data_type()));
        if same || marker {
            return Ok(());
        }
        Err(self
            .border
            .error(Code::SiteProtocol, "answered with other columns than it was asked for")
            .caused_by(format!("expected {expected:?}, sent {sent:?}")))
    }

    fn compare_trailer(&self, sent: &[u8]) -> Result<()> {
        let counted = self.digest.lock().trailer();
        match serde_json::from_slice::<Trailer>(sent) {
            Ok(trailer) if trailer == counted => Ok(()),
            Ok(trailer) => Err(self
                .border
                .error(Code::SiteProtocol, "sent a stream that is not what it says it sent")
                .caused_by(format!("counted {counted:?}, told {trailer:?}"))),
            Err(error) => {
                Err(self.border.error(Code::SiteProtocol, "sent a trailer that cannot be read").caused_by(error))
            }
        }
    }

    /// The batch under the names, types and nullability that the plan declares; what does not fit is the site's fault.
    fn relabel(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        conform(batch, &self.border.schema).map_err(|error| {
            self.border.error(Code::SiteProtocol, "sent a value that its declared columns cannot hold").caused_by(error)
        })
    }
}

/// Whether two types hold the same values; they may differ in the names and nullability of nested fields, and in what
/// the wire makes plain (views, dictionaries).
fn same_type(sent: &arrow::datatypes::DataType, expected: &arrow::datatypes::DataType) -> bool {
    sent.equals_datatype(&wire_type(expected))
}
