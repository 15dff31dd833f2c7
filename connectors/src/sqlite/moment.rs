//! One moment of a file that several connections see: transactions that began while nobody committed.
//!
//! With a rollback journal nobody can commit while one of them reads. In WAL mode everybody can; so a witness, which is
//! outside any transaction, tells whether the file has changed since the first began. If it has, who comes later reads by
//! turns with those that are there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use datafusion_common_runtime::SpawnedTask;
use rusqlite::Connection;
use tokio::sync::{Mutex, OwnedSemaphorePermit};

use super::config::FileConfig;
use super::connection::{data_version, open};
use super::fault::fault;
use super::file::DatabaseFile;
use super::session::{Begun, Claim, Session};
use crate::database::moment::Moments;
use crate::error::ConnectorError;
use crate::read_scope::ReadScope;

/// A moment; it lasts as long as this is not dropped.
#[derive(Debug)]
pub(super) struct Moment {
    file: Arc<DatabaseFile>,
    readers: Mutex<Readers>,
}

#[derive(Debug)]
struct Readers {
    /// INVARIANT: at least one.
    sessions: Vec<Arc<Session>>,
    /// `None` once the file has changed, or could have.
    witness: Option<Witness>,
}

impl Moment {
    /// The moment that all scans in `scope` see of `file`; the first to ask begins it.
    pub(super) async fn of(scope: &ReadScope, file: &Arc<DatabaseFile>) -> Result<Arc<Self>, ConnectorError> {
        let moment = Moments::of(scope, file);
        moment.get_or_try_init(|| Self::begin(file)).await.cloned()
    }

    /// A moment of its own.
    pub(super) async fn begin(file: &Arc<DatabaseFile>) -> Result<Arc<Self>, ConnectorError> {
        let permit = file.permit().await?;
        let (own, shown) = (Arc::clone(file), file.config().shown());
        let begun = SpawnedTask::spawn_blocking(move || first(own.config(), permit)).await;
        let readers = begun.map_err(|failed| ConnectorError::unavailable(shown, failed))??;
        Ok(Arc::new(Self { file: Arc::clone(file), readers: Mutex::new(readers) }))
    }

    /// A reader: one that has nothing to do, one more, or the one with the least to do.
    ///
    /// # Errors
    /// None in practice: there is always one.
    pub(super) async fn claim(&self) -> Result<Claim, ConnectorError> {
        let mut readers = self.readers.lock().await;
        if let Some(idle) = readers.sessions.iter().find(|session| session.load() == 0) {
            return Ok(idle.claim());
        }
        if readers.witness.is_some()
            && let Some(permit) = self.file.permit_now()
            && let Some(witness) = readers.witness.take()
        {
            let file = Arc::clone(&self.file);
            let joined = SpawnedTask::spawn_blocking(move || join(file.config(), permit, witness)).await;
            if let Ok(Some((session, witness))) = joined {
                readers.witness = Some(witness);
                readers.sessions.push(Arc::new(session));
            }
        }
        let least = readers.sessions.iter().min_by_key(|session| session.load()).map(Session::claim);
        least.ok_or_else(|| ConnectorError::unavailable(self.file.config().shown(), "nobody reads it"))
    }
}

fn first(file: &FileConfig, permit: OwnedSemaphorePermit) -> Result<Readers, ConnectorError> {
    let faulty = |error| fault(&file.shown(), error);
    let begun = Begun::open(file).map_err(faulty)?;
    // Whoever cannot be a witness is none: the moment then has one reader.
    let witness = Witness::of(file).ok();
    begun.begin(file).map_err(faulty)?;
    let session = begun.serve(permit).map_err(|error| ConnectorError::unavailable(file.shown(), error))?;
    let witness = witness.filter(|witness| witness.has_seen_no_change(file));
    Ok(Readers { sessions: vec![Arc::new(session)], witness })
}

/// One more reader of the witness's moment; `None` if it cannot be shown to be that moment.
fn join(file: &FileConfig, permit: OwnedSemaphorePermit, witness: Witness) -> Option<(Session, Witness)> {
    let begun = Begun::open(file).ok()?;
    begun.begin_now(file).ok()?;
    if !witness.has_seen_no_change(file) {
        return None;
    }
    Some((begun.serve(permit).ok()?, witness))
}

/// What a file was at some time, seen from outside any transaction.
#[derive(Debug)]
struct Witness {
    /// `None` for a file that never changes.
    connection: Option<Connection>,
    data_version: i64,
    /// The file itself, for another one may take its name.
    device_and_inode: (u64, u64),
}

impl Witness {
    fn of(file: &FileConfig) -> rusqlite::Result<Self> {
        let device_and_inode = device_and_inode(file).unwrap_or_default();
        if file.is_immutable {
            return Ok(Self { connection: None, data_version: 0, device_and_inode });
        }
        let connection = open(file, std::time::Duration::ZERO)?;
        let data_version = data_version(&connection)?;
        Ok(Self { connection: Some(connection), data_version, device_and_inode })
    }

    fn has_seen_no_change(&self, file: &FileConfig) -> bool {
        let is_same = match &self.connection {
            None => true,
            Some(connection) => data_version(connection).is_ok_and(|now| now == self.data_version),
        };
        is_same && device_and_inode(file).is_some_and(|now| now == self.device_and_inode)
    }
}

fn device_and_inode(file: &FileConfig) -> Option<(u64, u64)> {
    fs::metadata(&file.path).ok().map(|entry| (entry.dev(), entry.ino()))
}
