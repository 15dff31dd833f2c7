//! An answer as it comes: every endpoint's messages one after another, all from this very server, decoded.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use arrow_flight::{FlightEndpoint, FlightInfo, Ticket};
use futures::StreamExt;
use tonic::Status;

use super::fault::Asking;
use super::server::Server;
use crate::error::ConnectorError;

/// The rest of an answer.
pub(super) struct Answer {
    server: Arc<Server>,
    asking: Asking,
    location: Arc<str>,
    endpoints: VecDeque<FlightEndpoint>,
    /// The endpoint that is being read.
    open: Option<OpenEndpoint>,
}

struct OpenEndpoint {
    messages: FlightDataDecoder,
    has_schema: bool,
}

/// One thing that comes.
pub(super) enum Part {
    /// The columns of an endpoint's rows, before any of them.
    Columns(SchemaRef),
    Rows(RecordBatch),
}

impl Answer {
    /// The answer that `info` tells the way to.
    ///
    /// # Errors
    /// An endpoint that is another server's: this one's account is not shown to others, on whoever's word.
    pub(super) fn of(
        server: &Arc<Server>,
        info: FlightInfo,
        asking: Asking,
        location: Arc<str>,
    ) -> Result<Self, ConnectorError> {
        let address = &server.config().address;
        let is_here = |endpoint: &FlightEndpoint| {
            endpoint.location.is_empty() || endpoint.location.iter().any(|at| address.is_of_the_same_server(&at.uri))
        };
        if !info.endpoint.iter().all(is_here) {
            return Err(ConnectorError::Unsupported {
                feature: format!("{location}: an answer that is to be fetched from another server"),
                advice: "have the server answer itself, or make a source of the other one".to_owned(),
            });
        }
        Ok(Self { server: Arc::clone(server), asking, location, endpoints: info.endpoint.into(), open: None })
    }

    /// What comes next; none after the last message of the last endpoint, each of which has ended in good order.
    pub(super) async fn next(&mut self) -> Result<Option<Part>, ConnectorError> {
        loop {
            let Some(open) = &mut self.open else {
                match self.endpoints.pop_front() {
                    None => return Ok(None),
                    Some(endpoint) => self.open = Some(self.open(endpoint.ticket.unwrap_or_default()).await?),
                }
                continue;
            };
            let message = self.asking.within(async { Ok(open.messages.next().await) }).await;
            match message.map_err(|status| self.asking.fault(status))? {
                None if open.has_schema => self.open = None,
                None => return Err(self.unreadable("an endpoint has ended before it has told its columns")),
                Some(Err(error)) => return Err(self.fault(error)),
                Some(Ok(message)) => match message.payload {
                    DecodedPayload::None => {}
                    DecodedPayload::RecordBatch(rows) => return Ok(Some(Part::Rows(rows))),
                    DecodedPayload::Schema(columns) => {
                        open.has_schema = true;
                        return Ok(Some(Part::Columns(columns)));
                    }
                },
            }
        }
    }

    async fn open(&mut self, ticket: Ticket) -> Result<OpenEndpoint, ConnectorError> {
        let messages = self.server.messages(&self.asking, ticket).await.map_err(|status| self.asking.fault(status))?;
        // A message without a header says nothing but that the server is there.
        let told = messages.filter(|message| {
            let is_empty = message.as_ref().is_ok_and(|message| message.data_header.is_empty());
            std::future::ready(!is_empty)
        });
        let messages = FlightDataDecoder::new(told.map(|message| message.map_err(FlightError::from)));
        Ok(OpenEndpoint { messages, has_schema: false })
    }

    fn fault(&self, error: FlightError) -> ConnectorError {
        match error {
            FlightError::Tonic(status) => self.asking.fault(*status),
            error => self.unreadable(error),
        }
    }

    fn unreadable(&self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ConnectorError {
        ConnectorError::unavailable(self.location.to_string(), cause)
    }
}

/// All rows of an answer that is small.
///
/// # Errors
/// As the answer's; more rows than `rows_max`.
pub(super) async fn collected(mut answer: Answer, rows_max: usize) -> Result<Vec<RecordBatch>, ConnectorError> {
    let (mut batches, mut rows) = (Vec::new(), 0);
    while let Some(part) = answer.next().await? {
        if let Part::Rows(batch) = part {
            rows += batch.num_rows();
            if rows > rows_max {
                return Err(answer.asking.fault(Status::resource_exhausted(format!("more than {rows_max} rows"))));
            }
            batches.push(batch);
        }
    }
    Ok(batches)
}
