//! The actions at the door: prepared statements, cancelling, closing, and what coordinators ask of sites.

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, Command, ProstMessageExt,
};
use arrow_flight::{Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo};
use prost::Message;
use tonic::metadata::MetadataMap;

use super::{FlightServer, decode_command, encapsulated};
use crate::catalog::view::{DIRECTORY_ACTION, VIEW_ACTION};
use crate::error::{Code, EngineError, Result};
use crate::flight::access::Caller;
use crate::flight::handle::Handle;
use crate::flight::wire_types::wire_schema;

const CREATE: &str = "CreatePreparedStatement";
const CLOSE: &str = "ClosePreparedStatement";
const CANCEL_QUERY: &str = "CancelQuery";
const CANCEL_INFO: &str = "CancelFlightInfo";
const SET_OPTIONS: &str = "SetSessionOptions";
const GET_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";

/// The actions that are told to clients that ask.
pub(super) const LISTED: [(&str, &str); 7] = [
    (CREATE, "prepares a statement"),
    (CLOSE, "forgets a prepared statement"),
    (CANCEL_QUERY, "cancels a running query by its FlightInfo (older form)"),
    (CANCEL_INFO, "cancels a running query by its FlightInfo"),
    (SET_OPTIONS, "sets the purpose of the session: option `purpose`"),
    (GET_OPTIONS, "tells the purpose in force: option `purpose`"),
    (CLOSE_SESSION, "ends the session of the bearer token"),
];

/// `CloseSessionResult.Status.CLOSED` as a message: field 1, value 1.
const SESSION_CLOSED: [u8; 2] = [0x08, 0x01];

impl FlightServer {
    /// Carries out an action; its results are few and small.
    pub(super) async fn act(
        &self,
        caller: &Caller,
        headers: &MetadataMap,
        action: Action,
    ) -> Result<Vec<arrow_flight::Result>> {
        if !caller.is_from_peer() {
            return self.act_for_user(caller, action).await;
        }
        match action.r#type.as_str() {
            VIEW_ACTION => json(self.door.view(&self.access.admit(caller, headers, None)?.asker).await?),
            DIRECTORY_ACTION => json(self.door.directory().await?),
            _ => caller.clone().user().map(|_| Vec::new()),
        }
    }

    async fn act_for_user(&self, caller: &Caller, action: Action) -> Result<Vec<arrow_flight::Result>> {
        match action.r#type.as_str() {
            CREATE => self.prepare(caller, &unpack::<ActionCreatePreparedStatementRequest>(&action.body)?.query).await,
            CLOSE => {
                unpack::<ActionClosePreparedStatementRequest>(&action.body)?;
                Ok(Vec::new())
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
            SET_OPTIONS => self.set_options(caller, &action.body).map(|bytes| vec![body(bytes)]),
            GET_OPTIONS => Ok(vec![body(Self::options(caller))]),
            other => Err(EngineError::new(Code::Unsupported, format!("the action `{other}` is not offered here"))),
        }
    }

    async fn prepare(&self, caller: &Caller, sql: &str) -> Result<Vec<arrow_flight::Result>> {
        let handle = Handle::prepared(sql, None);
        let question = super::statements::question(&handle)?;
        let description = self.describe(caller, question).await?;
        let result = ActionCreatePreparedStatementResult {
            prepared_statement_handle: self.sealer.seal(&caller.asker.label(), &handle)?.into(),
            dataset_schema: encapsulated(&wire_schema(&description.schema))?,
            parameter_schema: encapsulated(&description.parameters)?,
        };
        Ok(vec![body(result.as_any().encode_to_vec())])
    }

    fn cancel(&self, caller: &Caller, info: &FlightInfo) -> Result<CancelStatus> {
        let mut found = false;
        for ticket in info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()) {
            let Command::TicketStatementQuery(ticket) = decode_command(&ticket.ticket)? else { continue };
            let handle = self.sealer.open(&caller.asker.label(), &ticket.statement_handle)?;
            found |= self.door.queries().cancel_handle(&caller.asker.label(), &handle.id);
        }
        Ok(if found { CancelStatus::Cancelled } else { CancelStatus::NotCancellable })
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
