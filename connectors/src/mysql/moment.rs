//! One moment of the server that all scans of a statement see, in turns: a session reads one statement at a time.
//!
//! A moment is a transaction's, and so one session's. Where the server tells the place of a transaction's moment in its
//! binary log, and every write is in the log (`share_snapshots`), sessions that began at the same place see the same moment,
//! and the statement has as many as it can get; where not, or others have written meanwhile, there is the one. Whoever reads makes way for whoever waits: see
//! `read`.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::lease::Lease;
use super::server::Server;
use crate::database::moment::Moments;
use crate::error::ConnectorError;
use crate::read_scope::ReadScope;

/// A moment; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct Moment {
    server: Arc<Server>,
    /// Where in the server's log it is, if the server tells.
    place: Option<Vec<String>>,
    sessions: Mutex<Sessions>,
    /// One permit for each session that nobody reads from; closed when the last session is gone.
    free: Semaphore,
    /// How many wait for a turn.
    waiting: watch::Sender<usize>,
}

#[derive(Debug)]
struct Sessions {
    free: Vec<Lease>,
    /// Those that are free and those in use.
    total: usize,
    /// Whether another session may still begin at the same place.
    can_grow: bool,
}

/// A session to read from; dropped, it is whoever's turn is next, or lost to the moment if a statement may still run in it.
#[derive(Debug)]
pub(super) struct Turn {
    moment: Arc<Moment>,
    /// INVARIANT: there until this is dropped.
    lease: Option<Lease>,
}

impl Moment {
    /// The moment that all scans in `scope` see of `server`; the first to ask takes it. Without a scope, one of its own.
    pub(super) async fn of(scope: Option<&ReadScope>, server: &Arc<Server>) -> Result<Arc<Self>, ConnectorError> {
        let Some(scope) = scope else {
            return Self::take(server).await;
        };
        Moments::of(scope, server).get_or_try_init(|| Self::take(server)).await.cloned()
    }

    async fn take(server: &Arc<Server>) -> Result<Arc<Self>, ConnectorError> {
        let mut first = server.begin().await?;
        let place = first.place().await?;
        let sessions = Sessions { free: vec![first], total: 1, can_grow: place.is_some() };
        Ok(Arc::new(Self {
            server: Arc::clone(server),
            place,
            sessions: Mutex::new(sessions),
            free: Semaphore::new(1),
            waiting: watch::Sender::new(0),
        }))
    }

    /// A session that sees the moment, once there is one to read from.
    ///
    /// # Errors
    /// [`ConnectorError::Unavailable`] if the sessions that saw the moment are gone; [`ConnectorError::DeadlineExceeded`]
    /// if none becomes free in the time that a statement has.
    pub(super) async fn turn(self: Arc<Self>) -> Result<Turn, ConnectorError> {
        if let Ok(permit) = self.free.try_acquire() {
            permit.forget();
        } else if let Some(lease) = self.another().await {
            return Ok(Turn { moment: self, lease: Some(lease) });
        } else {
            self.wait().await?;
        }
        let lease = self.lock().free.pop();
        Ok(Turn { moment: self, lease })
    }

    /// Whether somebody waits for a turn.
    pub(super) async fn is_wanted(&self) {
        // The sender lives as long as the moment.
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await;
    }

    /// One more session at the same place, if nobody has written since.
    async fn another(&self) -> Option<Lease> {
        if !self.lock().can_grow {
            return None;
        }
        let mut lease = self.server.try_begin().await?;
        if lease.place().await.ok() == Some(self.place.clone()) {
            self.lock().total += 1;
            return Some(lease);
        }
        self.lock().can_grow = false;
        None
    }

    async fn wait(&self) -> Result<(), ConnectorError> {
        let access = self.server.access();
        let _waiting = Waiting::among(&self.waiting);
        match timeout(access.statement_timeout, self.free.acquire()).await {
            Ok(Ok(permit)) => {
                permit.forget();
                Ok(())
            }
            Ok(Err(closed)) => Err(ConnectorError::unavailable(access.shown(), closed)),
            Err(elapsed) => Err(ConnectorError::DeadlineExceeded { location: access.shown(), cause: elapsed.into() }),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// The session.
    pub(super) fn lease(&mut self) -> Result<&mut Lease, ConnectorError> {
        let shown = || self.moment.server.access().shown();
        self.lease.as_mut().ok_or_else(|| ConnectorError::unavailable(shown(), "the session was given back"))
    }

    /// The moment that it sees.
    pub(super) fn moment(&self) -> &Arc<Moment> {
        &self.moment
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        let mut sessions = self.moment.lock();
        if lease.is_resting() {
            sessions.free.push(lease);
            self.moment.free.add_permits(1);
            return;
        }
        sessions.total -= 1;
        if sessions.total == 0 {
            self.moment.free.close();
        }
    }
}

/// Counts as one that waits, until it is dropped.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn among(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|count| *count += 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
