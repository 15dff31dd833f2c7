//! A Flight SQL client of a cluster: the Rust one of arrow-flight, which knows nothing of Chancery.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightInfo, IpcMessage};
use futures::{StreamExt, TryStreamExt};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use super::USER;
use crate::oracle::Answer;

/// A connection of the cluster's user.
#[derive(Debug, Clone)]
pub struct Client {
    flight: FlightSqlServiceClient<Channel>,
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
        Self { flight }
    }

    /// The same client with headers of its own.
    pub fn of(flight: FlightSqlServiceClient<Channel>) -> Self {
        Self { flight }
    }

    /// The client itself, for what has no short form here.
    pub fn flight(&self) -> FlightSqlServiceClient<Channel> {
        self.flight.clone()
    }

    /// Plans a statement.
    pub async fn info(&self, sql: &str) -> Result<FlightInfo, String> {
        self.flight().execute(sql.to_string(), None).await.map_err(|error| told(&error))
    }

    /// The answer to a statement, or the error as a client sees it.
    pub async fn query(&self, sql: &str) -> Result<Answer, String> {
        let info = self.info(sql).await?;
        self.fetch(info).await
    }

    /// The answer that a FlightInfo stands for.
    pub async fn fetch(&self, info: FlightInfo) -> Result<Answer, String> {
        let declared: SchemaRef =
            Arc::new(Schema::try_from(IpcMessage(info.schema.clone())).map_err(|error| error.to_string())?);
        let mut batches = Vec::new();
        for ticket in info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket) {
            let mut stream = self.flight().do_get(ticket).await.map_err(|error| told(&error))?;
            while let Some(batch) = stream.next().await {
                let batch: RecordBatch = batch.map_err(|error| told(&error))?;
                assert_eq!(batch.schema(), declared, "a batch has another schema than was declared");
                batches.push(batch);
            }
            if let Some(sent) = stream.schema() {
                assert_eq!(*sent, declared, "the stream has another schema than was declared");
            }
        }
        Ok(Answer { schema: declared, batches })
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
        let mut prepared = self.flight().prepare(sql.to_string(), None).await.map_err(|error| told(&error))?;
        let info = prepared.execute().await.map_err(|error| told(&error))?;
        let answer = self.fetch(info).await;
        prepared.close().await.map_err(|error| told(&error))?;
        answer
    }

    /// All batches of a metadata call's answer.
    pub async fn collect(&self, info: FlightInfo) -> Vec<RecordBatch> {
        let ticket = info.endpoint[0].ticket.clone().expect("a ticket");
        let stream = self.flight().do_get(ticket).await.expect("an answer");
        stream.try_collect().await.expect("batches")
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
pub fn told(error: &arrow_flight::error::FlightError) -> String {
    match error {
        arrow_flight::error::FlightError::Tonic(status) => status.message().to_string(),
        other => other.to_string(),
    }
}
