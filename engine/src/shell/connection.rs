//! The wire to the server: connect, sign in, ask, read the answer, cancel. All that the shell knows of Flight SQL.

use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetDbSchemas, CommandGetTables};
use arrow_flight::{Action, CancelFlightInfoRequest, FlightInfo, HandshakeRequest};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::stream::{self, BoxStream, StreamExt};
use prost::Message;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use super::address::{ServerAddress, Transport};
use super::error::{ShellError, innermost_reason};
use super::notice;
use crate::flight::headers;

/// How long the server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the user waits, after an interruption, for the server to say that it has heard.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection may be silent before the system asks whether the other end still lives.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// The largest message the shell takes: one row may be large, and a batch cannot be smaller than a row.
const MESSAGE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Who asks.
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// An open, signed-in connection.
pub(super) struct Connection {
    client: FlightSqlServiceClient<Channel>,
    /// The session's token, once it is signed in.
    token: Option<String>,
    /// What the server runs for us now, to name it when cancelling.
    running: Option<FlightInfo>,
    last_query_id: Option<String>,
}

/// A result as it streams in.
pub(super) struct Answer {
    pub(super) schema: SchemaRef,
    pub(super) batches: BoxStream<'static, Result<RecordBatch, FlightError>>,
}

impl Connection {
    pub(super) async fn open(
        server: &ServerAddress,
        tls_ca: Option<&Path>,
        credentials: &Credentials,
    ) -> Result<Self, ShellError> {
        let channel = endpoint(server, tls_ca)?.connect().await.map_err(|error| unreachable_server(server, &error))?;
        let flight = FlightServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut connection = Self {
            client: FlightSqlServiceClient::new_from_inner(flight),
            token: None,
            running: None,
            last_query_id: None,
        };
        connection.sign_in(credentials).await?;
        Ok(connection)
    }

    /// The same session once more, to ask about what the first one runs.
    pub(super) fn beside(&mut self) -> Self {
        let mut client = FlightSqlServiceClient::new_from_inner(self.client.inner_mut().clone());
        if let Some(token) = &self.token {
            client.set_token(token.clone());
        }
        Self { client, token: self.token.clone(), running: None, last_query_id: None }
    }

    /// The id of the last query that was answered, if the server gives queries ids.
    pub(super) fn last_query_id(&self) -> Option<&str> {
        self.last_query_id.as_deref()
    }

    /// Makes an earlier query the last one again, after one that only asked about it.
    pub(super) fn set_last_query_id(&mut self, query_id: String) {
        self.last_query_id = Some(query_id);
    }

    pub(super) async fn query(&mut self, sql: &str) -> Result<Answer, ShellError> {
        let info = self.client.execute(sql.to_owned(), None).await?;
        let (answer, query_id) = self.read(info).await?;
        self.last_query_id = query_id;
        Ok(answer)
    }

    pub(super) async fn catalogs(&mut self) -> Result<Answer, ShellError> {
        let info = self.client.get_catalogs().await?;
        Ok(self.read(info).await?.0)
    }

    pub(super) async fn schemas(&mut self, request: CommandGetDbSchemas) -> Result<Answer, ShellError> {
        let info = self.client.get_db_schemas(request).await?;
        Ok(self.read(info).await?.0)
    }

    pub(super) async fn tables(&mut self, request: CommandGetTables) -> Result<Answer, ShellError> {
        let info = self.client.get_tables(request).await?;
        Ok(self.read(info).await?.0)
    }

    /// Asks the server to stop what it runs for us. Best effort: the stream is already dropped, which servers notice too.
    pub(super) async fn cancel(&mut self) {
        let Some(info) = self.running.take() else {
            return;
        };
        let action = Action::new("CancelFlightInfo", CancelFlightInfoRequest::new(info).encode_to_vec());
        let _ = tokio::time::timeout(CANCEL_TIMEOUT, self.client.do_action(action)).await;
    }

    /// Forgets what ran: its answer has been read to the end.
    pub(super) fn settle(&mut self) {
        self.running = None;
    }

    /// Exchanges user and password for a bearer token. The client's own `handshake` would hide the server's reason.
    async fn sign_in(&mut self, credentials: &Credentials) -> Result<(), ShellError> {
        let pair = format!("{}:{}", credentials.user, credentials.password);
        let basic = format!("Basic {}", BASE64_STANDARD.encode(pair));
        let mut request = tonic::Request::new(stream::iter([HandshakeRequest::default()]));
        let header = basic.parse().map_err(|_| ShellError::Usage("the password is too long".to_owned()))?;
        request.metadata_mut().insert("authorization", header);
        let response = match self.client.inner_mut().handshake(request).await {
            Ok(response) => response,
            Err(status) => return Err(refused_sign_in(status.into(), credentials)),
        };
        let token = response
            .metadata()
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        match token {
            Some(token) => {
                self.token = Some(token.to_owned());
                self.client.set_token(token.to_owned());
            }
            None => {
                return Err(ShellError::Connection("the server gave no token at sign-in".to_owned()));
            }
        }
        Ok(())
    }

    /// Opens the streams of an answer, and finds the query's id in their headers. The locations that a server may name
    /// are not followed: an answer comes from where it was asked for.
    async fn read(&mut self, info: FlightInfo) -> Result<(Answer, Option<String>), ShellError> {
        self.running = Some(info.clone());
        let mut query_id = None;
        let mut streams = Vec::with_capacity(info.endpoint.len());
        for endpoint in &info.endpoint {
            let ticket =
                endpoint.ticket.clone().ok_or_else(|| ShellError::Answer("an endpoint has no ticket".to_owned()))?;
            let batches = self.client.do_get(ticket).await?;
            let header = batches.headers().get(headers::QUERY_ID);
            query_id = header.and_then(|id| id.to_str().ok().map(str::to_owned)).or(query_id);
            streams.push(batches);
        }
        let batches = stream::iter(streams).flatten().boxed();
        Ok((Answer::begin(info, batches).await?, query_id))
    }
}

impl Answer {
    /// Takes the schema that was declared, or else the one that the first batch has.
    async fn begin(
        info: FlightInfo,
        mut batches: BoxStream<'static, Result<RecordBatch, FlightError>>,
    ) -> Result<Self, ShellError> {
        if !info.schema.is_empty() {
            let schema = info.try_decode_schema()?.into();
            return Ok(Self { schema, batches });
        }
        let first = batches.next().await.transpose()?;
        Ok(Self {
            schema: first.as_ref().map_or_else(|| Schema::empty().into(), RecordBatch::schema),
            batches: stream::iter(first.map(Ok)).chain(batches).boxed(),
        })
    }

    pub(super) async fn collect(mut self) -> Result<Vec<RecordBatch>, ShellError> {
        let mut all = Vec::new();
        while let Some(batch) = self.batches.next().await {
            all.push(batch?);
        }
        Ok(all)
    }
}

fn endpoint(server: &ServerAddress, tls_ca: Option<&Path>) -> Result<Endpoint, ShellError> {
    let endpoint = Endpoint::from_shared(server.endpoint_uri())
        .and_then(|endpoint| endpoint.user_agent(concat!("chancery-sql/", env!("CARGO_PKG_VERSION"))))
        .map_err(|error| ShellError::Usage(format!("{server}: {}", innermost_reason(&error))))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(Some(KEEPALIVE))
        .http2_adaptive_window(true);
    match (server.transport, tls_ca) {
        (Transport::Tls, Some(path)) => with_tls(endpoint, path),
        (Transport::Tls, None) => Err(ShellError::Usage(
            "grpc+tls:// needs --tls-ca FILE, the authority that vouches for the server".to_owned(),
        )),
        (Transport::Plain, Some(_)) => {
            Err(ShellError::Usage("--tls-ca is for grpc+tls:// addresses; this one is plain text".to_owned()))
        }
        (Transport::Plain, None) => {
            if !server.is_loopback() {
                notice::say(&format!("warning: the way to {server} is not encrypted, and carries the password"));
            }
            Ok(endpoint)
        }
    }
}

fn with_tls(endpoint: Endpoint, path: &Path) -> Result<Endpoint, ShellError> {
    let unusable = |reason: String| ShellError::Usage(format!("--tls-ca {}: {reason}", path.display()));
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    endpoint
        .tls_config(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
        .map_err(|error| unusable(innermost_reason(&error)))
}

fn unreachable_server(server: &ServerAddress, error: &tonic::transport::Error) -> ShellError {
    let reason = innermost_reason(error);
    let hint = match reason.as_str() {
        "connection refused" if server.is_loopback() => "; is `chancery demo` running?",
        _ if reason.contains("InvalidContentType") => "; does it speak TLS? If not, use grpc://",
        _ => "",
    };
    ShellError::Connection(format!("cannot reach {server}: {reason}{hint}"))
}

fn refused_sign_in(error: FlightError, credentials: &Credentials) -> ShellError {
    match ShellError::from(error) {
        ShellError::Refused { message, .. } => ShellError::SignIn { user: credentials.user.clone(), message },
        other => other,
    }
}
