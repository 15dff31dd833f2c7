//! One database as all sources over it share it: a bounded number of sessions, leased and given back clean or not at all.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use datafusion_expr::LogicalPlan;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::config::ServerConfig;
use super::lease::Lease;
use super::no_nul::without_nul;
use super::read::read;
use super::session::Session;
use super::tls::VerifiedTls;
use crate::database::{Batches, Database, Reading};
use crate::error::ConnectorError;
use crate::options::access::Tls;
use crate::statement::{Accepts, Refusal, Statement, StoredTables, write_for_postgres};

/// What a session is leased for. Each use has sessions of its own: a statement holds one that keeps its snapshot while it
/// waits for others that read, and statements that all held and waited would wait for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// To read, for as long as one scan's partition lasts.
    Read,
    /// To keep a snapshot, for as long as a statement lasts.
    KeepSnapshot,
}

/// A database that is asked.
pub(super) struct Server {
    config: ServerConfig,
    tls: Option<VerifiedTls>,
    readers: Pool,
    keepers: Pool,
    /// Statements being cancelled at the server; each ends within the connect timeout.
    farewells: Mutex<JoinSet<()>>,
}

/// Sessions of one use.
struct Pool {
    permits: Arc<Semaphore>,
    /// Signed in, pinned, outside any transaction.
    idle: Mutex<VecDeque<Session>>,
}

impl Pool {
    fn new(sessions_max: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(sessions_max)), idle: Mutex::default() }
    }

    /// The session that was last given back and that the server has not ended since.
    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|session| !session.is_closed());
        idle.pop_back()
    }

    fn give_back(&self, session: Session) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push_back(session);
    }
}

impl Server {
    /// The server that sources with this configuration share; nothing is asked of it yet.
    ///
    /// # Errors
    /// If an authority's certificate is not one.
    pub(super) fn shared(config: &ServerConfig) -> Result<Arc<Self>, rustls::Error> {
        static SERVERS: Mutex<Vec<Weak<Server>>> = Mutex::new(Vec::new());
        let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|server| server.strong_count() > 0);
        if let Some(server) = servers.iter().filter_map(Weak::upgrade).find(|server| server.config == *config) {
            return Ok(server);
        }
        let server = Arc::new(Self::new(config.clone())?);
        servers.push(Arc::downgrade(&server));
        Ok(server)
    }

    fn new(config: ServerConfig) -> Result<Self, rustls::Error> {
        let tls = match &config.access.tls {
            Tls::Disabled => None,
            Tls::VerifyFull(authorities) => Some(VerifiedTls::new(authorities)?),
        };
        let keepers_max = config.access.connections_max / 2;
        Ok(Self {
            tls,
            readers: Pool::new(config.access.connections_max - keepers_max),
            keepers: Pool::new(keepers_max),
            farewells: Mutex::default(),
            config,
        })
    }

    /// How it is reached.
    pub(super) fn config(&self) -> &ServerConfig {
        &self.config
    }

    /// A session, once one is free.
    ///
    /// # Errors
    /// [`ConnectorError::Exhausted`] if none becomes free within the connect timeout; what the server answers else.
    pub(super) async fn lease(self: &Arc<Self>, purpose: Use) -> Result<Lease, ConnectorError> {
        let pool = self.pool(purpose);
        let waiting = timeout(self.config.access.connect_timeout, Arc::clone(&pool.permits).acquire_owned()).await;
        let permit = match waiting {
            Ok(Ok(permit)) => permit,
            Ok(Err(closed)) => return Err(ConnectorError::unavailable(self.config.shown(), closed)),
            Err(elapsed) => {
                return Err(ConnectorError::Exhausted { location: self.config.shown(), cause: elapsed.into() });
            }
        };
        let session = match pool.take_idle() {
            Some(session) => session,
            None => Session::open(&self.config, self.tls.as_ref()).await?,
        };
        Ok(Lease::new(Arc::clone(self), purpose, session, permit))
    }

    /// Takes a session back that is outside any transaction, or about to be.
    pub(super) fn give_back(&self, purpose: Use, session: Session) {
        self.pool(purpose).give_back(session);
    }

    /// Ends what a session is doing: the server is told, then the connection closes. Its place is free only after that.
    pub(super) fn end(&self, session: Session, permit: OwnedSemaphorePermit) {
        // Without a runtime the connection just closes, and the server notices when it next writes.
        let Ok(runtime) = Handle::try_current() else { return };
        let (canceller, tls, limit) = (session.canceller(), self.tls.clone(), self.config.access.connect_timeout);
        let farewell = async move {
            if let Ok(Err(error)) = timeout(limit, canceller.cancel(tls.as_ref())).await {
                tracing::debug!("a statement could not be cancelled: {error}");
            }
            drop(session);
            drop(permit);
        };
        let mut farewells = self.farewells.lock().unwrap_or_else(PoisonError::into_inner);
        while farewells.try_join_next().is_some() {}
        farewells.spawn_on(farewell, &runtime);
    }

    fn pool(&self, purpose: Use) -> &Pool {
        match purpose {
            Use::Read => &self.readers,
            Use::KeepSnapshot => &self.keepers,
        }
    }
}

#[async_trait]
impl Database for Server {
    fn scan_name(&self) -> &'static str {
        "PostgresScan"
    }

    fn shown(&self) -> String {
        self.config.shown()
    }

    fn readers_max(&self) -> usize {
        self.config.access.connections_max - self.config.access.connections_max / 2
    }

    fn accepts(&self) -> Accepts {
        Accepts::postgres()
    }

    fn write(&self, plan: &LogicalPlan, stored: &StoredTables) -> Result<Statement, Refusal> {
        let said = without_nul(plan).map_err(|error| Refusal::new("literal", error.strip_backtrace()))?;
        write_for_postgres(&said, &self.accepts(), stored)
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
        write!(out, "Server({})", self.config.shown())
    }
}
