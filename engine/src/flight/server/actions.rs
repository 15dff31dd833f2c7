//! The actions at the door: prepared statements, cancelling, closing, and what coordinators ask of sites.

use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionBeginTransactionResult, ActionCancelQueryRequest, ActionCancelQueryResult,
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    ActionEndTransactionRequest, Any, Command, ProstMessageExt, TicketStatementQuery,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightEndpoint, FlightInfo,
    RenewFlightEndpointRequest,
};
use prost::Message;
use tonic::metadata::MetadataMap;

use super::{FlightServer, decode_command, encapsulated, ticket_of};
use crate::catalog::view::{DIRECTORY_ACTION, VIEW_ACTION};
use crate::error::{Code, EngineError, Result};
use crate::flight::access::Caller;
use crate::flight::handle::Handle;
use crate::session::queries::QueryId;

const CREATE: &str = "CreatePreparedStatement";
const CLOSE: &str = "ClosePreparedStatement";
const CANCEL_QUERY: &str = "CancelQuery";
const CANCEL_INFO: &str = "CancelFlightInfo";
const RENEW: &str = "RenewFlightEndpoint";
const BEGIN_TRANSACTION: &str = "BeginTransaction";
const END_TRANSACTION: &str = "EndTransaction";
const SET_OPTIONS: &str = "SetSessionOptions";
const GET_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";

/// The actions that are told to clients that ask.
pub(super) const LISTED: [(&str, &str); 10] = [
    (CREATE, "prepares a statement"),
    (CLOSE, "forgets a prepared statement"),
    (CANCEL_QUERY, "cancels a running query by its FlightInfo (older form)"),
    (CANCEL_INFO, "cancels a running query by its FlightInfo"),
    (RENEW, "gives a ticket that has not expired a new time"),
    (BEGIN_TRANSACTION, "begins a transaction that reads, and holds nothing"),
    (END_TRANSACTION, "ends a transaction; there is nothing to commit or to roll back"),
    (SET_OPTIONS, "sets the session's `purpose`, `catalog` and `schema`"),
    (GET_OPTIONS, "tells the session's `purpose`, `catalog` and `schema`"),
    (CLOSE_SESSION, "ends the session of the bearer token"),
];

/// `CloseSessionResult.Status.CLOSED` as a message: field 1, value 1.
const SESSION_CLOSED: [u8; 2] = [0x08, 0x01];

impl FlightServer {
    /// Carries out an action, which is told by that identity; its results are few and small.
    pub(super) async fn act(
        &self,
        (caller, id): (&Caller, &QueryId),
        headers: &MetadataMap,
        action: Action,
    ) -> Result<Vec<arrow_flight::Result>> {
        if !caller.is_from_peer() {
            return self.act_for_user(caller, id, action).await;
        }
        match action.r#type.as_str() {
            VIEW_ACTION => json(self.door.view(&self.admit(caller, headers, None, id).await?.asker).await?),
            DIRECTORY_ACTION => json(self.door.directory().await?),
            _ => caller.clone().user().map(|_| Vec::new()),
        }
    }

    async fn act_for_user(&self, caller: &Caller, id: &QueryId, action: Action) -> Result<Vec<arrow_flight::Result>> {
        match action.r#type.as_str() {
            CREATE => {
                let request = unpack::<ActionCreatePreparedStatementRequest>(&action.body)?;
                self.check_transaction(&caller.asker.label(), request.transaction_id.as_deref())?;
                self.prepare(caller, id, &request.query).await
            }
            CLOSE => {
                let request = unpack::<ActionClosePreparedStatementRequest>(&action.body)?;
                self.close(caller, &request.prepared_statement_handle)
            }
            CANCEL_QUERY => {
                let request = unpack::<ActionCancelQueryRequest>(&action.body)?;
                let info = FlightInfo::decode(request.info.as_ref()).map_err(|_| unreadable(CANCEL_QUERY))?;
                let result = ActionCancelQueryResult { result: self.cancel(caller, &info)?.into() };
                Ok(vec![body(result.as_any().encode_to_vec())])
            }
            CANCEL_INFO => {
                let request =
                    CancelFlightInfoRequest::decode(action.body.as_ref()).map_err(|_| unreadable(CANCEL_INFO))?;
                let status = self.cancel(caller, &request.info.unwrap_or_default())?;
                Ok(vec![body(CancelFlightInfoResult::new(status).encode_to_vec())])
            }
            CLOSE_SESSION => {
                self.access.close_session(caller);
                self.door.queries().stop_lapsed();
                Ok(vec![body(SESSION_CLOSED.to_vec())])
            }
            RENEW => {
                let request =
                    RenewFlightEndpointRequest::decode(action.body.as_ref()).map_err(|_| unreadable(RENEW))?;
                let endpoint = self.renew(caller, request.endpoint.unwrap_or_default())?;
                Ok(vec![body(endpoint.encode_to_vec())])
            }
            BEGIN_TRANSACTION => {
                unpack::<ActionBeginTransactionRequest>(&action.body)?;
                let sealed = self.sealer.seal(&caller.asker.label(), &Handle::transaction())?;
                let result = ActionBeginTransactionResult { transaction_id: sealed.into() };
                Ok(vec![body(result.as_any().encode_to_vec())])
            }
            END_TRANSACTION => {
                let request = unpack::<ActionEndTransactionRequest>(&action.body)?;
                self.check_transaction(&caller.asker.label(), Some(&request.transaction_id))?;
                Ok(Vec::new())
            }
            SET_OPTIONS => self.set_options(caller, &action.body).await.map(|bytes| vec![body(bytes)]),
            GET_OPTIONS => Ok(vec![body(self.options(caller))]),
            other => Err(EngineError::new(Code::Unsupported, format!("the action `{other}` is not offered here"))),
        }
    }

    async fn prepare(&self, caller: &Caller, id: &QueryId, sql: &str) -> Result<Vec<arrow_flight::Result>> {
        let handle = Handle::prepared(sql, caller.place.clone());
        let question = super::statements::question(&handle)?;
        let description = self.describe(caller, id, question).await?;
        let result = ActionCreatePreparedStatementResult {
            prepared_statement_handle: self.sealer.seal(&caller.asker.label(), &handle)?.into(),
            dataset_schema: encapsulated(&caller.reader.schema(&description.schema))?,
            parameter_schema: encapsulated(&caller.reader.parameters(&description.parameters))?,
        };
        Ok(vec![body(result.as_any().encode_to_vec())])
    }

    /// A handle holds all of its statement, and nothing is kept for it: closing tells whose it is, and takes nothing away. One
    /// that has expired is closed already.
    fn close(&self, caller: &Caller, sealed: &[u8]) -> Result<Vec<arrow_flight::Result>> {
        self.sealer.open_ever(&caller.asker.label(), sealed).map(|_| Vec::new())
    }

    /// The endpoint with its ticket sealed anew, from now until the lifetime's end.
    fn renew(&self, caller: &Caller, mut endpoint: FlightEndpoint) -> Result<FlightEndpoint> {
        let ticket = endpoint.ticket.take().unwrap_or_default();
        let Command::TicketStatementQuery(statement) = decode_command(&ticket.ticket)? else {
            return Err(EngineError::new(Code::Unsupported, "this ticket does not expire, and is not renewed"));
        };
        let handle = self.sealer.redeem(&caller.asker, &statement.statement_handle)?;
        let sealed = self.sealer.seal(&caller.asker.label(), &handle)?;
        endpoint.ticket = Some(ticket_of(&TicketStatementQuery { statement_handle: sealed.into() }));
        let seconds = i64::try_from(self.sealer.expiry_s()).unwrap_or(i64::MAX);
        endpoint.expiration_time.get_or_insert_default().seconds = seconds;
        Ok(endpoint)
    }

    /// Whether the transaction is the subject's own; without one there is nothing to check.
    pub(super) fn check_transaction(&self, subject: &str, transaction: Option<&[u8]>) -> Result<()> {
        match transaction.filter(|id| !id.is_empty()) {
            Some(id) => self.sealer.open_transaction(subject, id).map(|_| ()),
            None => Ok(()),
        }
    }

    /// A query may run for longer than its ticket can be redeemed.
    fn cancel(&self, caller: &Caller, info: &FlightInfo) -> Result<CancelStatus> {
        let mut found = false;
        for ticket in info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()) {
            let Command::TicketStatementQuery(ticket) = decode_command(&ticket.ticket)? else { continue };
            let handle = self.sealer.open_ever(&caller.asker.label(), &ticket.statement_handle)?;
            found |= self.door.queries().cancel_handle(&caller.asker.label(), &handle.id);
        }
        Ok(if found { CancelStatus::Cancelled } else { CancelStatus::NotCancellable })
    }
}

/// The transaction that a command names.
pub(super) fn transaction_of(command: &Command) -> Option<&[u8]> {
    match command {
        Command::CommandStatementQuery(query) => query.transaction_id.as_deref(),
        Command::CommandStatementUpdate(update) => update.transaction_id.as_deref(),
        _ => None,
    }
}

fn body(bytes: Vec<u8>) -> arrow_flight::Result {
    arrow_flight::Result { body: bytes.into() }
}

fn json<T: serde::Serialize>(value: Option<T>) -> Result<Vec<arrow_flight::Result>> {
    let value = value.ok_or_else(|| EngineError::new(Code::Unsupported, "this node is no site"))?;
    Ok(vec![body(serde_json::to_vec(&value).map_err(EngineError::internal)?)])
}

fn unpack<M: ProstMessageExt>(bytes: &[u8]) -> Result<M> {
    let any = Any::decode(bytes).map_err(|_| unreadable("the action"))?;
    any.unpack::<M>().ok().flatten().ok_or_else(|| unreadable("the action"))
}

pub(super) fn unreadable(what: &str) -> EngineError {
    EngineError::new(Code::Unsupported, format!("{what} has a body that cannot be read"))
}
