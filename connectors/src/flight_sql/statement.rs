//! A statement at the server: prepared where the server does that, so that its columns are known before it runs, and closed when
//! nobody needs it any more.

use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    Any, CommandPreparedStatementQuery, CommandStatementQuery, ProstMessageExt,
};
use arrow_flight::{Action, FlightInfo, IpcMessage};
use bytes::Bytes;
use prost::Message;
use tonic::Status;

use super::fault::{Asking, is_unimplemented};
use super::server::Server;

/// The actions of Flight SQL that prepare a statement and forget it.
const CREATE: &str = "CreatePreparedStatement";
const CLOSE: &str = "ClosePreparedStatement";

/// A statement; dropped, the server is told to forget it.
#[derive(Debug)]
pub(super) struct Statement {
    server: Arc<Server>,
    command: Bytes,
    /// The server's name for it, where it is prepared.
    handle: Option<Bytes>,
    columns: Option<Schema>,
}

impl Statement {
    /// Prepares `text`, if the server does that.
    ///
    /// # Errors
    /// What the server answers to a statement that it does not take.
    pub(super) async fn of(server: &Arc<Server>, text: &str, asking: &Asking) -> Result<Self, Status> {
        if server.prepares().is_assumed() {
            match Self::prepared(server, text, asking).await {
                Err(status) if is_unimplemented(&status) => server.prepares().deny(),
                answer => return answer,
            }
        }
        let command = CommandStatementQuery { query: text.to_owned(), transaction_id: None };
        let command = command.as_any().encode_to_vec().into();
        Ok(Self { server: Arc::clone(server), command, handle: None, columns: None })
    }

    async fn prepared(server: &Arc<Server>, text: &str, asking: &Asking) -> Result<Self, Status> {
        let request = ActionCreatePreparedStatementRequest { query: text.to_owned(), transaction_id: None };
        let action = Action::new(CREATE, request.as_any().encode_to_vec());
        let body = server.act(asking, action).await?.ok_or_else(|| unreadable("nothing"))?;
        let created: ActionCreatePreparedStatementResult = Any::decode(body)
            .ok()
            .and_then(|any| any.unpack().ok().flatten())
            .ok_or_else(|| unreadable("no prepared statement"))?;
        let command =
            CommandPreparedStatementQuery { prepared_statement_handle: created.prepared_statement_handle.clone() };
        Ok(Self {
            server: Arc::clone(server),
            command: command.as_any().encode_to_vec().into(),
            handle: Some(created.prepared_statement_handle),
            columns: columns_of(created.dataset_schema),
        })
    }

    /// The columns of its answer, where the server told them when it prepared it.
    pub(super) fn columns(&self) -> Option<&Schema> {
        self.columns.as_ref()
    }

    /// Has the server run it, or promise to.
    pub(super) async fn run(&self, asking: &Asking) -> Result<FlightInfo, Status> {
        self.server.flight_info(asking, self.command.clone()).await
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        let request = ActionClosePreparedStatementRequest { prepared_statement_handle: handle };
        self.server.act_later(Action::new(CLOSE, request.as_any().encode_to_vec()));
    }
}

/// The columns that a server tells; none if it tells nothing that can be read. (What arrives is compared in any case.)
pub(super) fn columns_of(told: Bytes) -> Option<Schema> {
    let columns = if told.is_empty() { None } else { Schema::try_from(IpcMessage(told)).ok() };
    columns.filter(|columns| !columns.fields().is_empty())
}

fn unreadable(what: &str) -> Status {
    Status::data_loss(format!("the server has answered {what} where it was to prepare a statement"))
}
