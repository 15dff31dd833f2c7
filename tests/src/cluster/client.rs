//! A Flight SQL client of a cluster: the Rust one of arrow-flight, which knows nothing of Chancery.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::decode::DecodedPayload;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightInfo, IpcMessage, Ticket};
use futures::StreamExt;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use super::USER;
use crate::oracle::Answer;
use crate::policy::canary::Sweep;

/// A connection of a cluster's user, which reads no byte without looking for what must not be among them.
#[derive(Debug, Clone)]
pub struct Client {
    flight: FlightSqlServiceClient<Channel>,
    canaries: Arc<Sweep>,
}

impl Client {
    /// Connects and signs in; over TLS when an authority is given.
    pub async fn connect(address: &str, authority: Option<&Path>) -> Self {
        Self::connect_as(address, authority, USER).await
    }

    /// Connects and signs in as `user`, whose name is the password.
    pub async fn connect_as(address: &str, authority: Option<&Path>, user: &str) -> Self {
        let channel = channel(address, authority).await;
        let mut flight = FlightSqlServiceClient::new_from_inner(
            arrow_flight::flight_service_client::FlightServiceClient::new(channel).max_decoding_message_size(64 << 20),
        );
        flight.handshake(user, user).await.expect("the user is known");
        Self::of(flight)
    }

    /// A client with headers of its own.
    pub fn of(flight: FlightSqlServiceClient<Channel>) -> Self {
        Self { flight, canaries: Arc::default() }
    }

    /// The same client, which fails the test when one of these comes.
    #[must_use]
    pub fn looking_for(self, canaries: &Arc<Sweep>) -> Self {
        Self { canaries: Arc::clone(canaries), ..self }
    }

    /// The same client with one header more.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.flight.set_header(name, value);
        self
    }

    /// The client itself, for what has no short form here.
    pub fn flight(&self) -> FlightSqlServiceClient<Channel> {
        self.flight.clone()
    }

    /// Plans a statement.
    pub async fn info(&self, sql: &str) -> Result<FlightInfo, String> {
        self.flight().execute(sql.to_string(), None).await.map_err(|error| self.told(&error, sql.as_bytes()))
    }

    /// The answer to a statement, or the error as a client sees it.
    pub async fn query(&self, sql: &str) -> Result<Answer, String> {
        let info = self.info(sql).await?;
        self.fetch(info).await
    }

    /// The answer that a FlightInfo stands for.
    pub async fn fetch(&self, info: FlightInfo) -> Result<Answer, String> {
        // The command that was asked stands in it, the text of a statement as it is.
        let asked = info.flight_descriptor.as_ref().map(|descriptor| descriptor.cmd.clone()).unwrap_or_default();
        self.canaries.assert_none_in("a FlightInfo's schema", &info.schema, &asked);
        self.canaries.assert_none_in("a FlightInfo's metadata", &info.app_metadata, &asked);
        let declared: SchemaRef =
            Arc::new(Schema::try_from(IpcMessage(info.schema.clone())).map_err(|error| error.to_string())?);
        let mut batches = Vec::new();
        for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
            for payload in self.payloads(ticket, &asked).await? {
                match payload {
                    DecodedPayload::None => {}
                    DecodedPayload::Schema(sent) => {
                        assert_eq!(sent, declared, "the stream has another schema than was declared");
                    }
                    DecodedPayload::RecordBatch(batch) => {
                        assert_eq!(batch.schema(), declared, "a batch has another schema than was declared");
                        batches.push(batch);
                    }
                }
            }
        }
        Ok(Answer { schema: declared, batches })
    }

    /// What a ticket brings, every frame of it swept as it came.
    async fn payloads(&self, ticket: Ticket, asked: &[u8]) -> Result<Vec<DecodedPayload>, String> {
        let told = |error: FlightError| self.told(&error, asked);
        let stream = self.flight().do_get(ticket).await.map_err(told)?;
        self.canaries.assert_none_in("an answer's headers", format!("{:?}", stream.headers()).as_bytes(), asked);
        let mut frames = stream.into_inner();
        let mut payloads = Vec::new();
        while let Some(frame) = frames.next().await {
            let frame = frame.map_err(told)?;
            self.canaries.assert_none_in_frame(&frame.inner, asked);
            payloads.push(frame.payload);
        }
        Ok(payloads)
    }

    /// What the server said, swept too.
    fn told(&self, error: &FlightError, asked: &[u8]) -> String {
        if let FlightError::Tonic(status) = error {
            self.canaries.assert_none_in("an error", status.message().as_bytes(), asked);
            self.canaries.assert_none_in("an error's details", status.details(), asked);
            self.canaries.assert_none_in("an error's headers", format!("{:?}", status.metadata()).as_bytes(), asked);
        }
        told(error)
    }

    /// The only value of an answer, as text.
    pub async fn value(&self, sql: &str) -> String {
        let answer = self.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        let batch = arrow::compute::concat_batches(&answer.schema, &answer.batches).expect("batches of one schema");
        assert_eq!((batch.num_rows(), batch.num_columns()), (1, 1), "{sql}");
        arrow::util::display::array_value_to_string(batch.column(0), 0).expect("a printable value")
    }

    /// A statement prepared and run without parameters.
    pub async fn query_prepared(&self, sql: &str) -> Result<Answer, String> {
        let told = |error: FlightError| self.told(&error, sql.as_bytes());
        let mut prepared = self.flight().prepare(sql.to_string(), None).await.map_err(told)?;
        let info = prepared.execute().await.map_err(told)?;
        let answer = self.fetch(info).await;
        prepared.close().await.map_err(told)?;
        answer
    }

    /// All batches of a metadata call's answer.
    pub async fn collect(&self, info: FlightInfo) -> Vec<RecordBatch> {
        let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
        let payloads = self.payloads(ticket, b"").await.expect("an answer");
        let batch = |payload| match payload {
            DecodedPayload::RecordBatch(batch) => Some(batch),
            DecodedPayload::None | DecodedPayload::Schema(_) => None,
        };
        payloads.into_iter().filter_map(batch).collect()
    }
}

/// A channel to a node.
pub async fn channel(address: &str, authority: Option<&Path>) -> Channel {
    let scheme = if authority.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).expect("an address");
    if let Some(authority) = authority {
        let pem = std::fs::read(authority).expect("the authority's certificate");
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)).domain_name("localhost");
        endpoint = endpoint.tls_config(tls).expect("a usable certificate");
    }
    endpoint.connect().await.expect("the node listens")
}

/// What the server said, without the client's wrapping.
pub fn told(error: &FlightError) -> String {
    match error {
        FlightError::Tonic(status) => status.message().to_string(),
        other => other.to_string(),
    }
}
