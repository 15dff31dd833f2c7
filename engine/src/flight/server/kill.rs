//! Queries and sessions ended at the door: by their own subject, or by an administrator.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::FlightServer;
use crate::error::{Code, EngineError, Result};
use crate::flight::access::Caller;
use crate::session::kill::Kill;
use crate::session::queries::Stop;

/// The column of the answer: what has been ended.
pub(super) fn schema(kill: &Kill) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(kill.column(), DataType::Utf8, false)]))
}

impl FlightServer {
    /// Ends what the statement names. What somebody else runs is to others than administrators not there.
    ///
    /// # Errors
    /// `NOT_FOUND`; `BUSY` when no more tokens can be remembered as ended: the session has ended even so.
    pub(super) fn kill(&self, caller: &Caller, kill: &Kill) -> Result<RecordBatch> {
        let (own, queries) = (caller.asker.label(), self.door.queries());
        let is_administrator = self.door.is_administrator(&caller.asker);
        let is_seen = |subject: &str| is_administrator || subject == own;
        let (id, was_there) = match kill {
            Kill::Query(id) => {
                let stopped = |reason, is_own: bool| {
                    let wanted = |subject: &str| is_seen(subject) && (subject == own) == is_own;
                    queries.kill(id, reason, |record| wanted(&record.subject))
                };
                let (own_ones, others) = (stopped(Stop::Cancelled, true), stopped(Stop::Killed, false));
                (id, own_ones || others)
            }
            Kill::Session(id) => {
                let ended = self.door.sessions().end(id, is_seen);
                // What runs in a session ends with it, whatever else is to be told.
                queries.stop_lapsed();
                (id, ended?)
            }
        };
        if !was_there {
            return Err(EngineError::new(
                Code::NotFound,
                format!("there is no such {}, or it has ended", kill.column()),
            ));
        }
        tracing::info!(by = own, what = kill.column(), id, "ended");
        let ended: ArrayRef = Arc::new(StringArray::from(vec![id.as_str()]));
        RecordBatch::try_new(schema(kill), vec![ended]).map_err(EngineError::internal)
    }
}
