//! The one thread that writes: takes all that waits, writes it in one piece, syncs once, and only then answers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::disk::Disk;
use super::entry::Entry;
use super::record::{self, Head};

/// An entry that waits, and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) entry: Entry,
    pub(super) reply: oneshot::Sender<Result<Head, String>>,
}

/// What is on the disk for sure; shared with the readers.
#[derive(Debug)]
pub(super) struct Durable {
    head: Mutex<Head>,
    syncs: AtomicU64,
}

impl Durable {
    pub(super) fn new(head: Head) -> Self {
        Self { head: Mutex::new(head), syncs: AtomicU64::new(0) }
    }

    pub(super) fn head(&self) -> Head {
        self.head.lock().clone()
    }

    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
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
    durable: Arc<Durable>,
}

impl Writer {
    pub(super) fn new(disk: Box<dyn Disk>, segment_bytes: u64, position: Position) -> Self {
        let durable = Arc::new(Durable::new(position.head.clone()));
        Self { disk, segment_bytes, position, broken: None, durable }
    }

    pub(super) fn durable(&self) -> Arc<Durable> {
        Arc::clone(&self.durable)
    }

    /// Writes until nobody can append any more. `batch_max` is as many as can wait at once.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>, batch_max: usize) {
        let mut batch = Vec::new();
        while jobs.blocking_recv_many(&mut batch, batch_max) > 0 {
            let (entries, replies): (Vec<_>, Vec<_>) = batch.drain(..).map(|job| (job.entry, job.reply)).unzip();
            answer(replies, self.commit(&entries));
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
            self.broken = Some(format!("a write failed and could not be undone: {error}"));
        }
    }

    /// A failed sync breaks the log. What nobody was told of is taken back, so that opening anew does not find it in
    /// the memory of the system and take it for written.
    fn lasting(&mut self, synced: io::Result<()>) -> io::Result<()> {
        synced.inspect_err(|error| {
            let why = format!("a sync failed ({error}); restart the site when its disk is well");
            self.undo();
            self.broken = Some(why);
        })
    }
}

fn answer(replies: Vec<oneshot::Sender<Result<Head, String>>>, committed: io::Result<Vec<Head>>) {
    // Who no longer waits needs no answer: the record stands all the same.
    match committed {
        Ok(heads) => replies.into_iter().zip(heads).for_each(|(reply, head)| drop(reply.send(Ok(head)))),
        Err(error) => {
            tracing::error!("{} audit records are not written: {error}", replies.len());
            replies.into_iter().for_each(|reply| drop(reply.send(Err(error.to_string()))));
        }
    }
}
