//! One connection to a file: opened so that it can only read and believes nothing that the file's schema tells it to do, and
//! watched so that what it does can be ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Result};
use url::Url;

use super::config::FileConfig;

/// How many instructions of SQLite's machine pass between two looks at the watch: some tenths of a millisecond.
const INSTRUCTIONS: i32 = 10_000;

/// What the schema of a file may not make a connection do. `cell_size_check` finds pages that are not what they seem before
/// they are read.
const PINS: &str = "PRAGMA query_only = ON; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0";

/// How long to wait before a journal is looked at again.
const JOURNAL_INTERVAL: Duration = Duration::from_millis(10);

/// A snapshot is taken by the first read.
const BEGIN: &str = "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1";

/// Opens `file` to read. It waits for `busy` where another process has locked the file.
pub(super) fn open(file: &FileConfig, busy: Duration) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match immutable_name(file) {
        Some(name) => Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_URI)?,
        None => Connection::open_with_flags(&file.path, flags)?,
    };
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.busy_timeout(busy)?;
    connection.execute_batch(PINS)?;
    Ok(connection)
}

/// Begins a transaction: what is read until the connection is closed, is read as of now.
///
/// The journal of somebody who commits right now can look as if it was left behind; for as long as `busy` it is looked at
/// again.
pub(super) fn begin(connection: &Connection, busy: Duration) -> Result<()> {
    let until = Instant::now() + busy;
    loop {
        match connection.execute_batch(BEGIN) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) && Instant::now() < until => {
                connection.execute_batch("ROLLBACK")?;
                thread::sleep(JOURNAL_INTERVAL);
            }
            begun => return begun,
        }
    }
}

/// A number that is another one after each commit to the file, as this connection sees it outside any transaction.
pub(super) fn data_version(connection: &Connection) -> Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}

fn immutable_name(file: &FileConfig) -> Option<String> {
    if !file.is_immutable {
        return None;
    }
    let mut name = Url::from_file_path(&file.path).ok()?;
    name.set_query(Some("immutable=1"));
    Some(name.into())
}

/// Whether what is done for somebody is still wanted.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) deadline: Instant,
    is_dropped: AtomicBool,
}

impl Watch {
    /// Until `limit` from now, or until it is dropped.
    pub(super) fn over(limit: Duration) -> Self {
        Self { deadline: Instant::now() + limit, is_dropped: AtomicBool::new(false) }
    }

    /// Nobody wants it any more.
    pub(super) fn cancel(&self) {
        self.is_dropped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_dropped.load(Ordering::Relaxed) || self.is_late()
    }

    pub(super) fn is_late(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

/// Whose watch holds for what a connection does now.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched(Arc<Mutex<Option<Arc<Watch>>>>);

impl Watched {
    /// Has `connection` look at what is watched.
    pub(super) fn install(&self, connection: &mut Connection) -> Result<()> {
        let watched = Arc::clone(&self.0);
        let is_over = move || {
            let watch = watched.lock().unwrap_or_else(PoisonError::into_inner);
            watch.as_ref().is_some_and(|watch| watch.is_over())
        };
        connection.progress_handler(INSTRUCTIONS, Some(is_over))
    }

    /// What is done from now on is done under `watch`.
    pub(super) fn set(&self, watch: &Arc<Watch>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(watch));
    }
}
