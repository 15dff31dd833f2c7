//! One database file as all sources over it share it: how many connections may read it at once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use datafusion_common_runtime::SpawnedTask;
use datafusion_expr::LogicalPlan;
use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::config::FileConfig;
use super::connection::{Watch, Watched, begin, open};
use super::fault::fault;
use super::limits;
use super::read::read;
use crate::database::{Batches, Database, Reading};
use crate::error::ConnectorError;
use crate::statement::{Accepts, Refusal, Statement, StoredTables, write_for_sqlite};

/// A file that is read.
pub(super) struct DatabaseFile {
    config: FileConfig,
    permits: Arc<Semaphore>,
}

impl DatabaseFile {
    /// The file that sources with this configuration share; it is not opened yet.
    pub(super) fn shared(config: FileConfig) -> Arc<Self> {
        static FILES: Mutex<Vec<Weak<DatabaseFile>>> = Mutex::new(Vec::new());
        let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
        files.retain(|file| file.strong_count() > 0);
        if let Some(file) = files.iter().filter_map(Weak::upgrade).find(|file| file.config == config) {
            return file;
        }
        let permits = Arc::new(Semaphore::new(config.connections_max));
        let file = Arc::new(Self { config, permits });
        files.push(Arc::downgrade(&file));
        file
    }

    /// How it is read.
    pub(super) fn config(&self) -> &FileConfig {
        &self.config
    }

    /// The right to one connection, once there is one.
    ///
    /// # Errors
    /// [`ConnectorError::Exhausted`] if none becomes free within the busy timeout.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, ConnectorError> {
        match timeout(self.config.busy_timeout, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(closed)) => Err(ConnectorError::unavailable(self.config.shown(), closed)),
            Err(elapsed) => Err(ConnectorError::Exhausted { location: self.config.shown(), cause: elapsed.into() }),
        }
    }

    /// The right to one more connection, if there is one right now.
    pub(super) fn permit_now(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// Asks the schema, in one transaction and on a thread that may wait.
    ///
    /// # Cancellation
    /// Dropping the future interrupts what is asked.
    pub(super) async fn ask_schema<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Connection) -> Result<T, ConnectorError> + Send + 'static,
    ) -> Result<T, ConnectorError> {
        let permit = self.permit().await?;
        let watch = Arc::new(Watch::over(self.config.statement_timeout));
        let (file, watched) = (Arc::clone(self), Arc::clone(&watch));
        let _dropped = Dropped(watch);
        let asked = SpawnedTask::spawn_blocking(move || {
            let _permit = permit;
            let faulty = |error| fault(&file.config.shown(), error);
            let mut connection = open(&file.config, file.config.busy_timeout).map_err(faulty)?;
            let watching = Watched::default();
            watching.install(&mut connection).map_err(faulty)?;
            watching.set(&watched);
            begin(&connection, file.config.busy_timeout).map_err(faulty)?;
            question(&connection)
        });
        match asked.await {
            Ok(answer) => answer,
            Err(failed) => Err(ConnectorError::unavailable(self.config.shown(), failed)),
        }
    }
}

/// Ends what is watched when it is dropped.
struct Dropped(Arc<Watch>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[async_trait]
impl Database for DatabaseFile {
    fn scan_name(&self) -> &'static str {
        "SqliteScan"
    }

    fn shown(&self) -> String {
        self.config.shown()
    }

    fn readers_max(&self) -> usize {
        self.config.connections_max
    }

    fn accepts(&self) -> Accepts {
        Accepts::sqlite()
    }

    fn write(&self, plan: &LogicalPlan, stored: &StoredTables) -> Result<Statement, Refusal> {
        limits::check(plan)?;
        write_for_sqlite(plan, &self.accepts(), stored)
    }

    /// The list is certain: SQLite is the one that is built in.
    async fn ask(self: Arc<Self>, _statement: &Statement) -> Result<Option<Refusal>, ConnectorError> {
        Ok(None)
    }

    fn read(self: Arc<Self>, reading: Reading) -> Batches {
        read(self, reading)
    }
}

impl fmt::Debug for DatabaseFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "DatabaseFile({})", self.config.shown())
    }
}
