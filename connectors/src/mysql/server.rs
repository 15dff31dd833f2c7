//! One server as all sources over it share it: a bounded number of sessions, leased and given back clean or not at all.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use async_trait::async_trait;
use datafusion_expr::LogicalPlan;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::flavour::Flavour;
use super::lease::Lease;
use super::read::read;
use super::session::Session;
use crate::database::{Batches, Database, Reading};
use crate::error::ConnectorError;
use crate::fault::Asking;
use crate::options::access::Access;
use crate::statement::{Accepts, Refusal, Statement, StoredTables, write_for_mysql};

/// A server that is asked.
pub(super) struct Server {
    access: Access,
    /// Whether snapshots at one place of its binary log are one: every write is in it.
    shares_snapshots: bool,
    /// Known since the first session.
    flavour: OnceLock<Flavour>,
    permits: Arc<Semaphore>,
    /// Signed in, pinned, outside any transaction.
    idle: Mutex<VecDeque<Session>>,
    /// Statements being read, and sessions on their way back. Each ends by itself when nobody wants it any more.
    tasks: Mutex<JoinSet<()>>,
}

impl Server {
    /// The server that sources with this configuration share; nothing is asked of it yet.
    pub(super) fn shared(access: &Access, shares_snapshots: bool) -> Arc<Self> {
        static SERVERS: Mutex<Vec<Weak<Server>>> = Mutex::new(Vec::new());
        let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|server| server.strong_count() > 0);
        let is_it = |server: &Arc<Self>| server.access == *access && server.shares_snapshots == shares_snapshots;
        if let Some(server) = servers.iter().filter_map(Weak::upgrade).find(is_it) {
            return server;
        }
        let server = Arc::new(Self {
            permits: Arc::new(Semaphore::new(access.connections_max)),
            flavour: OnceLock::new(),
            idle: Mutex::default(),
            tasks: Mutex::default(),
            access: access.clone(),
            shares_snapshots,
        });
        servers.push(Arc::downgrade(&server));
        server
    }

    /// How it is reached.
    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// Whether snapshots at one place of its binary log are one.
    pub(super) fn shares_snapshots(&self) -> bool {
        self.shares_snapshots
    }

    /// What is asked of the server as a whole, from now on.
    pub(super) fn asking(&self) -> Asking {
        Asking::now(self.access.shown(), self.access.statement_timeout)
    }

    /// A session in a transaction, once one is free.
    ///
    /// # Errors
    /// [`ConnectorError::Exhausted`] if none becomes free within the connect timeout; what the server answers else.
    pub(super) async fn begin(self: &Arc<Self>) -> Result<Lease, ConnectorError> {
        match timeout(self.access.connect_timeout, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => self.begin_with(permit).await,
            Ok(Err(closed)) => Err(ConnectorError::unavailable(self.access.shown(), closed)),
            Err(elapsed) => Err(ConnectorError::Exhausted { location: self.access.shown(), cause: elapsed.into() }),
        }
    }

    /// The same, if a session is free at once.
    pub(super) async fn try_begin(self: &Arc<Self>) -> Option<Lease> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        self.begin_with(permit).await.ok()
    }

    /// The server may have ended an idle session since, which shows when it is to begin; then the next one is asked.
    async fn begin_with(self: &Arc<Self>, mut permit: OwnedSemaphorePermit) -> Result<Lease, ConnectorError> {
        while let Some(session) = self.take_idle() {
            let mut lease = Lease::new(Arc::clone(self), session, permit);
            if let Ok(Ok(())) = timeout(self.access.connect_timeout, lease.begin()).await {
                return Ok(lease);
            }
            permit = lease.discard()?;
        }
        let session = Session::open(&self.access).await?;
        self.flavour.get_or_init(|| session.flavour());
        let mut lease = Lease::new(Arc::clone(self), session, permit);
        lease.begin().await?;
        Ok(lease)
    }

    fn take_idle(&self) -> Option<Session> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_back()
    }

    /// Takes a session back that is outside any transaction.
    pub(super) fn give_back(&self, session: Session) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push_back(session);
    }

    /// Runs `task` to its end, whoever waits for it. Outside a runtime it is dropped.
    pub(super) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = Handle::try_current() else { return };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, &runtime);
    }
}

#[async_trait]
impl Database for Server {
    fn scan_name(&self) -> &'static str {
        "MysqlScan"
    }

    fn shown(&self) -> String {
        self.access.shown()
    }

    fn readers_max(&self) -> usize {
        self.access.connections_max
    }

    fn accepts(&self) -> Accepts {
        Accepts::mysql()
    }

    fn write(&self, plan: &LogicalPlan, stored: &StoredTables) -> Result<Statement, Refusal> {
        // Whoever has a table of the server has had a session.
        let flavour = self.flavour.get().ok_or_else(|| Refusal::new("scan", "is of a server that was never asked"))?;
        write_for_mysql(plan, &self.accepts(), stored, flavour.collation())
    }

    async fn ask(self: Arc<Self>, _statement: &Statement) -> Result<Option<Refusal>, ConnectorError> {
        Ok(None)
    }

    fn read(self: Arc<Self>, reading: Reading) -> Batches {
        read(self, reading)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Server({})", self.access.shown())
    }
}
