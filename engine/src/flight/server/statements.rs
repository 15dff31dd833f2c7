//! Statements at the door: described, sealed into tickets, and run.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::sql::{Command, TicketStatementQuery};
use arrow_flight::{FlightData, FlightDescriptor, FlightInfo};
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::physical_plan::SendableRecordBatchStream;
use tonic::metadata::MetadataMap;
use tonic::{Response, Status};

use super::{Answers, FlightServer, flight_info, one_batch, purpose, tell, ticket_of, with_query_id};
use crate::error::{Code, EngineError, Result};
use crate::flight::access::Caller;
use crate::flight::door::{Description, Question};
use crate::flight::handle::Handle;
use crate::flight::headers;
use crate::flight::metadata;
use crate::flight::status::to_status;
use crate::flight::stream::{Egress, Ending, encode};
use crate::flight::wire_types::wire_schema;
use crate::session::queries::{Admitted, QueryId, RunningQuery};
use crate::session::setting::Setting;
use crate::session::threads;

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
        let description = self.describe(caller, question(&execution)?).await?;
        let sealed = self.sealer.seal(&caller.asker.label(), &execution)?;
        let ticket = ticket_of(&TicketStatementQuery { statement_handle: sealed.into() });
        flight_info(&wire_schema(&description.schema), descriptor, ticket)
    }

    /// The columns of a statement's answer.
    pub(super) async fn statement_schema(&self, caller: &Caller, command: &Command) -> Result<SchemaRef> {
        let handle = self.handle_of(caller, command)?;
        let description = self.describe(caller, question(&handle)?).await?;
        Ok(wire_schema(&description.schema))
    }

    /// Plans a statement far enough to know its columns.
    pub(super) async fn describe(&self, caller: &Caller, question: Question) -> Result<Description> {
        if Setting::read(&question.sql).is_some() {
            return Ok(Description { schema: purpose::schema(), parameters: Arc::new(Schema::empty()) });
        }
        let (door, asker) = (Arc::clone(&self.door), Arc::clone(&caller.asker));
        let described = threads::run(async move { door.describe(&asker, &question).await });
        let own = Duration::from_millis(self.limits.statement_timeout_ms);
        tokio::time::timeout(own, described)
            .await
            .map_err(|_| EngineError::new(Code::Deadline, "the statement's time was over before it was planned"))?
    }

    /// The statement that a command carries in the open, or sealed in a handle.
    fn handle_of(&self, caller: &Caller, command: &Command) -> Result<Handle> {
        match command {
            Command::CommandStatementQuery(query) => Ok(Handle::prepared(query.query.clone(), None)),
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
    ) -> Result<Response<Answers<FlightData>>, Status> {
        let handle = self.handle_of(caller, &command).map_err(tell)?;
        let caller = &self.access.admit(caller, headers, Some(&handle.sql)).map_err(tell)?;
        if let Some(setting) = Setting::read(&handle.sql).filter(|_| !caller.is_from_peer()) {
            return one_batch(self.settle(caller, setting).map_err(tell)?);
        }
        let id = self.execution_id(caller, headers, &handle);
        let failed = |error: EngineError| to_status(&error, Some(&id));
        let (running, batches) = self.start(caller, headers, &handle, &id).await.map_err(failed)?;
        let egress = Egress {
            ending: if caller.wants_trailer(headers) { Ending::Trailer } else { Ending::Plain },
            compression: compression(caller, headers),
            limits: Arc::clone(&self.limits),
        };
        let messages = encode(batches, running, egress).map_err(failed)?;
        Ok(with_query_id(messages, &id))
    }

    /// Begins a statement: its record, and its rows as they come.
    pub(super) async fn start(
        &self,
        caller: &Caller,
        headers: &MetadataMap,
        handle: &Handle,
        id: &QueryId,
    ) -> Result<(RunningQuery, SendableRecordBatchStream)> {
        let mut question = question(handle)?;
        question.versions = caller.versions(headers)?;
        question.fragment = caller.fragment(headers);
        let admitted = Admitted { handle: Some(&handle.id), timeout: self.statement_timeout(headers) };
        let running = self.door.queries().begin(id.clone(), &caller.asker, &handle.sql, admitted)?;
        if let Some(standing) = self.access.standing(caller) {
            running.record().rest_on(standing);
        }
        match self.execute_within(&running, question).await {
            Ok(batches) => Ok((running, batches)),
            Err(error) => {
                running.failed(error.code());
                Err(error)
            }
        }
    }

    /// The query that a peer's call belongs to; else the handle's own, unless the ticket was redeemed before.
    fn execution_id(&self, caller: &Caller, headers: &MetadataMap, handle: &Handle) -> QueryId {
        let own = || Some(handle.query_id()).filter(|id| !self.door.queries().knows(id));
        caller.query_id(headers).or_else(own).unwrap_or_else(QueryId::random)
    }

    async fn execute_within(&self, running: &RunningQuery, question: Question) -> Result<SendableRecordBatchStream> {
        let record = Arc::clone(running.record());
        let (door, planned) = (Arc::clone(&self.door), Arc::clone(&record));
        let planning = threads::run(async move {
            let batches = door.execute(Arc::clone(&planned), question).await?;
            threads::stream(batches, planned)
        });
        tokio::select! {
            result = planning => result,
            reason = record.stopped() => Err(reason),
        }
    }

    /// The shorter of the node's own limit and what the call says in `grpc-timeout`.
    fn statement_timeout(&self, headers: &MetadataMap) -> Duration {
        let own = Duration::from_millis(self.limits.statement_timeout_ms);
        let asked = headers.get("grpc-timeout").and_then(|value| grpc_timeout(value.to_str().ok()?));
        asked.map_or(own, |asked| asked.min(own))
    }
}

fn compression(caller: &Caller, headers: &MetadataMap) -> Option<CompressionType> {
    if !caller.is_from_peer() {
        return None;
    }
    match headers.get(headers::COMPRESSION)?.to_str().ok()? {
        "lz4" => Some(CompressionType::LZ4_FRAME),
        "zstd" => Some(CompressionType::ZSTD),
        _ => None,
    }
}

/// The duration of a `grpc-timeout` header (gRPC over HTTP/2: up to eight digits and a unit letter).
fn grpc_timeout(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(value * 3600),
        'M' => Duration::from_secs(value * 60),
        'S' => Duration::from_secs(value),
        'm' => Duration::from_millis(value),
        'u' => Duration::from_micros(value),
        'n' => Duration::from_nanos(value),
        _ => return None,
    })
}

/// The question that a handle holds.
pub(super) fn question(handle: &Handle) -> Result<Question> {
    let parameters = handle.parameters.as_deref().map(decode_parameters).transpose()?;
    Ok(Question { parameters, ..Question::new(handle.sql.clone()) })
}

fn decode_parameters(text: &str) -> Result<ParamValues> {
    let bytes = STANDARD.decode(text).map_err(EngineError::internal)?;
    let mut reader = StreamReader::try_new(std::io::Cursor::new(bytes), None).map_err(EngineError::internal)?;
    let batch = reader
        .next()
        .ok_or_else(|| EngineError::internal("sealed parameters without a row"))?
        .map_err(EngineError::internal)?;
    let values = batch
        .columns()
        .iter()
        .map(|column| ScalarValue::try_from_array(column, 0))
        .collect::<datafusion::error::Result<Vec<_>>>()?;
    Ok(ParamValues::from(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeouts_are_read() {
        assert_eq!(grpc_timeout("1500m"), Some(Duration::from_millis(1500)));
        assert_eq!(grpc_timeout("2S"), Some(Duration::from_secs(2)));
        assert_eq!(grpc_timeout("S"), None);
        assert_eq!(grpc_timeout("123456789S"), None);
        assert_eq!(grpc_timeout("5é"), None);
    }
}
