//! The one thread that writes: takes all that waits, writes it in one piece, syncs once, and only then answers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::disk::Disk;
use super::entry::Entry;
use super::job::Job;
use super::record::{self, Head};

/// What is on the disk for sure; shared with the readers.
#[derive(Debug)]
pub(super) struct Durable {
    head: Mutex<Head>,
    syncs: AtomicU64,
    failed: AtomicU64,
    /// Whether nothing is written any more.
    broken: AtomicBool,
}

impl Durable {
    pub(super) fn new(head: Head) -> Self {
        let (syncs, failed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { head: Mutex::new(head), syncs, failed, broken: AtomicBool::new(false) }
    }

    pub(super) fn head(&self) -> Head {
        self.head.lock().clone()
    }

    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

/// Where a log goes on: found by recovery.
#[derive(Debug)]
pub(super) struct Position {
    pub(super) head: Head,
    /// The time of the last record: the clock of the log does not go back.
    pub(super) time: DateTime<Utc>,
    /// The length of the last segment, if there is one.
    pub(super) length: Option<u64>,
}

/// The chain's end and the disk it is written to.
pub(super) struct Writer {
    disk: Box<dyn Disk>,
    segment_bytes: u64,
    position: Position,
    /// Why nothing is written any more.
    broken: Option<String>,
    /// What could not be written and must be. Each has a place among those that may wait, so they cannot become many.
    owed: Vec<Job>,
    durable: Arc<Durable>,
}

impl Writer {
    pub(super) fn new(disk: Box<dyn Disk>, segment_bytes: u64, position: Position) -> Self {
        let durable = Arc::new(Durable::new(position.head.clone()));
        Self { disk, segment_bytes, position, broken: None, owed: Vec::new(), durable }
    }

    pub(super) fn durable(&self) -> Arc<Durable> {
        Arc::clone(&self.durable)
    }

    /// Writes until nobody can append any more. `batch_max` is as many as are taken at once.
    pub(super) fn run(mut self, mut jobs: mpsc::UnboundedReceiver<Job>, batch_max: usize) {
        let mut batch = Vec::new();
        while jobs.blocking_recv_many(&mut batch, batch_max) > 0 {
            self.write_down(&mut batch);
        }
        self.write_down(&mut batch);
        if !self.owed.is_empty() {
            tracing::error!("{} statements or changes end without the record that they are owed", self.owed.len());
        }
    }

    /// What is owed first, then what came: in one piece, but for what follows an entry of this very batch.
    fn write_down(&mut self, batch: &mut Vec<Job>) {
        let waiting = self.owed.drain(..).chain(batch.drain(..));
        let (ready, following): (Vec<_>, Vec<_>) = waiting.partition(Job::is_ready);
        self.write_together(ready);
        // Jobs come in the order in which they were appended: what is not on the disk by now never will be.
        self.write_together(following.into_iter().filter(Job::is_ready).collect());
    }

    fn write_together(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let entries: Vec<Vec<Entry>> = jobs.iter().map(Job::numbered).collect();
        match self.commit(&entries.concat()) {
            Ok(heads) => {
                let mut heads = heads.iter();
                for (job, entries) in jobs.into_iter().zip(&entries) {
                    if let Some(head) = heads.by_ref().take(entries.len()).last() {
                        job.written(head);
                    }
                }
            }
            Err(error) => {
                tracing::error!("{} audit records are not written: {error}", jobs.len());
                self.durable.failed.fetch_add(jobs.len() as u64, Ordering::Relaxed);
                let why = error.to_string();
                self.owed.extend(jobs.into_iter().filter_map(|job| job.failed(&why)));
            }
        }
    }

    /// Makes the entries lasting, all or none.
    ///
    /// # Errors
    /// What the disk said. A failed write is undone and the next commit tries again; after a failed sync nobody knows
    /// what the disk holds, so nothing is written any more until the log is opened anew.
    pub(super) fn commit(&mut self, entries: &[Entry]) -> io::Result<Vec<Head>> {
        if let Some(why) = &self.broken {
            return Err(io::Error::other(why.clone()));
        }
        let time = Utc::now().max(self.position.time);
        let (text, heads) = self.compose(entries, time)?;
        let length = self.room()?;
        if let Err(error) = self.disk.write(text.as_bytes()) {
            self.undo();
            return Err(error);
        }
        let synced = self.disk.sync();
        self.lasting(synced)?;
        self.durable.syncs.fetch_add(1, Ordering::Relaxed);
        self.position.length = Some(length + text.len() as u64);
        self.position.time = time;
        if let Some(head) = heads.last() {
            self.position.head = head.clone();
            *self.durable.head.lock() = head.clone();
        }
        Ok(heads)
    }

    fn compose(&self, entries: &[Entry], time: DateTime<Utc>) -> io::Result<(String, Vec<Head>)> {
        let mut text = String::new();
        let mut heads: Vec<Head> = Vec::with_capacity(entries.len());
        for entry in entries {
            let (line, head) = record::write(entry, heads.last().unwrap_or(&self.position.head), time)?;
            text.push_str(&line);
            heads.push(head);
        }
        Ok((text, heads))
    }

    /// The length of the segment that has room, which is a new one when the last is full.
    fn room(&mut self) -> io::Result<u64> {
        if let Some(length) = self.position.length.filter(|length| *length < self.segment_bytes) {
            return Ok(length);
        }
        self.disk.create(self.position.head.seq + 1)?;
        self.position.length = Some(0);
        let synced = self.disk.sync_directory();
        self.lasting(synced)?;
        Ok(0)
    }

    /// Takes back what a failed write has left; what cannot be taken back breaks the log.
    fn undo(&mut self) {
        if let Err(error) = self.disk.cut(self.position.length.unwrap_or_default()) {
            self.breaks(format!("a write failed and could not be undone: {error}"));
        }
    }

    /// A failed sync breaks the log. What nobody was told of is taken back, so that opening anew does not find it in
    /// the memory of the system and take it for written.
    fn lasting(&mut self, synced: io::Result<()>) -> io::Result<()> {
        synced.inspect_err(|error| {
            let why = format!("a sync failed ({error}); restart the site when its disk is well");
            self.undo();
            self.breaks(why);
        })
    }

    fn breaks(&mut self, why: String) {
        self.broken = Some(why);
        self.durable.broken.store(true, Ordering::Relaxed);
    }
}
