//! DoPut: parameters for a prepared statement, and statements that change something and are answered with a count.

use arrow::array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::sql::{Command, DoPutPreparedStatementResult, DoPutUpdateResult};
use arrow_flight::{FlightData, PutResult};
use arrow_ipc::writer::StreamWriter;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Response, Status, Streaming};
use tracing::Instrument;

use super::actions::transaction_of;
use super::{Answers, FlightServer, decode_command, numbered, tell, with_query_id};
use crate::error::{Code, EngineError, Result};
use crate::flight::access::Caller;
use crate::flight::door::Refused;
use crate::flight::guard::Guard;
use crate::flight::handle::Handle;
use crate::flight::metadata;
use crate::flight::status::to_status;
use crate::session::complexity::Budget;
use crate::session::kill::Kill;
use crate::session::parameters;
use crate::session::setting::Setting;
use crate::session::statement::{Statement, parse};
use crate::session::threads;

impl FlightServer {
    /// DoPut, by the command in its first message.
    pub(super) async fn put(
        &self,
        caller: &Caller,
        headers: &MetadataMap,
        mut messages: Streaming<FlightData>,
    ) -> Result<Response<Answers<PutResult>>, Status> {
        let first = messages
            .message()
            .await?
            .ok_or_else(|| tell(EngineError::new(Code::Unsupported, "an empty DoPut means nothing here")))?;
        let command = first
            .flight_descriptor
            .as_ref()
            .ok_or_else(|| tell(EngineError::new(Code::Unsupported, "a DoPut without a command means nothing here")))
            .and_then(|descriptor| decode_command(&descriptor.cmd).map_err(tell))?;
        let label = caller.asker.label();
        self.check_transaction(&label, transaction_of(&command)).map_err(tell)?;
        match command {
            Command::CommandPreparedStatementQuery(prepared) => {
                let handle = self.sealer.open_prepared(&label, &prepared.prepared_statement_handle).map_err(tell)?;
                let data = stream::once(async move { Ok(first) }).chain(messages);
                let guard = Guard::new(self.limits.parameters_max, self.limits.decoded_batch_bytes_max);
                let mut guard = guard.taking_dictionaries().taking_runs();
                let data = data.map(move |message: Result<FlightData, Status>| {
                    let data = message?;
                    guard.check(&data).map_err(|wrong| FlightError::DecodeError(format!("it holds {wrong}")))?;
                    Ok(data)
                });
                let data = FlightRecordBatchStream::new_from_flight_data(data);
                self.bind_parameters(caller, handle, data).await.map_err(tell)
            }
            Command::CommandStatementUpdate(update) => {
                self.update(caller, headers, Handle::prepared(update.query, caller.place.clone())).await
            }
            Command::CommandPreparedStatementUpdate(prepared) => {
                let handle = self.sealer.open_prepared(&label, &prepared.prepared_statement_handle).map_err(tell)?;
                self.update(caller, headers, handle).await
            }
            other => Err(tell(metadata::unsupported(&other))),
        }
    }

    /// Parameters are answered with a new handle that holds them.
    async fn bind_parameters(
        &self,
        caller: &Caller,
        handle: Handle,
        data: FlightRecordBatchStream,
    ) -> Result<Response<Answers<PutResult>>> {
        let parameters = threads::run(read_parameters(data, self.limits.parameter_bytes_max)).await?;
        let sealed = self.sealer.seal(&caller.asker.label(), &handle.bound(parameters))?;
        let result = DoPutPreparedStatementResult { prepared_statement_handle: Some(sealed.into()) };
        Ok(numbered(put_result(&result)))
    }

    /// A statement that changes something: the session's purpose, or the policy. It runs like a query, and the answer is
    /// the number of its rows.
    async fn update(
        &self,
        caller: &Caller,
        headers: &MetadataMap,
        handle: Handle,
    ) -> Result<Response<Answers<PutResult>>, Status> {
        if let Some(setting) = Setting::read(&handle.sql) {
            self.settle(caller, setting).await.map_err(tell)?;
            return Ok(numbered(put_result(&DoPutUpdateResult { record_count: 0 })));
        }
        if let Some(kill) = Kill::read(&handle.sql) {
            self.kill(caller, &kill).map_err(tell)?;
            return Ok(numbered(put_result(&DoPutUpdateResult { record_count: 1 })));
        }
        let handle = handle.ticket(caller.asker.purpose.clone());
        let id = handle.query_id();
        let failed = |error: EngineError| to_status(&error, Some(&id));
        let (sql, budget) = (handle.sql.clone(), Budget::of(&self.limits));
        if let Err(error) = threads::run(async move { expect_change(&sql, &budget) }).await {
            let refused = Refused { asker: Some(&caller.asker), query: &id, fragment: 0, statement: &handle.sql };
            return Err(failed(self.refuse(refused, error).await));
        }
        let span = self.span(caller, &id);
        let begun = self.start((caller, headers), &handle, Vec::new(), &id).instrument(span);
        let (running, mut batches) = begun.await.map_err(failed)?;
        let mut rows = 0;
        loop {
            match batches.try_next().await.map_err(EngineError::of_running) {
                Ok(Some(batch)) => rows += batch.num_rows(),
                Ok(None) => break,
                Err(error) => {
                    running.failed(error.code());
                    return Err(failed(error));
                }
            }
        }
        running.finished();
        let record_count = i64::try_from(rows).unwrap_or(i64::MAX);
        Ok(with_query_id(put_result(&DoPutUpdateResult { record_count }), &id))
    }
}

/// A query is no update.
fn expect_change(sql: &str, budget: &Budget) -> Result<()> {
    match parse(sql, budget)? {
        Statement::Policy(_) => Ok(()),
        _ => Err(EngineError::new(
            Code::Statement,
            "a statement that answers with rows is asked as a query, not an update",
        )),
    }
}

fn put_result(message: &impl Message) -> Answers<PutResult> {
    let answer = PutResult { app_metadata: message.encode_to_vec().into() };
    stream::once(async move { Ok(answer) }).boxed()
}

/// The parameters that a client sends, plain, as a handle holds them; `None` when it sends none.
async fn read_parameters(batches: FlightRecordBatchStream, bytes_max: usize) -> Result<Option<String>> {
    match one_row(batches).await? {
        Some(row) => encode_parameters(&parameters::plain(&row, bytes_max)?, bytes_max).map(Some),
        None => Ok(None),
    }
}

/// The one row of parameters that a client sends; `None` when it sends none.
async fn one_row(mut batches: FlightRecordBatchStream) -> Result<Option<RecordBatch>> {
    /// Of which all but one are empty.
    const BATCHES_MAX: usize = 64;
    let (mut row, mut read): (Option<RecordBatch>, usize) = (None, 0);
    let unreadable = |error| EngineError::new(Code::Type, "the parameters cannot be read").caused_by(error);
    while let Some(batch) = batches.try_next().await.map_err(unreadable)? {
        read += 1;
        if read > BATCHES_MAX {
            return Err(EngineError::new(
                Code::Complexity,
                format!("parameters come in at most {BATCHES_MAX} batches"),
            ));
        }
        if batch.num_rows() == 0 {
            continue;
        }
        if row.is_some() || batch.num_rows() > 1 {
            return Err(EngineError::new(Code::Unsupported, "a query takes one row of parameters at a time"));
        }
        row = Some(batch);
    }
    Ok(row)
}

fn encode_parameters(row: &RecordBatch, bytes_max: usize) -> Result<String> {
    let mut writer = StreamWriter::try_new(Vec::new(), &row.schema()).map_err(EngineError::internal)?;
    writer.write(row).map_err(EngineError::internal)?;
    let bytes = writer.into_inner().map_err(EngineError::internal)?;
    if bytes.len() > bytes_max {
        return Err(parameters::too_many_bytes(bytes_max));
    }
    Ok(STANDARD.encode(bytes))
}
