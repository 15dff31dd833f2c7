//! A session on loan to one reader. It goes back outside any transaction, or is closed.

use std::sync::Arc;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::flavour::Flavour;
use super::server::Server;
use super::session::Session;
use crate::error::ConnectorError;

/// Every transaction sees one moment and writes nothing.
const BEGIN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

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
    doing: Doing,
    /// INVARIANT: there until the lease is dropped or discarded.
    session: Option<(Session, OwnedSemaphorePermit)>,
}

impl Lease {
    pub(super) fn new(server: Arc<Server>, session: Session, permit: OwnedSemaphorePermit) -> Self {
        Self { server, doing: Doing::Nothing, session: Some((session, permit)) }
    }

    /// The driver's handle, for a statement that is about to run.
    pub(super) fn run(&mut self) -> Result<&mut Conn, ConnectorError> {
        self.doing = Doing::Running;
        self.session().map(Session::conn)
    }

    /// The statement that ran has ended, and its answer is read to the end.
    pub(super) fn rest(&mut self) {
        self.doing = Doing::Waiting;
    }

    /// Whether nothing runs in it, and its transaction goes on.
    pub(super) fn is_resting(&self) -> bool {
        self.doing == Doing::Waiting
    }

    /// The number by which the server knows the session.
    pub(super) fn id(&mut self) -> Result<u32, ConnectorError> {
        self.session().map(|session| session.id())
    }

    /// Which server it is.
    pub(super) fn flavour(&mut self) -> Result<Flavour, ConnectorError> {
        self.session().map(|session| session.flavour())
    }

    /// Begins a transaction at a moment of its own.
    pub(super) async fn begin(&mut self) -> Result<(), ConnectorError> {
        self.command(BEGIN).await
    }

    /// Where in the server's binary log the transaction's moment is; `None` if the server does not tell, or if the log may
    /// lack writes, so that different moments may have one place in it.
    pub(super) async fn place(&mut self) -> Result<Option<Vec<String>>, ConnectorError> {
        let questions = if self.server.shares_snapshots() { self.flavour()?.place_of_snapshot() } else { None };
        let Some([logs_all, place]) = questions else {
            return Ok(None);
        };
        let asking = self.server.asking();
        let conn = self.run()?;
        let logs_all: Option<Row> = conn.query_first(logs_all).await.map_err(|error| asking.fault(error))?;
        let logs_all = logs_all.and_then(|row| row.get_opt::<u8, _>(0)).and_then(Result::ok) == Some(1);
        let rows: Vec<Row> = match logs_all {
            true => conn.query(place).await.map_err(|error| asking.fault(error))?,
            false => Vec::new(),
        };
        self.rest();
        let values: Option<Vec<String>> = rows.iter().map(|row| row.get_opt(1)?.ok()).collect();
        // Without a log both are empty.
        Ok(values.filter(|values| values.len() == 2 && values.iter().all(|value| !value.is_empty())))
    }

    /// Runs a statement that has no answer.
    pub(super) async fn command(&mut self, sql: &str) -> Result<(), ConnectorError> {
        let asking = self.server.asking();
        self.run()?.query_drop(sql).await.map_err(|error| asking.fault(error))?;
        self.rest();
        Ok(())
    }

    /// Ends the transaction.
    pub(super) async fn commit(mut self) -> Result<(), ConnectorError> {
        self.command("COMMIT").await?;
        self.doing = Doing::Nothing;
        Ok(())
    }

    /// Closes the session; what is left is the right to another one.
    pub(super) fn discard(mut self) -> Result<OwnedSemaphorePermit, ConnectorError> {
        let (session, permit) = self.session.take().ok_or_else(|| gone(&self.server))?;
        session.close_at_once();
        Ok(permit)
    }

    fn session(&mut self) -> Result<&mut Session, ConnectorError> {
        match &mut self.session {
            Some((session, _)) => Ok(session),
            None => Err(gone(&self.server)),
        }
    }
}

fn gone(server: &Server) -> ConnectorError {
    ConnectorError::unavailable(server.access().shown(), "the session was given back")
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some((mut session, permit)) = self.session.take() else { return };
        match self.doing {
            Doing::Nothing => self.server.give_back(session),
            // A transaction that nobody needs would keep the server from forgetting old rows, and tables from being altered.
            Doing::Waiting => {
                let server = Arc::clone(&self.server);
                self.server.run(async move {
                    let rolled_back =
                        timeout(server.access().connect_timeout, session.conn().query_drop("ROLLBACK")).await;
                    match rolled_back {
                        Ok(Ok(())) => server.give_back(session),
                        _ => session.close_at_once(),
                    }
                    drop(permit);
                });
            }
            Doing::Running => session.close_at_once(),
        }
    }
}
