//! The Flight service of a door: each call checked for its subject, each command sent where it is answered.

mod actions;
mod kill;
mod put;
mod settings;
mod start;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{Any, Command, CommandStatementQuery, ProstMessageExt};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    HandshakeResponse, IpcMessage, PollInfo, PutResult, SchemaAsIpc, SchemaResult, Ticket,
};
use arrow_ipc::writer::IpcWriteOptions;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};
use tracing::Span;

use crate::config::limits::Limits;
use crate::error::{Code, EngineError, Result};
use crate::flight::access::{Access, Caller};
use crate::flight::door::{Door, Refused};
use crate::flight::handle::Sealer;
use crate::flight::headers;
use crate::flight::messages::Messages;
use crate::flight::metadata;
use crate::flight::status::to_status;
use crate::key_set::message::{FragmentTicket, KeySetMessage};
use crate::session::queries::QueryId;
use crate::session::trace::{self, Told};
use crate::session::turns::Turns;

/// How long the answer to a handshake waits for the client's first word: some clients listen first.
const FIRST_WORD: Duration = Duration::from_secs(2);

/// A stream of answers as tonic wants it.
type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// The Flight service over one door.
#[derive(Clone)]
pub struct FlightServer {
    door: Arc<dyn Door>,
    access: Arc<Access>,
    sealer: Arc<Sealer>,
    turns: Arc<Turns>,
    limits: Arc<Limits>,
}

impl std::fmt::Debug for FlightServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FlightServer").field("door", &self.door.name()).finish_non_exhaustive()
    }
}

impl FlightServer {
    /// The service of `door`, open to those whom `access` lets in.
    ///
    /// # Errors
    /// When the system has no randomness for the handles' key.
    pub fn new(door: Arc<dyn Door>, access: Arc<Access>, limits: Arc<Limits>) -> Result<Self> {
        let sealer = Sealer::random(limits.handle_lifetime_s)?;
        let turns = Arc::new(Turns::new(&limits));
        Ok(Self { door, access, sealer, turns, limits })
    }

    /// Whose turn it is here.
    pub fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    async fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        match self.access.caller(request.metadata(), request.extensions()).await {
            Ok(caller) => Ok(caller),
            Err(error) => Err(self.turn_away(error).await),
        }
    }

    /// Refuses a call whose caller is not believed, or who asks for a purpose that they do not hold.
    async fn turn_away(&self, error: EngineError) -> Status {
        let query = QueryId::random();
        let refused = Refused { asker: None, query: &query, fragment: 0, statement: "" };
        to_status(&self.refuse(refused, error).await, Some(&query))
    }

    /// What each line of the log about a statement of that caller carries.
    fn span(&self, caller: &Caller, query: &QueryId) -> Span {
        trace::span(&Told {
            query: query.as_str(),
            trace: caller.trace,
            node: self.door.name(),
            site: self.door.site(),
            subject: Arc::from(caller.asker.label()),
        })
    }

    /// Has the door record a refusal, and counts it.
    async fn refuse(&self, refused: Refused<'_>, error: EngineError) -> EngineError {
        let told = self.door.refuse(refused, error).await;
        self.door.queries().tally().refused(told.code());
        told
    }

    /// The caller of a statement, or of the view (`statement` is `None`): a peer as the user for whom it asks.
    async fn admit(
        &self,
        caller: &Caller,
        headers: &MetadataMap,
        statement: Option<&str>,
        query: &QueryId,
    ) -> Result<Caller> {
        match self.access.admit(caller, headers, statement).await {
            Ok(admitted) => Ok(admitted),
            Err(error) => {
                let (asker, fragment) = (Some(caller.asker.as_ref()), caller.fragment(headers));
                let refused = Refused { asker, query, fragment, statement: statement.unwrap_or_default() };
                Err(self.refuse(refused, error).await)
            }
        }
    }

    /// A user at this door; what coordinators may ask without one is answered before.
    async fn user<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        self.caller(request).await?.user().map_err(tell)
    }

    fn metadata_info(schema: &SchemaRef, descriptor: FlightDescriptor, command: &Command) -> Result<FlightInfo> {
        let ticket = Ticket { ticket: command.clone().into_any().encode_to_vec().into() };
        flight_info(schema, descriptor, ticket)
    }
}

/// A FlightInfo of one endpoint here: no location, totals unknown.
fn flight_info(schema: &SchemaRef, descriptor: FlightDescriptor, ticket: Ticket) -> Result<FlightInfo> {
    Ok(FlightInfo::new()
        .try_with_schema(schema)
        .map_err(EngineError::internal)?
        .with_descriptor(descriptor)
        .with_endpoint(FlightEndpoint::new().with_ticket(ticket))
        .with_total_records(-1)
        .with_total_bytes(-1))
}

/// A schema as clients expect it inside other messages: an encapsulated IPC message.
fn encapsulated(schema: &SchemaRef) -> Result<Bytes> {
    let IpcMessage(bytes) =
        SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into().map_err(EngineError::internal)?;
    Ok(bytes)
}

fn decode_any(bytes: &[u8]) -> Result<Any> {
    let unreadable =
        || EngineError::new(Code::NotFound, "this is no ticket or command of Flight SQL that this server knows");
    // Many bytes that are no message are one of fields that it does not have, and names nothing.
    Any::decode(bytes).ok().filter(|any| !any.type_url.is_empty()).ok_or_else(unreadable)
}

fn decode_command(bytes: &[u8]) -> Result<Command> {
    command_in(decode_any(bytes)?)
}

fn command_in(any: Any) -> Result<Command> {
    Command::try_from(any).map_err(|_| EngineError::new(Code::Unsupported, "a Flight SQL command that cannot be read"))
}

/// The command of a ticket; of a coordinator's, with the key sets that it brings. They are read once the call is let in.
fn decode_ticket(bytes: &[u8], caller: &Caller) -> Result<(Command, Vec<KeySetMessage>)> {
    let any = decode_any(bytes)?;
    let fragment = if caller.is_from_peer() { FragmentTicket::decode_ticket(&any)? } else { None };
    match fragment.map(FragmentTicket::into_parts) {
        None => Ok((command_in(any)?, Vec::new())),
        Some((query, key_sets)) => {
            let query = CommandStatementQuery { query, transaction_id: None };
            Ok((Command::CommandStatementQuery(query), key_sets))
        }
    }
}

/// An error that is no query's has a number too, which stands in the log beside its causes.
fn tell(error: EngineError) -> Status {
    to_status(&error, Some(&QueryId::random()))
}

fn refused(what: &str) -> Status {
    to_status(&EngineError::new(Code::Unsupported, format!("{what} is not offered here")), None)
}

#[tonic::async_trait]
impl FlightService for FlightServer {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;

    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let token = self.access.handshake(request.metadata(), request.extensions()).await;
        // What it is counts for nothing. But pyarrow's client may wait for ever for a call to take a message that has ended
        // meanwhile.
        let _ = tokio::time::timeout(FIRST_WORD, request.into_inner().message()).await;
        let token = match token {
            Ok(token) => token,
            Err(error) => return Err(self.turn_away(error).await),
        };
        let bearer = format!("Bearer {token}").parse().map_err(|_| tell(EngineError::defect("an unusable token")))?;
        let payload = HandshakeResponse { protocol_version: 0, payload: token.into_bytes().into() };
        let mut response = Response::new(stream::once(async move { Ok(payload) }).boxed());
        response.metadata_mut().insert("authorization", bearer);
        Ok(response)
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let caller = self.user(&request).await?;
        let descriptor = request.into_inner();
        let command = decode_command(&descriptor.cmd).map_err(tell)?;
        if let Some(schema) = metadata::schema(&command).map_err(tell)? {
            return Ok(numbered(Self::metadata_info(&schema, descriptor, &command).map_err(tell)?));
        }
        self.statement_info(&caller, descriptor, command).await
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let caller = self.user(&request).await?;
        let command = decode_command(&request.into_inner().cmd).map_err(tell)?;
        let schema = match metadata::schema(&command).map_err(tell)? {
            Some(schema) => schema,
            None => self.statement_schema(&caller, &command).await?,
        };
        Ok(numbered(SchemaResult { schema: encapsulated(&schema).map_err(tell)? }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let caller = self.caller(&request).await?;
        let (headers, _, ticket) = request.into_parts();
        let (command, key_sets) = decode_ticket(&ticket.ticket, &caller).map_err(tell)?;
        if metadata::schema(&command).map_err(tell)?.is_some() {
            let caller = caller.user().map_err(tell)?;
            let batch = metadata::answer(self.door.as_ref(), &caller, &self.limits, command).await.map_err(tell)?;
            return one_batch(&batch, &self.limits);
        }
        self.run_statement(&caller, &headers, command, key_sets).await
    }

    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let caller = self.user(&request).await?;
        let (headers, _, messages) = request.into_parts();
        self.put(&caller, &headers, messages).await
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let caller = self.caller(&request).await?;
        let (headers, _, action) = request.into_parts();
        let id = caller.query_id(&headers).unwrap_or_else(QueryId::random);
        let results = self.act((&caller, &id), &headers, action).await;
        let results = results.map_err(|error| to_status(&error, Some(&id)))?;
        Ok(with_query_id(stream::iter(results.into_iter().map(Ok)).boxed(), &id))
    }

    async fn list_actions(&self, request: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        self.user(&request).await?;
        Ok(Response::new(
            stream::iter(actions::LISTED.map(|(name, description)| {
                Ok(ActionType { r#type: name.to_string(), description: description.to_string() })
            }))
            .boxed(),
        ))
    }

    async fn list_flights(&self, _request: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(refused("ListFlights"))
    }

    /// A statement is described at once and runs when its ticket is redeemed: there is nothing to poll for.
    async fn poll_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        let (headers, info, extensions) = self.get_flight_info(request).await?.into_parts();
        let known = PollInfo { info: Some(info), flight_descriptor: None, progress: Some(1.0), expiration_time: None };
        Ok(Response::from_parts(headers, known, extensions))
    }

    async fn do_exchange(
        &self,
        _request: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(refused("DoExchange"))
    }
}

/// The header that every answer carries.
fn with_query_id<T>(message: T, id: &QueryId) -> Response<T> {
    let mut response = Response::new(message);
    if let Ok(value) = id.as_str().parse() {
        response.metadata_mut().insert(headers::QUERY_ID, value);
    }
    response
}

/// An answer that is no query's: it has a number too, so that an asker can name it.
fn numbered<T>(message: T) -> Response<T> {
    with_query_id(message, &QueryId::random())
}

/// An answer of one batch, in messages that every client takes.
fn one_batch(batch: &RecordBatch, limits: &Limits) -> Result<Response<Answers<FlightData>>, Status> {
    let mut messages = Messages::new(IpcWriteOptions::default(), limits.flight_data_bytes_target);
    let schema = messages.schema(&batch.schema());
    let rows = messages.batch(batch).map_err(|error| tell(EngineError::internal(error)))?;
    let all = std::iter::once(schema).chain(rows.into_iter().map(|(_, message)| message));
    Ok(numbered(stream::iter(all.map(Ok).collect::<Vec<_>>()).boxed()))
}

/// A message of Flight SQL wrapped as a ticket.
fn ticket_of<M: ProstMessageExt>(message: &M) -> Ticket {
    Ticket { ticket: message.as_any().encode_to_vec().into() }
}
