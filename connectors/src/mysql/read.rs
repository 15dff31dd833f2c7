//! One statement read to its end: at the statement's moment, its types checked, then rows into batches.
//!
//! A task of its own reads, and holds the session until the answer is at its end: a session is given back between two
//! statements, or not at all. So other scans of the same moment can go on when nobody wants this one's rows any more, and
//! need not wait until somebody has taken them: the task then has the server end the statement, or puts the rows on disk.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use datafusion_common::DataFusionError;
use futures::stream::{self, StreamExt, TryStreamExt};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row};
use tokio::time::{sleep, timeout};

use super::decode::{append, is_sent_as, size, wire_name};
use super::lease::Lease;
use super::moment::{Moment, Turn};
use super::outlet::{Inlet, Outlet, outlet};
use super::server::Server;
use super::session::end_statement;
use super::warnings;
use crate::database::batch::BatchBuilder;
use crate::database::{Batches, Reading};
use crate::error::ConnectorError;
use crate::fault::Asking;

/// How much longer than the server itself a statement is waited for.
const GRACE: Duration = Duration::from_secs(1);
/// Does nothing; what came too late to end a statement ends this one.
const NOTHING: &str = "DO 0";

/// One statement of a server.
struct Statement {
    server: Arc<Server>,
    reading: Reading,
}

/// The rows of a statement of `server`.
pub(super) fn read(server: Arc<Server>, reading: Reading) -> Batches {
    let opening = async move {
        let (mut inlet, outlet) = outlet(&reading);
        let tasks = Arc::clone(&server);
        tasks.run(async move {
            let verdict = Statement { server, reading }.read(&mut inlet).await;
            inlet.end(verdict);
        });
        stream::try_unfold(outlet, Outlet::next_batch)
    };
    stream::once(opening).flatten().boxed()
}

impl Statement {
    async fn read(&self, inlet: &mut Inlet) -> Result<(), ConnectorError> {
        let watch = inlet.watch();
        let turn = async { Moment::of(self.reading.scope.as_deref(), &self.server).await?.turn().await };
        let mut turn = tokio::select! {
            turn = turn => turn?,
            () = watch.closed() => return Ok(()),
        };
        self.read_in(&mut turn, inlet).await
    }

    /// Reads in a session, until the end, or until nobody wants the rows, or the time is over.
    async fn read_in(&self, turn: &mut Turn, inlet: &mut Inlet) -> Result<(), ConnectorError> {
        let (access, moment, watch) = (self.server.access(), Arc::clone(turn.moment()), inlet.watch());
        let asking = Asking::now(self.reading.location.as_ref(), access.statement_timeout);
        let lease = turn.lease()?;
        let id = lease.id()?;
        let ended = {
            let mut reading = pin!(self.read_rows(lease, inlet, &moment, &asking));
            let ended = tokio::select! {
                read = &mut reading => return read,
                () = watch.closed() => Ok(()),
                () = sleep(access.statement_timeout + GRACE) => Err(()),
            };
            end_statement(access, id).await?;
            match (timeout(access.connect_timeout, reading).await, ended) {
                (Ok(_), ended) => ended,
                // Who takes the rows may be slower than the time allows: the server has ended, and what it sent waits.
                (Err(_), Err(())) => return Err(self.time_is_over()),
                (Err(elapsed), Ok(())) => {
                    return Err(ConnectorError::unavailable(self.reading.location.as_ref(), elapsed));
                }
            }
        };
        let lease = turn.lease()?;
        // Whether it ends this or nothing, it can end nothing else.
        if lease.is_resting() && lease.command(NOTHING).await.is_err() {
            lease.command(NOTHING).await?;
        }
        ended.map_err(|()| self.time_is_over())
    }

    fn time_is_over(&self) -> ConnectorError {
        ConnectorError::DeadlineExceeded {
            location: self.reading.location.to_string(),
            cause: "the server does not end it by itself".into(),
        }
    }

    async fn read_rows(
        &self,
        lease: &mut Lease,
        inlet: &mut Inlet,
        moment: &Moment,
        asking: &Asking,
    ) -> Result<(), ConnectorError> {
        let mut batch = BatchBuilder::new(&self.reading, wire_name)?;
        match self.read_answer(lease.run()?, &mut batch, inlet, moment).await {
            Ok(()) => lease.rest(),
            Err(Cut::ByDriver(error)) => {
                // The server has ended the statement in good order.
                if matches!(error, Error::Server(_)) {
                    lease.rest();
                }
                return Err(asking.fault(error));
            }
            Err(Cut::ByUs(error)) => return Err(error),
        }
        warnings::check(lease, &self.reading.location, asking).await?;
        if !batch.is_empty() {
            inlet.give(batch.finish()?, moment.is_wanted()).await.map_err(|error| self.disk_fault(error))?;
        }
        Ok(())
    }

    async fn read_answer(
        &self,
        conn: &mut Conn,
        batch: &mut BatchBuilder,
        inlet: &mut Inlet,
        moment: &Moment,
    ) -> Result<(), Cut> {
        let mut answer = conn.exec_iter(self.reading.text.as_ref(), ()).await?;
        // A column that was altered since would be read as another value, or not at all.
        let (sent, fields) = (answer.columns_ref(), self.reading.schema.fields());
        let agree = sent.len() == fields.len()
            && sent.iter().zip(fields).all(|(sent, field)| is_sent_as(field.data_type(), sent));
        if !agree {
            return Err(Cut::ByUs(ConnectorError::Changed { location: self.reading.location.to_string() }));
        }
        let Some(mut rows) = answer.stream::<Row>().await? else {
            return Err(Cut::ByUs(ConnectorError::unavailable(
                self.reading.location.as_ref(),
                "the answer has no rows",
            )));
        };
        while let Some(row) = rows.try_next().await? {
            batch.append(size(&row), |position, values| append(values, row.as_ref(position)))?;
            if batch.is_full() {
                inlet.give(batch.finish()?, moment.is_wanted()).await.map_err(|error| self.disk_fault(error))?;
            }
        }
        Ok(())
    }

    fn disk_fault(&self, error: DataFusionError) -> ConnectorError {
        ConnectorError::Exhausted { location: self.reading.location.to_string(), cause: error.into() }
    }
}

/// Why an answer was not read to its end.
enum Cut {
    ByDriver(Error),
    ByUs(ConnectorError),
}

impl From<Error> for Cut {
    fn from(error: Error) -> Self {
        Self::ByDriver(error)
    }
}

impl From<ConnectorError> for Cut {
    fn from(error: ConnectorError) -> Self {
        Self::ByUs(error)
    }
}
