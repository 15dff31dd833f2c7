//! The log as the site uses it: opened once, appended to by every statement, read by auditors.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::disk::{Disk, Files};
use super::ending::Ending;
use super::entry::{Change, Entry, Intent, Start};
use super::job::{Job, Number, Standing};
use super::key::AuditKey;
use super::read::Records;
use super::record::Head;
use super::recover::{self, cannot, recover};
use super::template;
use super::writer::{Durable, Writer};
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
    /// Records that may wait to be written, the ends of running statements among them; one more is refused.
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

const ENDED: &str = "the log has ended";

/// What the writer says of a job.
type Answer = oneshot::Receiver<Result<Head, String>>;

/// The chain of records of one site.
#[derive(Debug)]
pub struct AuditLog {
    directory: PathBuf,
    options: AuditOptions,
    durable: Arc<Durable>,
    /// Taken when the log is dropped, which ends the writer.
    jobs: Option<mpsc::UnboundedSender<Job>>,
    /// One for each record that may wait.
    places: Arc<Semaphore>,
    writer: Option<JoinHandle<()>>,
    /// Held for as long as the log is: two writers would fork the chain.
    lock: File,
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
        let (jobs, waiting) = mpsc::unbounded_channel();
        let places = Arc::new(Semaphore::new(options.queue_max));
        let batch_max = options.queue_max;
        let writer = std::thread::Builder::new()
            .name("audit".to_string())
            .spawn(move || writer.run(waiting, batch_max))
            .map_err(|error| cannot(directory, error))?;
        let directory = directory.to_path_buf();
        let (jobs, writer) = (Some(jobs), Some(writer));
        Ok(Arc::new(Self { directory, options, durable, jobs, places, writer, lock }))
    }

    /// Appends a record. It is queued by the call itself, so whoever drops the future, or never awaits it, has still
    /// recorded; the future ends when the record is on the disk.
    ///
    /// # Errors
    /// `AUDIT` when the record is not known to be on the disk: nothing may leave on its strength.
    pub fn append(&self, entry: Entry) -> impl Future<Output = Result<Head>> + Send + use<> {
        self.lasting(self.queue(entry, Standing::Alone))
    }

    /// The same for what counts whether or not it can be recorded: when the disk fails, the record is kept and written
    /// with whatever is written next. Only a log that ends before has lost it.
    ///
    /// # Errors
    /// `AUDIT` when the record is not known to be on the disk yet.
    pub fn append_owed(&self, entry: Entry) -> impl Future<Output = Result<Head>> + Send + use<> {
        self.lasting(self.queue(entry, Standing::Owed))
    }

    /// Appends an intent as [`AuditLog::append`] does, and keeps a place for the record of its end: whatever becomes of
    /// the disk, of the future, or of whoever waits, an intent that is written can be completed.
    ///
    /// # Errors
    /// `AUDIT` when there are not two places: nothing was appended, and there is nothing to complete. The future's as
    /// those of [`AuditLog::append`].
    pub fn begin(&self, intent: Intent) -> Result<(Ending, impl Future<Output = Result<Head>> + Send + use<>)> {
        self.begin_entry(Entry::Intent(intent))
    }

    /// Appends a change likewise. Where it does not come to be in force, because it is not known to be on the disk, the
    /// ending says so, should it come to be there all the same.
    ///
    /// # Errors
    /// As those of [`AuditLog::begin`].
    pub fn begin_change(&self, change: Change) -> Result<(Ending, impl Future<Output = Result<Head>> + Send + use<>)> {
        self.begin_entry(Entry::Change(change))
    }

    fn begin_entry(&self, entry: Entry) -> Result<(Ending, impl Future<Output = Result<Head>> + Send + use<>)> {
        let (place, number) = (self.place()?, Number::default());
        let ending = Ending::new(self.jobs()?.downgrade(), self.place()?, Number::clone(&number));
        let queued = self.queue_at(place, entry, Standing::Followed(number));
        Ok((ending, self.lasting(queued)))
    }

    fn queue(&self, entry: Entry, standing: Standing) -> Result<Answer> {
        self.queue_at(self.place()?, entry, standing)
    }

    fn queue_at(&self, place: OwnedSemaphorePermit, entry: Entry, standing: Standing) -> Result<Answer> {
        let (reply, answer) = oneshot::channel();
        let job = Job { entries: vec![entry], standing, reply: Some(reply), place };
        self.jobs()?.send(job).map_err(|_| refused(ENDED))?;
        Ok(answer)
    }

    fn place(&self) -> Result<OwnedSemaphorePermit> {
        let places = Arc::clone(&self.places);
        places.try_acquire_owned().map_err(|_| refused("more records wait to be written than `audit_queue_max`"))
    }

    fn jobs(&self) -> Result<&mpsc::UnboundedSender<Job>> {
        self.jobs.as_ref().ok_or_else(|| refused(ENDED))
    }

    /// Ends when every record is on the disk, those that are owed to what has begun among them: whether that came in time.
    /// Nothing else can be appended any more.
    pub async fn settle(&self) -> bool {
        let all = u32::try_from(self.options.queue_max).unwrap_or(u32::MAX);
        match tokio::time::timeout(self.options.timeout, self.places.acquire_many(all)).await {
            Ok(Ok(places)) => {
                places.forget();
                true
            }
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Ends when what was queued is on the disk.
    fn lasting(&self, queued: Result<Answer>) -> impl Future<Output = Result<Head>> + Send + use<> {
        let timeout = self.options.timeout;
        async move {
            match tokio::time::timeout(timeout, queued?).await {
                Ok(Ok(Ok(head))) => Ok(head),
                Ok(Ok(Err(disk))) => Err(refused(disk)),
                Ok(Err(_)) => Err(refused(ENDED)),
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

    /// How often a record could not be written; one that is owed counts each time that it is tried.
    pub fn failed(&self) -> u64 {
        self.durable.failed()
    }

    /// Whether nothing is written any more until the log is opened anew.
    pub fn is_broken(&self) -> bool {
        self.durable.is_broken()
    }

    /// How many records wait to be written, or are kept a place for.
    pub fn waiting(&self) -> usize {
        self.options.queue_max.saturating_sub(self.places.available_permits())
    }

    /// All records that are on the disk now, oldest first, read as they are asked for.
    ///
    /// # Errors
    /// `AUDIT` when the directory cannot be read; each record may be an error too.
    pub fn records(&self) -> Result<Records> {
        Records::open(&self.directory, self.head())
    }

    /// Whether a change is on the disk, after the record of that number, and is not said to have failed.
    ///
    /// # Errors
    /// `AUDIT` when a segment cannot be read.
    pub fn has_change(&self, query: &str, after: u64) -> Result<bool> {
        super::read::has_change(&self.directory, &self.head(), query, after)
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
        // Closing the file is not enough: a process that is being started has it open too, until it has become another program.
        if let Err(error) = self.lock.unlock() {
            tracing::error!("the lock of the audit log is not given back: {error}");
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
