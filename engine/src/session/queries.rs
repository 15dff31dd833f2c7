//! The record of what runs and ran: one entry a query, and in it the ledger, one entry a statement sent to a site.
//!
//! - `record`: one execution of one statement; `ledger`: what was sent for it and came back; `stop`: why it may end early.
//! - here: all of a node's, those that run and the last that ended.

mod ledger;
mod record;
mod stop;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

pub use ledger::{LedgerEntry, Progress};
pub use record::{QueryRecord, Standing, Warrant};
pub use stop::Stop;

use crate::config::Limits;
use crate::error::{Code, EngineError, Result};
use crate::identity::{Asker, Came};
use crate::session::complexity::Budget;
use crate::session::history::{Ended, History};
use crate::session::memory::Usages;
use crate::session::quotas::Quotas;
use crate::session::tally::Tally;
use crate::session::turns::Turn;
use record::Under;

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

/// Whoever is told of each statement that has ended here.
pub trait Ends: fmt::Debug + Send + Sync {
    /// One has, with what was sent for it; holds up nobody.
    fn ended(&self, record: &QueryRecord);
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
    process_memory_bytes: usize,
    quotas: Quotas,
    budget: Budget,
    /// How long the reader of an answer may take nothing.
    unread: Option<Duration>,
    history: Option<History>,
    tally: Tally,
    ends: OnceLock<Arc<dyn Ends>>,
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

    pub(super) fn of(limits: &Limits, history: Option<History>) -> Arc<Self> {
        Arc::new(Self {
            running_max: limits.running_queries_max,
            recent_max: limits.recent_queries_max,
            memory: Usages::default(),
            process_memory_bytes: limits.process_memory_bytes_max(),
            quotas: Quotas::new(limits),
            // Of what a coordinator writes more is read than of what people write, and a record does not say whose it is.
            budget: Budget::of_fragment(limits),
            unread: (limits.unread_timeout_ms > 0).then(|| Duration::from_millis(limits.unread_timeout_ms)),
            history,
            tally: Tally::default(),
            ends: OnceLock::new(),
            state: Mutex::default(),
        })
    }

    /// What ended before this process began, oldest first.
    pub fn before(&self) -> &[Ended] {
        self.history.as_ref().map(History::before).unwrap_or_default()
    }

    /// What the process may have in memory for this node.
    pub fn process_memory_bytes(&self) -> usize {
        self.process_memory_bytes
    }

    /// What is counted of them.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Tells the end of each from now on; once.
    pub fn tell_ends(&self, ends: Arc<dyn Ends>) {
        // A second one would be a defect of the caller's; the first stands.
        let _ = self.ends.set(ends);
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
        let (memory, budget) = (self.memory.of(&subject), self.budget);
        // A coordinator may read one answer before another, and ends what its own reader does not take.
        let unread = self.unread.filter(|_| asker.came == Came::Directly);
        let under = Under { admitted, subject, memory, quota, budget, unread };
        let record = Arc::new(QueryRecord::begin(id.clone(), asker, statement, under));
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
            if record.runs_under(handle) && record.subject.as_ref() == subject {
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
        running.sort_by_key(|record| record.began());
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
        self.record.finished();
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
        if let Some(ends) = self.queries.ends.get() {
            ends.ended(&self.record);
        }
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
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::SystemTime;

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
