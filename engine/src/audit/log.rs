//! The log as the site uses it: opened once, appended to by every statement, read by auditors.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{mpsc, oneshot};

use super::disk::{Disk, Files};
use super::entry::{Entry, Start};
use super::key::AuditKey;
use super::read::Records;
use super::record::Head;
use super::recover::{self, cannot, recover};
use super::template;
use super::writer::{Durable, Job, Writer};
use crate::config::Limits;
use crate::error::{Code, EngineError, Result};

/// What a log needs besides its directory.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// The site's name, as the tables of the log tell it.
    pub site: String,
    /// The key of the hashes that stand for literals.
    pub key: AuditKey,
    /// A segment that has grown to this size is followed by a new one.
    pub segment_bytes: u64,
    /// Records that may wait to be written; one more is refused.
    pub queue_max: usize,
    /// How long an append waits for its record to be on the disk.
    pub timeout: Duration,
}

impl AuditOptions {
    /// With the limits of the node.
    pub fn new(site: &str, key: AuditKey, limits: &Limits) -> Self {
        Self {
            site: site.to_string(),
            key,
            segment_bytes: limits.audit_segment_bytes,
            queue_max: limits.audit_queue_max,
            timeout: Duration::from_millis(limits.audit_timeout_ms),
        }
    }
}

/// The chain of records of one site.
#[derive(Debug)]
pub struct AuditLog {
    directory: PathBuf,
    options: AuditOptions,
    durable: Arc<Durable>,
    /// Taken when the log is dropped, which ends the writer.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    /// Held for as long as the log is: two writers would fork the chain.
    _lock: File,
}

impl AuditLog {
    /// Opens the log, or begins one, and records the start. Blocks on the disk.
    ///
    /// # Errors
    /// `AUDIT` when the log is damaged, another process writes it, or the disk refuses.
    pub fn open(directory: &Path, options: AuditOptions) -> Result<Arc<Self>> {
        Self::open_on(directory, options, |files| Box::new(files))
    }

    /// The same with a disk of the caller's between the log and its files.
    pub(super) fn open_on(
        directory: &Path,
        options: AuditOptions,
        disk: impl FnOnce(Files) -> Box<dyn Disk>,
    ) -> Result<Arc<Self>> {
        make_directory(directory).map_err(|error| cannot(directory, error))?;
        let lock = lock(directory)?;
        let found = recover(directory)?;
        let files = Files::open(directory, found.last.as_ref()).map_err(|error| cannot(directory, error))?;
        let mut writer = Writer::new(disk(files), options.segment_bytes, found.position);
        let start = Start { version: env!("CARGO_PKG_VERSION").to_string(), repaired: found.repaired };
        writer.commit(&[Entry::Start(start)]).map_err(|error| cannot(directory, error))?;
        let durable = writer.durable();
        let (jobs, waiting) = mpsc::channel(options.queue_max);
        let batch_max = options.queue_max;
        let writer = std::thread::Builder::new()
            .name("audit".to_string())
            .spawn(move || writer.run(waiting, batch_max))
            .map_err(|error| cannot(directory, error))?;
        let directory = directory.to_path_buf();
        Ok(Arc::new(Self { directory, options, durable, jobs: Some(jobs), writer: Some(writer), _lock: lock }))
    }

    /// Appends a record. It is queued by the call itself, so whoever drops the future, or never awaits it, has still
    /// recorded; the future ends when the record is on the disk.
    ///
    /// # Errors
    /// `AUDIT` when the record is not known to be on the disk: nothing may leave on its strength.
    pub fn append(&self, entry: Entry) -> impl Future<Output = Result<Head>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let queued = self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(Job { entry, reply }).is_ok());
        let timeout = self.options.timeout;
        async move {
            if !queued {
                return Err(refused("more records wait to be written than `audit_queue_max`, or the log has ended"));
            }
            match tokio::time::timeout(timeout, answer).await {
                Ok(Ok(Ok(head))) => Ok(head),
                Ok(Ok(Err(disk))) => Err(refused(disk)),
                Ok(Err(_)) => Err(refused("the log has ended")),
                Err(_) => Err(refused("the disk took longer than `audit_timeout_ms`")),
            }
        }
    }

    /// A statement with its literals as keyed hashes: the only form in which a record holds one that can be parsed.
    pub fn template(&self, sql: &str) -> String {
        template::template(sql, &self.options.key)
    }

    /// A text that cannot be parsed, as one keyed hash: where its literals begin and end, nobody knows.
    pub fn digest(&self, text: &str) -> String {
        template::digest(text, &self.options.key)
    }

    /// The site's name.
    pub fn site(&self) -> &str {
        &self.options.site
    }

    /// The last record that is on the disk.
    pub fn head(&self) -> Head {
        self.durable.head()
    }

    /// How often the disk was asked to make records lasting; one sync serves all that waited for it.
    pub fn syncs(&self) -> u64 {
        self.durable.syncs()
    }

    /// All records that are on the disk now, oldest first, read as they are asked for.
    ///
    /// # Errors
    /// `AUDIT` when the directory cannot be read; each record may be an error too.
    pub fn records(&self) -> Result<Records> {
        Records::open(&self.directory, self.head())
    }

    /// The (query, fragment) of every statement since then, let in or refused: what must not be believed again. Reads
    /// the segments from the last one back.
    ///
    /// # Errors
    /// `AUDIT` when a segment cannot be read.
    pub fn recent_fragments(&self, since: DateTime<Utc>) -> Result<Vec<(String, u64)>> {
        super::read::recent_fragments(&self.directory, &self.head(), since)
    }
}

impl Drop for AuditLog {
    /// Waits for what is queued, so that whoever opens the log next finds it complete.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the audit log has failed");
        }
    }
}

/// The last record of a log that may be in use; nothing is checked but that record itself.
///
/// # Errors
/// `AUDIT` when it is damaged or cannot be read.
pub fn read_head(directory: &Path) -> Result<Head> {
    let segments = super::segments::list(directory).map_err(|error| cannot(directory, error))?;
    for segment in segments.iter().rev() {
        if let Some((head, _)) = recover::end_of(segment).map_err(recover::refuse)? {
            return Ok(head);
        }
    }
    Ok(Head::none())
}

fn refused(why: impl Into<String>) -> EngineError {
    let sentence = "this site cannot write its evidence, and without it nothing leaves; its operator's log says why";
    EngineError::new(Code::Audit, sentence).caused_by(why.into())
}

fn make_directory(directory: &Path) -> std::io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(directory)?;
    match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

fn lock(directory: &Path) -> Result<File> {
    let path = directory.join("lock");
    let file =
        File::options().create(true).truncate(false).write(true).open(&path).map_err(|error| cannot(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(error) => {
            let sentence = format!("{} is written by another process; a log has one writer", directory.display());
            Err(EngineError::new(Code::Audit, sentence).caused_by(error))
        }
    }
}
