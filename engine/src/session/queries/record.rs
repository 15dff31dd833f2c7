//! One execution of one statement: its course and its end, the right that it runs by, and what it has handed over.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::Span;

use super::ledger::{Course, LedgerEntry, Progress};
use super::stop::Stop;
use super::{Admitted, QueryId};
use crate::catalog::site_table::SiteId;
use crate::error::{Code, EngineError, Result};
use crate::identity::Asker;
use crate::session::complexity::Budget;
use crate::session::memory::Usage;
use crate::session::quotas::Quota;
use crate::session::statement::shown;
use crate::session::trace::TraceContext;

/// One execution of one statement.
#[derive(Debug)]
pub struct QueryRecord {
    /// Its identity.
    pub id: QueryId,
    /// Who asked.
    pub asker: Arc<Asker>,
    /// The name that they are recorded under.
    pub subject: Arc<str>,
    /// The statement as asked.
    pub statement: Arc<str>,
    /// What its text may cost to read.
    budget: Budget,
    /// When it began, by this node's clock.
    pub started_at: SystemTime,
    /// When its time is over.
    pub deadline: Instant,
    /// When the identity that it runs under is over.
    identity_ends: Option<Instant>,
    /// The sealed handle it runs under, by which its subject may cancel it.
    handle: Option<Arc<str>>,
    /// What the statements of its subject take of the memory.
    pub memory: Usage,
    /// What its threads took of the process's memory and have not given back or handed on, near enough to compare queries by.
    held: AtomicI64,
    /// What its subject may be sent.
    quota: Arc<Quota>,
    course: Course,
    rows: AtomicU64,
    bytes: AtomicU64,
    reading: Reading,
    ledger: Mutex<Vec<Arc<LedgerEntry>>>,
    stop: watch::Sender<Option<Stop>>,
    warranted: Mutex<Warranted>,
    /// INVARIANT: once true, the warrant has been told the end, and no message is handed over any more.
    closed: Mutex<bool>,
    standing: OnceLock<Box<dyn Standing>>,
    traced: OnceLock<(TraceContext, Span)>,
}

/// Whether its reader takes what there is.
#[derive(Debug)]
struct Reading {
    /// How long a message may lie untaken.
    patience: Option<Duration>,
    /// Since when one does, and for how much longer a message of its size may; `None` while the reader waits for the query.
    untaken: Mutex<Option<(Instant, Duration)>>,
    let_go: OnceLock<LetGo>,
}

/// How what is kept for a reader is let go.
struct LetGo(Box<dyn Fn() + Send + Sync>);

impl fmt::Debug for LetGo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LetGo")
    }
}

/// What one thread gives back may be counted before what another one took.
const CREDIT: i64 = 64 << 20;
/// Whoever takes so much in a second takes it.
const SLOWEST_BYTES_PER_S: u64 = 128 << 10;

/// Whether a query has a right to run by.
#[derive(Debug)]
enum Warranted {
    /// Not yet, and nothing has left.
    NotYet,
    /// By none: it changes something here, which is done to its end. What comes of that is its record.
    Changing,
    By(Arc<dyn Warrant>),
    /// It was refused: it gets none.
    Refused,
    /// By none: it has changed what it was to change.
    Changed,
    /// It has ended: it gets none any more.
    Over,
}

/// By what right a query runs at a site: asked at least twice a second whether it still stands, and told the end.
pub trait Warrant: fmt::Debug + Send + Sync {
    /// The reason to stop the query now, if there is one.
    fn lapsed(&self) -> Option<Stop>;

    /// Counts rows and bytes that are about to leave against what may leave.
    ///
    /// # Errors
    /// `CAP`: they may not, and are not counted.
    fn charge(&self, rows: u64, bytes: u64) -> Result<()>;

    /// The query has ended; comes once, and no message is handed over after it.
    fn ended(&self, record: &QueryRecord);
}

/// How the asker of a query signed in: asked at least twice a second whether that still holds.
pub trait Standing: fmt::Debug + Send + Sync {
    /// Whether the asker would still be let in as they were.
    fn holds(&self) -> bool;
}

/// Under what a query begins.
pub(super) struct Under<'a> {
    pub(super) admitted: Admitted<'a>,
    pub(super) subject: Arc<str>,
    pub(super) memory: Usage,
    pub(super) quota: Arc<Quota>,
    pub(super) budget: Budget,
    /// How long its reader may take nothing.
    pub(super) unread: Option<Duration>,
}

impl QueryRecord {
    pub(super) fn begin(id: QueryId, asker: &Arc<Asker>, statement: &str, under: Under<'_>) -> Self {
        let Under { admitted, subject, memory, quota, budget, unread } = under;
        Self {
            id,
            memory,
            held: AtomicI64::new(0),
            quota,
            subject,
            asker: Arc::clone(asker),
            statement: Arc::from(statement),
            budget,
            started_at: SystemTime::now(),
            deadline: Instant::now() + admitted.timeout,
            identity_ends: asker.ends.and_then(instant_of),
            handle: admitted.handle.map(Arc::from),
            course: Course::begin(),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            reading: Reading { patience: unread, untaken: Mutex::new(None), let_go: OnceLock::new() },
            ledger: Mutex::default(),
            stop: watch::Sender::new(None),
            warranted: Mutex::new(Warranted::NotYet),
            closed: Mutex::new(false),
            standing: OnceLock::new(),
            traced: OnceLock::new(),
        }
    }

    /// When it began, by a clock that nobody sets.
    pub(super) fn began(&self) -> Instant {
        self.course.started
    }

    /// Whether it runs under that sealed handle.
    pub(super) fn runs_under(&self, handle: &str) -> bool {
        self.handle.as_deref() == Some(handle)
    }

    /// The whole answer has been handed over.
    pub(super) fn finished(&self) {
        self.course.end(Progress::Finished);
    }

    /// The statement as others than its subject may read it, without its literals.
    pub fn shown_to_others(&self) -> String {
        shown(&self.statement, &self.budget)
    }

    /// Lets the query rest on how its asker signed in; before its first batch, once.
    pub fn rest_on(&self, standing: Box<dyn Standing>) {
        // A second one would be a defect of the caller's; the first stands.
        let _ = self.standing.set(standing);
    }

    /// Says to which trace the query belongs, and what each line of the log about it carries; once.
    pub fn belong_to(&self, trace: TraceContext, span: Span) {
        // A second one would be a defect of the caller's; the first stands.
        let _ = self.traced.set((trace, span));
    }

    /// The trace that the query belongs to.
    pub fn trace(&self) -> Option<TraceContext> {
        self.traced.get().map(|(trace, _)| *trace)
    }

    /// What its lines in the log carry.
    pub fn span(&self) -> Span {
        self.traced.get().map_or_else(Span::none, |(_, span)| span.clone())
    }

    /// Gives the query the right that it runs by; before its first batch, once. A query cannot end while `make` makes it:
    /// whatever is begun there, the warrant is told its end.
    ///
    /// # Errors
    /// Those of `make`; `CANCELLED`, and nothing is made, for a query that has ended.
    pub fn warrant<T>(&self, make: impl FnOnce() -> Result<(Arc<dyn Warrant>, T)>) -> Result<T> {
        let mut warranted = self.warranted.lock();
        self.has_not_begun(&warranted)?;
        let (warrant, made) = make()?;
        *warranted = Warranted::By(warrant);
        Ok(made)
    }

    /// From now on the query is not cut off, until it [has changed](Self::has_changed) what it is to change, or failed to.
    ///
    /// # Errors
    /// `CANCELLED` for a query that has ended: it must change nothing.
    pub fn begin_change(&self) -> Result<()> {
        let mut warranted = self.warranted.lock();
        self.has_not_begun(&warranted)?;
        *warranted = Warranted::Changing;
        Ok(())
    }

    /// The change is made, and on record.
    pub fn has_changed(&self) {
        *self.warranted.lock() = Warranted::Changed;
    }

    fn has_not_begun(&self, warranted: &Warranted) -> Result<()> {
        if *self.closed.lock() || !matches!(warranted, Warranted::NotYet) {
            return Err(self.go_on().err().unwrap_or_else(|| Stop::Cancelled.error()));
        }
        Ok(())
    }

    /// Whether the work of a query that must stop can be dropped; without a warrant it gets none from now on. Not the work
    /// of one that changes something.
    pub fn cut_off(&self) -> bool {
        let mut warranted = self.warranted.lock();
        match *warranted {
            Warranted::Changing | Warranted::Changed => return false,
            Warranted::NotYet => *warranted = Warranted::Refused,
            Warranted::By(_) | Warranted::Refused | Warranted::Over => {}
        }
        true
    }

    /// From now on the query gets no warrant; whether it had none, and so was never let in.
    pub fn refuse_warrant(&self) -> bool {
        let mut warranted = self.warranted.lock();
        let had_none = matches!(*warranted, Warranted::NotYet | Warranted::Changing | Warranted::Refused);
        if had_none {
            *warranted = Warranted::Refused;
        }
        had_none
    }

    /// The warrant, and none from now on.
    fn end_warrant(&self) -> Option<Arc<dyn Warrant>> {
        let mut warranted = self.warranted.lock();
        let Warranted::By(warrant) = &*warranted else { return None };
        let warrant = Arc::clone(warrant);
        *warranted = Warranted::Over;
        Some(warrant)
    }

    /// Says how to let go of what is kept for its reader: when the query is over, and they have not come; once.
    pub fn keep_until_over(&self, let_go: impl Fn() + Send + Sync + 'static) {
        // A second one would be a defect of the caller's; the first stands.
        let _ = self.reading.let_go.set(LetGo(Box::new(let_go)));
    }

    /// Its reader has come for a message.
    pub fn reader_waits(&self) {
        *self.reading.untaken.lock() = None;
    }

    /// There is a message for its reader, or what makes one; they come for it or not.
    pub fn reader_is_called(&self) {
        self.reading.untaken.lock().get_or_insert_with(|| (Instant::now(), Duration::ZERO));
    }

    /// Its reader has a message of that size, and comes for the next one when most of it has gone to them.
    pub fn reader_has(&self, bytes: usize) {
        let on_its_way = Duration::from_secs(bytes as u64 / SLOWEST_BYTES_PER_S);
        *self.reading.untaken.lock() = Some((Instant::now(), on_its_way));
    }

    /// Whether its reader has not come for what there is.
    pub fn is_untaken(&self) -> bool {
        self.reading.untaken.lock().is_some()
    }

    /// Whether its reader has come for nothing for longer than may be.
    fn is_unread(&self) -> bool {
        let untaken = *self.reading.untaken.lock();
        let patience = self.reading.patience;
        untaken.zip(patience).is_some_and(|((since, longer), patience)| since.elapsed() >= patience + longer)
    }

    /// Ends the query here and now if its right has lapsed, its asker is signed in no more, nobody reads it, somebody cancelled
    /// it or its time is over: its reader may never ask for more, and would never be told.
    pub fn end_if_over(&self) {
        if self.is_unread() {
            self.stop(Stop::Unread);
        }
        if self.standing.get().is_some_and(|standing| !standing.holds()) {
            self.stop(Stop::Expired);
        }
        let lapsed = match &*self.warranted.lock() {
            Warranted::By(warrant) => warrant.lapsed(),
            _ => None,
        };
        if let Some(stop) = lapsed {
            self.stop(stop);
        }
        if let Err(over) = self.go_on() {
            self.close(Progress::ended_by(over.code()));
            if let Some(let_go) = self.reading.let_go.get() {
                let_go.0();
            }
        }
    }

    /// The query's end, unless it had one: nothing is handed over from now on, and the warrant is told.
    pub(super) fn close(&self, progress: Progress) {
        let was_closed = std::mem::replace(&mut *self.closed.lock(), true);
        if was_closed {
            return;
        }
        self.course.end(progress);
        if let Some(warrant) = self.end_warrant() {
            warrant.ended(self);
        }
    }

    /// Counts rows, and the bytes of their values, that are about to leave by the query's right.
    ///
    /// # Errors
    /// `CAP` when they may not.
    pub fn charge(&self, rows: usize, bytes: usize) -> Result<()> {
        let warrant = match &*self.warranted.lock() {
            Warranted::By(warrant) => Arc::clone(warrant),
            _ => return Ok(()),
        };
        warrant.charge(rows as u64, bytes as u64)
    }

    /// Stops the query; the first reason counts.
    pub fn stop(&self, reason: Stop) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            stop.get_or_insert(reason);
            first
        });
    }

    /// Counts a message that is now handed to the connection, and the rows in it.
    ///
    /// # Errors
    /// The reason of the query's end, when that has come: the message must not leave. `CAP` when its subject may be sent no more
    /// today.
    pub fn hand_over(&self, rows: usize, bytes: usize) -> Result<()> {
        let closed = self.closed.lock();
        self.go_on()?;
        if *closed {
            return Err(Stop::Cancelled.error());
        }
        self.quota.charge(rows as u64, bytes as u64)?;
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Its threads have taken so much memory, or given it back or handed it on. What others took for it may be given back here, and
    /// is no credit for what it takes.
    pub fn takes(&self, bytes: i64) {
        let taken = |held: i64| {
            let taken = held.saturating_add(bytes);
            Some(if taken >= -CREDIT { taken } else { taken.max(-CREDIT.saturating_add_unsigned(self.received())) })
        };
        let _ = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken);
    }

    fn received(&self) -> u64 {
        self.ledger.lock().iter().map(|entry| entry.bytes_received.load(Ordering::Relaxed)).sum()
    }

    /// Rows of so many bytes are somebody else's now.
    pub fn hands_on(&self, bytes: usize) {
        self.takes(0_i64.saturating_sub_unsigned(bytes as u64));
    }

    /// The memory that it holds, about, and at least what its operators have reserved. What comes from sites is taken where calls
    /// are answered, and given back here.
    pub fn held(&self) -> u64 {
        self.received().saturating_add_signed(self.held.load(Ordering::Relaxed)).max(self.memory.own() as u64)
    }

    /// Whether it changes something here, and is not ended by others.
    pub fn changes(&self) -> bool {
        matches!(*self.warranted.lock(), Warranted::Changing | Warranted::Changed)
    }

    /// Bytes handed to the connection.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Opens a ledger entry for a statement that is about to be sent.
    pub fn open_entry(&self, site: SiteId, statement: Arc<str>, key_sets: Option<String>) -> Arc<LedgerEntry> {
        let mut ledger = self.ledger.lock();
        let trace = self.trace().map(|trace| trace.child());
        let entry = Arc::new(LedgerEntry::open(ledger.len() + 1, site, statement, key_sets, trace));
        ledger.push(Arc::clone(&entry));
        entry
    }

    /// The ledger so far.
    pub fn ledger(&self) -> Vec<Arc<LedgerEntry>> {
        self.ledger.lock().clone()
    }

    /// Rows sent to the client.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Where it stands.
    pub fn progress(&self) -> Progress {
        self.course.progress()
    }

    /// Time since its beginning, until its end.
    pub fn elapsed(&self) -> Duration {
        self.course.elapsed()
    }

    /// Milliseconds since 1970 at which it began.
    pub fn started_ms(&self) -> i64 {
        let since = self.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// Whether the next message may leave, asked of each by itself.
    ///
    /// # Errors
    /// The reason why the query must stop.
    pub fn go_on(&self) -> Result<()> {
        let stop = *self.stop.borrow();
        let now = Instant::now();
        match stop {
            Some(stop) => Err(stop.error()),
            None if now >= self.deadline => Err(self.out_of_time()),
            None if self.identity_ends.is_some_and(|end| now >= end) => Err(identity_expired()),
            None => Ok(()),
        }
    }

    /// Whether it is over, and not because all of its answer is made.
    pub fn has_lost_its_right(&self) -> bool {
        self.go_on().is_err() && self.progress() != Progress::Finished
    }

    /// Whether anybody wants the query's work, asked by what cannot be dropped in the middle of it.
    ///
    /// # Errors
    /// The reason why it must stop.
    pub fn is_wanted(&self) -> Result<()> {
        self.go_on()?;
        if *self.closed.lock() { Err(Stop::Cancelled.error()) } else { Ok(()) }
    }

    /// An error ended it; the first end counts.
    pub fn failed(&self, code: Code) {
        self.course.end(Progress::ended_by(code));
    }

    /// Resolves with the reason when the query must stop: somebody cancelled it, its right has lapsed, or its time is over.
    pub async fn stopped(&self) -> EngineError {
        tokio::select! {
            stop = self.told_to_stop() => stop.error(),
            () = tokio::time::sleep_until(self.deadline.into()) => self.out_of_time(),
            () = self.identity_over() => identity_expired(),
        }
    }

    async fn identity_over(&self) {
        match self.identity_ends {
            Some(end) => tokio::time::sleep_until(end.into()).await,
            None => std::future::pending().await,
        }
    }

    async fn told_to_stop(&self) -> Stop {
        let mut receiver = self.stop.subscribe();
        // The sender lives in `self`, so the wait ends only by a stop.
        let told = receiver.wait_for(Option::is_some).await.ok().and_then(|stop| *stop);
        told.unwrap_or(Stop::Cancelled)
    }

    /// The error of a query whose time is over.
    pub fn out_of_time(&self) -> EngineError {
        let sentence = "the statement's time is over; ask for less, or raise `statement_timeout_ms`";
        EngineError::new(Code::Deadline, sentence)
    }

    /// Whether somebody has cancelled the query.
    pub fn is_cancelled(&self) -> bool {
        matches!(*self.stop.borrow(), Some(Stop::Cancelled | Stop::Killed))
    }
}

fn identity_expired() -> EngineError {
    EngineError::new(
        Code::Expired,
        "the token or the certificate that the query ran under has expired; get a new one, ask again",
    )
}

/// When that time comes; `None` where it is too far away to be counted.
fn instant_of(time: SystemTime) -> Option<Instant> {
    Instant::now().checked_add(time.duration_since(SystemTime::now()).unwrap_or_default())
}
