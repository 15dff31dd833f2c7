//! The record of what runs and ran: one entry a query, and in it the ledger, one entry a statement sent to a site.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::Span;

use crate::catalog::site_table::SiteId;
use crate::config::Limits;
use crate::error::{Code, EngineError, Result};
use crate::identity::{Asker, Came};
use crate::session::complexity::Budget;
use crate::session::history::{Ended, History};
use crate::session::memory::{Usage, Usages};
use crate::session::quotas::{Quota, Quotas};
use crate::session::statement::shown;
use crate::session::tally::Tally;
use crate::session::trace::TraceContext;
use crate::session::turns::Turn;

/// The identity of one execution of one statement: 128 random bits in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QueryId(Arc<str>);

impl QueryId {
    /// A new identity.
    pub fn random() -> Self {
        Self(Arc::from(format!("{:032x}", rand::random::<u128>())))
    }

    /// An identity that a coordinator gave; `None` when it is not of our form.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| Self(Arc::from(text)))
    }

    /// The hexadecimal text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a query or a remote scan stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Not ended.
    Running,
    /// Ended with its whole answer.
    Finished,
    /// Ended by an error of this code.
    Failed(Code),
    /// Ended because nobody wanted the rest.
    Cancelled,
}

impl Progress {
    fn ended_by(code: Code) -> Self {
        match code {
            Code::Cancelled => Progress::Cancelled,
            code => Progress::Failed(code),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Progress::Running => f.write_str("running"),
            Progress::Finished => f.write_str("finished"),
            Progress::Failed(code) => write!(f, "failed: {code}"),
            Progress::Cancelled => f.write_str("cancelled"),
        }
    }
}

/// What crossed the border to and from one site for one statement of a query.
#[derive(Debug)]
pub struct LedgerEntry {
    /// The site.
    pub site: SiteId,
    /// The statement's number within the query, from 1 in the order in which they were sent.
    pub number: usize,
    /// The statement as sent.
    pub statement: Arc<str>,
    /// The key sets that went with it, by number and size; `None` without any.
    pub key_sets: Option<String>,
    /// gRPC message bytes to the site, the statement included.
    pub bytes_sent: Arc<AtomicU64>,
    /// gRPC message bytes from the site.
    pub bytes_received: Arc<AtomicU64>,
    rows: AtomicU64,
    course: Course,
    first_row: OnceLock<Duration>,
}

/// From a beginning to an end, which comes once.
#[derive(Debug)]
struct Course {
    started: Instant,
    ended: OnceLock<(Progress, Duration)>,
}

impl Course {
    fn begin() -> Self {
        Self { started: Instant::now(), ended: OnceLock::new() }
    }

    /// The first end counts.
    fn end(&self, progress: Progress) {
        let _ = self.ended.set((progress, self.started.elapsed()));
    }

    fn progress(&self) -> Progress {
        self.ended.get().map_or(Progress::Running, |(progress, _)| progress.clone())
    }

    fn elapsed(&self) -> Duration {
        self.ended.get().map_or_else(|| self.started.elapsed(), |(_, elapsed)| *elapsed)
    }
}

impl LedgerEntry {
    /// Adds rows that arrived.
    pub fn add_rows(&self, rows: usize) {
        if rows > 0 {
            self.first_row.get_or_init(|| self.course.started.elapsed());
        }
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
    }

    /// The entry's last word; later ones are ignored.
    pub fn end(&self, progress: Progress) {
        self.course.end(progress);
    }

    /// Rows received.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Where it stands.
    pub fn progress(&self) -> Progress {
        self.course.progress()
    }

    /// Time since the statement was sent, until its end.
    pub fn elapsed(&self) -> Duration {
        self.course.elapsed()
    }

    /// Time from sending until the first row.
    pub fn first_row(&self) -> Option<Duration> {
        self.first_row.get().copied()
    }
}

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
    /// What its subject may be sent.
    quota: Arc<Quota>,
    course: Course,
    rows: AtomicU64,
    bytes: AtomicU64,
    ledger: Mutex<Vec<Arc<LedgerEntry>>>,
    stop: watch::Sender<Option<Stop>>,
    warranted: Mutex<Warranted>,
    /// INVARIANT: once true, the warrant has been told the end, and no message is handed over any more.
    closed: Mutex<bool>,
    standing: OnceLock<Box<dyn Standing>>,
    traced: OnceLock<(TraceContext, Span)>,
}

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

/// Why a query is stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Its asker cancelled it.
    Cancelled,
    /// An administrator ended it.
    Killed,
    /// A grant that it rests on was revoked.
    Revoked,
    /// A grant that it rests on, or the asker's identity, has ended.
    Expired,
    /// The node is being stopped, and waits no longer.
    Leaving,
}

impl Stop {
    /// The error that the asker reads.
    pub fn error(self) -> EngineError {
        match self {
            Stop::Cancelled => EngineError::new(Code::Cancelled, "the query was cancelled"),
            Stop::Killed => EngineError::new(Code::Cancelled, "an administrator of this node has ended the query"),
            Stop::Revoked => EngineError::new(
                Code::Revoked,
                "a grant that the query rests on was revoked while it ran; what has arrived of the answer is not whole",
            ),
            Stop::Expired => EngineError::new(
                Code::Expired,
                "a grant or the identity that the query rests on ended while it ran; what has arrived of the answer is \
                 not whole",
            ),
            Stop::Leaving => EngineError::new(
                Code::Cancelled,
                "this node is being stopped and waits no longer for the statement to end (`drain_timeout_s`); what has \
                 arrived of the answer is not whole: ask again",
            ),
        }
    }
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

/// How often running queries are asked whether what they rest on still stands.
const CHECKED_EVERY: Duration = Duration::from_millis(500);

/// Stops queries that rest on nothing any more, for as long as it is polled.
pub async fn watch(queries: Arc<Queries>) {
    loop {
        tokio::time::sleep(CHECKED_EVERY).await;
        queries.stop_lapsed();
    }
}

impl QueryRecord {
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

    /// Ends the query here and now if its right has lapsed, its asker is signed in no more, somebody cancelled it or its time
    /// is over: its reader may never ask for more, and would never be told.
    pub fn end_if_over(&self) {
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
        }
    }

    /// The query's end, unless it had one: nothing is handed over from now on, and the warrant is told.
    fn close(&self, progress: Progress) {
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

    /// Bytes handed to the connection.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Opens a ledger entry for a statement that is about to be sent.
    pub fn open_entry(&self, site: SiteId, statement: Arc<str>, key_sets: Option<String>) -> Arc<LedgerEntry> {
        let mut ledger = self.ledger.lock();
        let entry = Arc::new(LedgerEntry {
            site,
            number: ledger.len() + 1,
            statement,
            key_sets,
            bytes_sent: Arc::default(),
            bytes_received: Arc::default(),
            rows: AtomicU64::new(0),
            course: Course::begin(),
            first_row: OnceLock::new(),
        });
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
            None if self.identity_ends.is_some_and(|end| now >= end) => Err(token_expired()),
            None => Ok(()),
        }
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
            () = self.identity_over() => token_expired(),
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

fn token_expired() -> EngineError {
    EngineError::new(Code::Expired, "the token that the query ran under has expired; get a new one, ask again")
}

/// When that time comes; `None` where it is too far away to be counted.
fn instant_of(time: SystemTime) -> Option<Instant> {
    Instant::now().checked_add(time.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Under what a query was let in.
#[derive(Debug, Clone, Copy)]
pub struct Admitted<'a> {
    /// The sealed handle, by which its subject may cancel it.
    pub handle: Option<&'a str>,
    /// Its time, from now to its last row.
    pub timeout: Duration,
}

/// The queries of one node: running ones, and the last so-many ended ones.
#[derive(Debug)]
pub struct Queries {
    running_max: usize,
    recent_max: usize,
    memory: Usages,
    quotas: Quotas,
    budget: Budget,
    history: Option<History>,
    tally: Tally,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<QueryId, Arc<QueryRecord>>,
    recent: VecDeque<Arc<QueryRecord>>,
    /// How many of `recent` have an identity: the fragments of one query have one.
    recent_ids: HashMap<QueryId, usize>,
    /// Why everything was stopped: what had its turn then begins no more.
    stopped: Option<Stop>,
}

impl State {
    /// Takes what has ended to the `most` that are remembered.
    fn remember(&mut self, record: &Arc<QueryRecord>, most: usize) {
        if self.recent.len() >= most
            && let Some(oldest) = self.recent.pop_front()
            && let Some(count) = self.recent_ids.get_mut(&oldest.id)
        {
            *count -= 1;
            if *count == 0 {
                self.recent_ids.remove(&oldest.id);
            }
        }
        *self.recent_ids.entry(record.id.clone()).or_default() += 1;
        self.recent.push_back(Arc::clone(record));
    }
}

impl Queries {
    /// A registry with its bounds.
    pub fn new(running_max: usize, recent_max: usize) -> Arc<Self> {
        let limits = Limits { running_queries_max: running_max, recent_queries_max: recent_max, ..Limits::default() };
        Self::of(&limits, None)
    }

    /// The registry of a node with these limits, which keeps what ended in that directory.
    pub fn keeping(limits: &Limits, directory: &Path) -> Arc<Self> {
        Self::of(limits, History::open(directory, limits))
    }

    fn of(limits: &Limits, history: Option<History>) -> Arc<Self> {
        Arc::new(Self {
            running_max: limits.running_queries_max,
            recent_max: limits.recent_queries_max,
            memory: Usages::default(),
            quotas: Quotas::new(limits),
            // Of what a coordinator writes more is read than of what people write, and a record does not say whose it is.
            budget: Budget::of_fragment(limits),
            history,
            tally: Tally::default(),
            state: Mutex::default(),
        })
    }

    /// What ended before this process began, oldest first.
    pub fn before(&self) -> &[Ended] {
        self.history.as_ref().map(History::before).unwrap_or_default()
    }

    /// What is counted of them.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Records the beginning of a query.
    ///
    /// # Errors
    /// `BUSY` when as many run as may, or its asker has begun as many in a minute; the reason for which everything was
    /// stopped, if it was.
    pub fn begin(
        self: &Arc<Self>,
        id: QueryId,
        asker: &Arc<Asker>,
        statement: &str,
        admitted: Admitted<'_>,
    ) -> Result<RunningQuery> {
        let subject: Arc<str> = Arc::from(asker.label());
        let quota = self.quotas.of(&subject);
        // Of one statement a coordinator makes many.
        if asker.came == Came::Directly {
            quota.begin_statement()?;
        }
        let record = Arc::new(QueryRecord {
            id: id.clone(),
            memory: self.memory.of(&subject),
            quota,
            subject,
            asker: Arc::clone(asker),
            statement: Arc::from(statement),
            budget: self.budget,
            started_at: SystemTime::now(),
            deadline: Instant::now() + admitted.timeout,
            identity_ends: asker.ends.and_then(instant_of),
            handle: admitted.handle.map(Arc::from),
            course: Course::begin(),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            ledger: Mutex::default(),
            stop: watch::Sender::new(None),
            warranted: Mutex::new(Warranted::NotYet),
            closed: Mutex::new(false),
            standing: OnceLock::new(),
            traced: OnceLock::new(),
        });
        let mut state = self.state.lock();
        if let Some(reason) = state.stopped {
            return Err(reason.error());
        }
        if state.running.len() >= self.running_max {
            return Err(EngineError::new(
                Code::Busy,
                format!("{} queries are running here, as many as may; try again later", self.running_max),
            ));
        }
        // Two fragments of one query may run at one site at once: the second gets a name of its own in the registry.
        let key = if state.running.contains_key(&id) { QueryId::random() } else { id };
        state.running.insert(key.clone(), Arc::clone(&record));
        Ok(RunningQuery { key, record, queries: Arc::clone(self), turn: None })
    }

    /// Cancels what runs under a handle; says whether anything did. Only the subject's own queries are found.
    pub fn cancel_handle(&self, subject: &str, handle: &str) -> bool {
        let state = self.state.lock();
        let mut found = false;
        for record in state.running.values() {
            if record.handle.as_deref() == Some(handle) && record.subject.as_ref() == subject {
                record.stop(Stop::Cancelled);
                found = true;
            }
        }
        found
    }

    /// Stops every query of that identity that is `wanted`; says whether any ran.
    pub fn kill(&self, id: &str, reason: Stop, wanted: impl Fn(&QueryRecord) -> bool) -> bool {
        let found: Vec<_> =
            self.running().into_iter().filter(|record| record.id.as_str() == id && wanted(record)).collect();
        for record in &found {
            record.stop(reason);
            // Its reader may not come for more, and must not have to.
            record.end_if_over();
        }
        !found.is_empty()
    }

    /// Stops all that runs, for good: nothing begins any more. What is stopped already has its own reason.
    pub fn stop_all(&self, reason: Stop) {
        let mut state = self.state.lock();
        state.stopped.get_or_insert(reason);
        for record in state.running.values() {
            record.stop(reason);
        }
    }

    /// Stops those that rest on nothing any more.
    pub fn stop_lapsed(&self) {
        for record in self.running() {
            record.end_if_over();
        }
    }

    /// Whether a query of that identity runs or is remembered.
    pub fn knows(&self, id: &QueryId) -> bool {
        let state = self.state.lock();
        state.recent_ids.contains_key(id) || state.running.values().any(|record| record.id == *id)
    }

    /// What runs, oldest first.
    pub fn running(&self) -> Vec<Arc<QueryRecord>> {
        let mut running: Vec<_> = self.state.lock().running.values().cloned().collect();
        running.sort_by_key(|record| record.course.started);
        running
    }

    /// What ended, oldest first.
    pub fn recent(&self) -> Vec<Arc<QueryRecord>> {
        self.state.lock().recent.iter().cloned().collect()
    }

    fn finish(&self, key: &QueryId) {
        let mut state = self.state.lock();
        let Some(record) = state.running.remove(key) else { return };
        state.remember(&record, self.recent_max);
        drop(state);
        if let Some(history) = &self.history {
            history.keep(&record);
        }
    }
}

/// A query that runs for as long as this lives; dropped without an ending, it counts as cancelled.
#[derive(Debug)]
pub struct RunningQuery {
    key: QueryId,
    record: Arc<QueryRecord>,
    queries: Arc<Queries>,
    turn: Option<Arc<Turn>>,
}

impl RunningQuery {
    /// The query, in its turn.
    #[must_use]
    pub fn in_turn(mut self, turn: Arc<Turn>) -> Self {
        self.turn = Some(turn);
        self
    }

    /// Its turn, for work that may go on when nobody waits for it.
    pub fn turn(&self) -> Option<Arc<Turn>> {
        self.turn.clone()
    }

    /// The record.
    pub fn record(&self) -> &Arc<QueryRecord> {
        &self.record
    }

    /// The whole answer has been handed over.
    pub fn finished(&self) {
        self.record.course.end(Progress::Finished);
    }

    /// An error ended it.
    pub fn failed(&self, code: Code) {
        self.record.failed(code);
    }
}

impl Drop for RunningQuery {
    fn drop(&mut self) {
        self.record.close(Progress::Cancelled);
        for entry in self.record.ledger() {
            entry.end(Progress::Cancelled);
        }
        self.queries.tally.ended(&self.record);
        self.record.span().in_scope(|| {
            let (query, outcome) = (self.record.id.as_str(), self.record.progress().to_string());
            let elapsed_ms = u64::try_from(self.record.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(query, outcome, rows = self.record.rows(), bytes = self.record.bytes(), elapsed_ms, "ended");
        });
        self.queries.finish(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::runtime::SpawnedTask;

    use super::*;

    #[test]
    fn a_query_is_running_until_dropped_and_then_recent() {
        let queries = Queries::new(1, 1);
        let ann = Arc::new(Asker::peer("ann"));
        let admitted = Admitted { handle: Some("h"), timeout: Duration::from_secs(60) };
        let running = queries.begin(QueryId::random(), &ann, "SELECT 1", admitted).unwrap();
        assert_eq!(queries.running().len(), 1);
        assert_eq!(queries.begin(QueryId::random(), &ann, "SELECT 1", admitted).unwrap_err().code(), Code::Busy);
        assert!(!queries.cancel_handle("bob", "h"), "somebody else's query is not found");
        assert!(queries.cancel_handle("ann", "h"));
        assert!(running.record().is_cancelled());
        drop(running);
        assert!(queries.running().is_empty());
        assert_eq!(queries.recent()[0].progress(), Progress::Cancelled);
    }

    #[test]
    fn what_had_its_turn_when_everything_was_stopped_does_not_begin() {
        let queries = Queries::new(3, 3);
        let ann = Arc::new(Asker::peer("ann"));
        let admitted = Admitted { handle: None, timeout: Duration::from_secs(60) };
        let begin = || queries.begin(QueryId::random(), &ann, "SELECT 1", admitted);
        let (running, cancelled) = (begin().unwrap(), begin().unwrap());
        cancelled.record().stop(Stop::Cancelled);
        queries.stop_all(Stop::Leaving);
        let code = Stop::Leaving.error().code();
        assert_eq!(running.record().go_on().unwrap_err().code(), code);
        assert_eq!(cancelled.record().go_on().unwrap_err().code(), Stop::Cancelled.error().code());
        assert_eq!(begin().unwrap_err().code(), code);
        assert_eq!(queries.running().len(), 2);
    }

    /// Counts how often it was told an end.
    #[derive(Debug, Default)]
    struct Told(AtomicU64);

    impl Warrant for Told {
        fn lapsed(&self) -> Option<Stop> {
            None
        }

        fn charge(&self, _rows: u64, _bytes: u64) -> Result<()> {
            Ok(())
        }

        fn ended(&self, _record: &QueryRecord) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A right that has ended, and the ends that it was told of.
    #[derive(Debug, Default)]
    struct Ended(Arc<Mutex<Vec<(Progress, u64)>>>);

    impl Warrant for Ended {
        fn lapsed(&self) -> Option<Stop> {
            Some(Stop::Revoked)
        }

        fn charge(&self, _rows: u64, _bytes: u64) -> Result<()> {
            Ok(())
        }

        fn ended(&self, record: &QueryRecord) {
            self.0.lock().push((record.progress(), record.bytes()));
        }
    }

    #[test]
    fn a_query_that_has_ended_or_was_refused_gets_no_warrant() {
        let queries = Queries::new(3, 3);
        let ann = Arc::new(Asker::peer("ann"));
        let admitted = Admitted { handle: None, timeout: Duration::from_secs(60) };
        let begin = || queries.begin(QueryId::random(), &ann, "SELECT 1", admitted).unwrap();
        let told = Arc::new(Told::default());
        let give = |record: &QueryRecord| record.warrant(|| Ok((Arc::clone(&told) as Arc<dyn Warrant>, ())));
        let (ended, refused, warranted) = (begin(), begin(), begin());
        let record = Arc::clone(ended.record());
        drop(ended);
        assert_eq!(give(&record).unwrap_err().code(), Code::Cancelled);
        assert!(refused.record().refuse_warrant());
        give(refused.record()).unwrap_err();
        refused.record().begin_change().unwrap_err();
        give(warranted.record()).unwrap();
        assert!(!warranted.record().refuse_warrant(), "it has one");
        give(warranted.record()).unwrap_err();
        drop(warranted);
        drop(refused);
        assert_eq!(told.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_query_that_changes_something_is_not_cut_off_and_is_refused_only_if_it_fails() {
        let queries = Queries::new(3, 3);
        let ann = Arc::new(Asker::peer("ann"));
        let admitted = Admitted { handle: None, timeout: Duration::from_secs(60) };
        let begin = || queries.begin(QueryId::random(), &ann, "CREATE PURPOSE p", admitted).unwrap();
        let (cut_off, failed, changed) = (begin(), begin(), begin());
        assert!(cut_off.record().cut_off());
        cut_off.record().begin_change().unwrap_err();
        assert!(cut_off.record().refuse_warrant(), "it was never let in");
        for changing in [&failed, &changed] {
            changing.record().begin_change().unwrap();
            changing.record().stop(Stop::Cancelled);
            assert!(!changing.record().cut_off());
        }
        changed.record().has_changed();
        assert!(failed.record().refuse_warrant() && !changed.record().refuse_warrant());
        assert!(!changed.record().cut_off(), "its asker is told of it");
    }

    #[tokio::test]
    async fn a_query_ends_when_its_asker_is_signed_in_no_more() {
        #[derive(Debug)]
        struct SignedIn(Arc<std::sync::atomic::AtomicBool>);
        impl Standing for SignedIn {
            fn holds(&self) -> bool {
                self.0.load(Ordering::Relaxed)
            }
        }
        let queries = Queries::new(1, 1);
        let admitted = Admitted { handle: None, timeout: Duration::from_secs(60) };
        let running = queries.begin(QueryId::random(), &Arc::new(Asker::peer("ann")), "SELECT 1", admitted).unwrap();
        let signed_in = Arc::new(std::sync::atomic::AtomicBool::new(true));
        running.record().rest_on(Box::new(SignedIn(Arc::clone(&signed_in))));
        queries.stop_lapsed();
        running.record().go_on().unwrap();
        signed_in.store(false, Ordering::Relaxed);
        let _watched = SpawnedTask::spawn(watch(Arc::clone(&queries)));
        let reason = tokio::time::timeout(Duration::from_secs(10), running.record().stopped()).await.unwrap();
        assert_eq!((reason.code(), running.record().go_on().unwrap_err().code()), (Code::Expired, Code::Expired));
    }

    #[test]
    fn a_query_without_a_reader_ends_with_its_right_and_hands_nothing_over_any_more() {
        let queries = Queries::new(1, 1);
        let admitted = Admitted { handle: None, timeout: Duration::from_secs(60) };
        let running = queries.begin(QueryId::random(), &Arc::new(Asker::peer("ann")), "SELECT 1", admitted).unwrap();
        let ended = Ended::default();
        let told = Arc::clone(&ended.0);
        running.record().warrant(|| Ok((Arc::new(ended) as Arc<dyn Warrant>, ()))).unwrap();
        running.record().hand_over(1, 7).unwrap();
        running.record().end_if_over();
        let end = vec![(Progress::Failed(Code::Revoked), 7)];
        assert_eq!(*told.lock(), end, "nobody has asked for more");
        assert_eq!(running.record().hand_over(1, 7).unwrap_err().code(), Code::Revoked);
        running.finished();
        drop(running);
        assert_eq!(*told.lock(), end, "an end comes once");
    }

    #[test]
    fn a_query_without_a_reader_ends_when_its_time_is_over() {
        let queries = Queries::new(1, 1);
        let admitted = Admitted { handle: None, timeout: Duration::ZERO };
        let running = queries.begin(QueryId::random(), &Arc::new(Asker::peer("ann")), "SELECT 1", admitted).unwrap();
        running.record().end_if_over();
        assert_eq!(running.record().progress(), Progress::Failed(Code::Deadline));
        assert_eq!(running.record().hand_over(1, 7).unwrap_err().code(), Code::Deadline);
    }

    #[tokio::test]
    async fn a_query_ends_with_the_identity_that_it_runs_under() {
        let queries = Queries::new(1, 1);
        let ends = Some(SystemTime::now() + Duration::from_millis(50));
        let asker = Arc::new(Asker { ends, ..Asker::user(crate::identity::Subject::default()) });
        let admitted = Admitted { handle: None, timeout: Duration::from_secs(60) };
        let running = queries.begin(QueryId::random(), &asker, "SELECT 1", admitted).unwrap();
        let reason = tokio::time::timeout(Duration::from_secs(10), running.record().stopped()).await.unwrap();
        assert_eq!(reason.code(), Code::Expired);
    }
}
