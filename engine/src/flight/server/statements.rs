//! Statements at the door: described, sealed into tickets, and run.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::sql::{Command, TicketStatementQuery};
use arrow_flight::{FlightData, FlightDescriptor, FlightInfo};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::ParamValues;
use futures::{Stream, StreamExt};
use tonic::metadata::MetadataMap;
use tonic::{Response, Status};
use tracing::{Instrument, Span};

use super::actions::transaction_of;
use super::{Answers, FlightServer, flight_info, kill, one_batch, settings, tell, ticket_of, with_query_id};
use crate::error::{Code, EngineError, Result};
use crate::flight::access::Caller;
use crate::flight::door::{Description, Question, Refused};
use crate::flight::handle::Handle;
use crate::flight::headers;
use crate::flight::metadata;
use crate::flight::status::to_status;
use crate::flight::stream::{Egress, Ending, encode};
use crate::flight::wire_types::Reader;
use crate::key_set::message::KeySetMessage;
use crate::session::kill::Kill;
use crate::session::parameters;
use crate::session::queries::QueryId;
use crate::session::setting::Setting;
use crate::session::threads;
use crate::session::turns::Kind;

/// How long the head of an answer waits for its first rows.
const HEAD_WAITS: Duration = Duration::from_millis(100);

impl FlightServer {
    /// GetFlightInfo of a statement: its columns, and a sealed ticket.
    pub(super) async fn statement_info(
        &self,
        caller: &Caller,
        descriptor: FlightDescriptor,
        command: Command,
    ) -> Result<Response<FlightInfo>, Status> {
        // A handle of its own for each execution: its id is the query's, and a cancel reaches this one and no other.
        let purpose = caller.asker.purpose.clone();
        let execution = self.handle_of(caller, &command).map_err(tell)?.ticket(purpose);
        let id = execution.query_id();
        let info = self.seal_statement(caller, descriptor, execution).await;
        Ok(with_query_id(info.map_err(|error| to_status(&error, Some(&id)))?, &id))
    }

    async fn seal_statement(
        &self,
        caller: &Caller,
        descriptor: FlightDescriptor,
        execution: Handle,
    ) -> Result<FlightInfo> {
        let description = self.describe(caller, &execution.query_id(), question(&execution)?).await?;
        let sealed = self.sealer.seal(&caller.asker.label(), &execution)?;
        let ticket = ticket_of(&TicketStatementQuery { statement_handle: sealed.into() });
        flight_info(&caller.reader.schema(&description.schema), descriptor, ticket)
    }

    /// The columns of a statement's answer.
    pub(super) async fn statement_schema(&self, caller: &Caller, command: &Command) -> Result<SchemaRef, Status> {
        let handle = self.handle_of(caller, command).map_err(tell)?;
        // Nothing runs under the handle: the identity is this call's.
        let id = QueryId::random();
        let failed = |error: EngineError| to_status(&error, Some(&id));
        let description = self.describe(caller, &id, question(&handle).map_err(failed)?).await.map_err(failed)?;
        Ok(caller.reader.schema(&description.schema))
    }

    /// Plans a statement far enough to know its columns; a refusal is recorded, and told, under that identity.
    pub(super) async fn describe(&self, caller: &Caller, id: &QueryId, question: Question) -> Result<Description> {
        if let Some(setting) = Setting::read(&question.sql) {
            return Ok(Description { schema: settings::schema(&setting), parameters: Arc::new(Schema::empty()) });
        }
        if let Some(kill) = Kill::read(&question.sql) {
            return Ok(Description { schema: kill::schema(&kill), parameters: Arc::new(Schema::empty()) });
        }
        let sql = question.sql.clone();
        match self.describe_within(caller, question).instrument(self.span(caller, id)).await {
            Ok(description) => Ok(description),
            Err(error) => {
                let refused = Refused { asker: Some(&caller.asker), query: id, fragment: 0, statement: &sql };
                Err(self.refuse(refused, error).await)
            }
        }
    }

    async fn describe_within(&self, caller: &Caller, question: Question) -> Result<Description> {
        let turn = self.turns.take(&caller.asker.label(), Kind::Asked).await?;
        if let Some(known) = self.door.known(&caller.asker, &question)? {
            return Ok(known);
        }
        let (door, asker) = (Arc::clone(&self.door), Arc::clone(&caller.asker));
        let described = threads::run(async move {
            let described = door.describe(&asker, &question).await;
            drop(turn);
            described
        });
        let own = Duration::from_millis(self.limits.statement_timeout_ms);
        tokio::time::timeout(own, described)
            .await
            .map_err(|_| EngineError::new(Code::Deadline, "the statement's time was over before it was planned"))?
    }

    /// The statement that a command carries in the open, or sealed in a handle.
    fn handle_of(&self, caller: &Caller, command: &Command) -> Result<Handle> {
        self.check_transaction(&caller.asker.label(), transaction_of(command))?;
        match command {
            Command::CommandStatementQuery(query) => Ok(Handle::prepared(query.query.clone(), caller.place.clone())),
            Command::CommandPreparedStatementQuery(prepared) => {
                self.sealer.open_prepared(&caller.asker.label(), &prepared.prepared_statement_handle)
            }
            Command::TicketStatementQuery(ticket) => self.sealer.redeem(&caller.asker, &ticket.statement_handle),
            other => Err(metadata::unsupported(other)),
        }
    }

    /// DoGet of a statement, by a sealed ticket or, in one round trip, by the command itself.
    pub(super) async fn run_statement(
        &self,
        caller: &Caller,
        headers: &MetadataMap,
        command: Command,
        key_sets: Vec<KeySetMessage>,
    ) -> Result<Response<Answers<FlightData>>, Status> {
        let handle = self.handle_of(caller, &command).map_err(tell)?;
        let id = self.execution_id(caller, headers, &handle);
        let failed = |error: EngineError| to_status(&error, Some(&id));
        let caller = &self.admit(caller, headers, Some(&handle.sql), &id).await.map_err(failed)?;
        if let Some(setting) = Setting::read(&handle.sql).filter(|_| !caller.is_from_peer()) {
            return one_batch(&self.settle(caller, setting).await.map_err(tell)?, &self.limits);
        }
        if let Some(kill) = Kill::read(&handle.sql).filter(|_| !caller.is_from_peer()) {
            return one_batch(&self.kill(caller, &kill).map_err(tell)?, &self.limits);
        }
        self.access.count_statement(caller);
        let span = self.span(caller, &id);
        let begun = self.start((caller, headers), &handle, key_sets, &id).instrument(span.clone());
        let (running, batches) = begun.await.map_err(failed)?;
        let egress = Egress {
            ending: match caller.wants_trailer(headers) {
                true => Ending::Trailer(caller.fragment(headers)),
                false => Ending::Plain,
            },
            reader: caller.reader,
            compression: compression(caller, headers),
            limits: Arc::clone(&self.limits),
        };
        let messages = encode(batches, running, egress).map_err(failed)?;
        // Who is to wait for longer is told that there will be an answer.
        let _ = tokio::time::timeout(HEAD_WAITS, messages.rows().instrument(span.clone())).await;
        Ok(with_query_id(InSpan { span, messages: messages.boxed() }.boxed(), &id))
    }

    /// The query that a peer's call belongs to; else the handle's own, unless the ticket was redeemed before.
    fn execution_id(&self, caller: &Caller, headers: &MetadataMap, handle: &Handle) -> QueryId {
        let own = || Some(handle.query_id()).filter(|id| !self.door.queries().knows(id));
        caller.query_id(headers).or_else(own).unwrap_or_else(QueryId::random)
    }
}

/// An answer whose lines in the log carry what those about its statement do.
struct InSpan {
    span: Span,
    messages: Answers<FlightData>,
}

impl Stream for InSpan {
    type Item = Result<FlightData, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { span, messages } = &mut *self;
        let _entered = span.enter();
        messages.poll_next_unpin(context)
    }
}

/// As the call asks for, but for a reader that is known not to decode it.
fn compression(caller: &Caller, headers: &MetadataMap) -> Option<CompressionType> {
    if caller.reader == Reader::Jdbc {
        return None;
    }
    match headers.get(headers::COMPRESSION)?.to_str().ok()? {
        "lz4" => Some(CompressionType::LZ4_FRAME),
        "zstd" => Some(CompressionType::ZSTD),
        _ => None,
    }
}

/// The question that a handle holds.
pub(super) fn question(handle: &Handle) -> Result<Question> {
    let parameters = handle.parameters.as_deref().map(decode_parameters).transpose()?;
    Ok(Question { parameters, place: handle.place.clone(), ..Question::new(handle.sql.clone()) })
}

fn decode_parameters(text: &str) -> Result<ParamValues> {
    let bytes = STANDARD.decode(text).map_err(EngineError::internal)?;
    let mut reader = StreamReader::try_new(std::io::Cursor::new(bytes), None).map_err(EngineError::internal)?;
    let batch = reader
        .next()
        .ok_or_else(|| EngineError::defect("sealed parameters without a row"))?
        .map_err(EngineError::internal)?;
    parameters::values(batch.columns())
}
