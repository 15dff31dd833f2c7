//! A session on loan to one reader. It goes back outside any transaction, or is ended at the server and closed.

use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use super::server::{Server, Use};
use super::session::Session;
use super::snapshot::Snapshot;
use crate::error::ConnectorError;
use crate::fault::Asking;

/// Every transaction sees one moment and writes nothing.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// What the server is doing for a session, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// Outside any transaction.
    Nothing,
    /// Inside a transaction and waiting for us.
    Waiting,
    /// A statement may be running.
    Running,
}

/// A session on loan.
#[derive(Debug)]
pub(super) struct Lease {
    server: Arc<Server>,
    purpose: Use,
    doing: Doing,
    /// INVARIANT: there until the lease is dropped.
    session: Option<(Session, OwnedSemaphorePermit)>,
}

impl Lease {
    pub(super) fn new(server: Arc<Server>, purpose: Use, session: Session, permit: OwnedSemaphorePermit) -> Self {
        Self { server, purpose, doing: Doing::Nothing, session: Some((session, permit)) }
    }

    /// What the server is asked for, from now on.
    pub(super) fn asking(&self, location: impl Into<String>) -> Asking {
        Asking::now(location, self.server.config().access.statement_timeout)
    }

    /// The driver's handle, for a statement that is about to run.
    pub(super) fn run(&mut self) -> Result<&Client, ConnectorError> {
        self.doing = Doing::Running;
        self.client()
    }

    /// The statement that ran has ended, and its answer is read to the end.
    pub(super) fn rest(&mut self) {
        self.doing = Doing::Waiting;
    }

    /// Begins a transaction that sees the moment of `snapshot`, or its own.
    pub(super) async fn begin(&mut self, snapshot: Option<&Snapshot>, asking: &Asking) -> Result<(), ConnectorError> {
        let begin = match snapshot {
            None => BEGIN.to_owned(),
            // INVARIANT: the server made the name, of hexadecimal digits and hyphens.
            Some(snapshot) => format!("{BEGIN}; SET TRANSACTION SNAPSHOT '{}'", snapshot.name()),
        };
        self.run()?.batch_execute(&begin).await.map_err(|error| asking.fault(error))?;
        self.rest();
        Ok(())
    }

    /// Begins a transaction and names its moment for others.
    pub(super) async fn begin_shared(&mut self, asking: &Asking) -> Result<String, ConnectorError> {
        let begin = format!("{BEGIN}; SELECT pg_export_snapshot()");
        let answer = self.run()?.simple_query(&begin).await.map_err(|error| asking.fault(error))?;
        self.rest();
        answer.iter().find_map(first_text).ok_or_else(|| ConnectorError::Unsupported {
            feature: "reading without an exported snapshot".to_owned(),
            advice: "use a server that exports snapshots".to_owned(),
        })
    }

    /// Ends the transaction. Only now is it certain that everything was sent to its end.
    pub(super) async fn commit(mut self, asking: &Asking) -> Result<(), ConnectorError> {
        self.run()?.batch_execute("COMMIT").await.map_err(|error| asking.fault(error))?;
        self.doing = Doing::Nothing;
        Ok(())
    }

    fn client(&self) -> Result<&Client, ConnectorError> {
        match &self.session {
            Some((session, _)) => Ok(session.client()),
            None => Err(ConnectorError::unavailable(self.server.config().shown(), "the session was given back")),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((session, permit)) = self.session.take() else { return };
        match self.doing {
            Doing::Nothing => self.server.give_back(self.purpose, session),
            Doing::Waiting => {
                // The first poll hands the statement to the connection; whoever is next stands behind it.
                let sent: Option<Result<(), Error>> = session.client().batch_execute("ROLLBACK").now_or_never();
                if !matches!(sent, Some(Err(_))) {
                    self.server.give_back(self.purpose, session);
                }
            }
            Doing::Running => self.server.end(session, permit),
        }
    }
}

fn first_text(message: &SimpleQueryMessage) -> Option<String> {
    match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }
}
