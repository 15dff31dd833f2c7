//! The watchdog of the query threads: it sees what each of them does, and tells of a step that does not give way.
//!
//! A thread that polls a statement's work cannot take it away again before it yields. What is known to work for long is cut into
//! steps or refused; of what is not known the operator is told: by whom a thread is held is in the log, how many are held is among
//! the numbers, and a node whose threads are all held is not ready. What a step takes of memory is its statement's.

use std::any::Any;
use std::cell::{Cell, OnceCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Once, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use datafusion::common::runtime::{JoinSetTracer, set_join_set_tracer};
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tracing::{Instrument, Span};

use super::process_memory::taken_since;
use super::queries::QueryRecord;
use super::threads;
use crate::error::Result;

/// After how long a step is one that does not give way.
const LONG: Duration = Duration::from_secs(2);
/// How often it is looked.
const LOOKS_EVERY: Duration = Duration::from_millis(500);

/// What one thread does now.
#[derive(Debug, Default)]
struct Seat(Mutex<Option<Step>>);

/// A poll that has not returned yet.
#[derive(Debug)]
struct Step {
    began: Instant,
    span: Span,
    record: Option<Arc<QueryRecord>>,
    told: bool,
}

static SEATS: LazyLock<Mutex<Vec<Weak<Seat>>>> = LazyLock::new(Mutex::default);
static TOLD: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static SEAT: OnceCell<Arc<Seat>> = const { OnceCell::new() };
    static RUNS_STATEMENTS: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread runs statements; what is spawned from it belongs to one.
pub(super) fn runs_statements() {
    RUNS_STATEMENTS.set(true);
}

/// The threads of this process that run statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threads {
    /// How many there are.
    pub all: usize,
    /// How many are held by a step that does not give way.
    pub held: usize,
    /// How many such steps there were.
    pub long_steps: u64,
}

impl Threads {
    /// How they stand now.
    pub fn now() -> Self {
        let mut held = 0;
        each(|step| held += usize::from(step.began.elapsed() >= LONG));
        Self { all: threads::count(), held, long_steps: TOLD.load(Ordering::Relaxed) }
    }

    /// Whether no other statement can be answered.
    pub fn are_all_held(self) -> bool {
        self.held >= self.all
    }
}

/// Begins to watch: what [`watched`] wraps, and whatever DataFusion spawns from there. Once in a process.
pub(super) fn begin() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        // Nobody else in this process traces what DataFusion spawns.
        let _ = set_join_set_tracer(&Spawned);
        let looking = std::thread::Builder::new().name("watchdog".to_string()).spawn(|| {
            loop {
                std::thread::sleep(LOOKS_EVERY);
                look();
            }
        });
        if let Err(error) = looking {
            tracing::error!(%error, "no thread for the watchdog: steps that do not give way are told by nobody");
        }
    });
}

/// The same work, each step of which is seen; what is told of it stands in that span. `record` is of the statement that it is
/// for.
pub(super) fn watched<T>(
    span: Span,
    record: Option<Arc<QueryRecord>>,
    work: impl Future<Output = T> + Send + 'static,
) -> Watched<T> {
    Watched { work: Some(Box::pin(work)), span, record }
}

/// Whether anybody wants the work that this thread does; asked by what cannot yield and takes long.
///
/// # Errors
/// The reason why it must stop.
pub fn is_wanted() -> Result<()> {
    own_record().map_or(Ok(()), |record| record.is_wanted())
}

/// The statement that this thread works for.
pub(super) fn own_record() -> Option<Arc<QueryRecord>> {
    Seat::own().0.lock().as_ref().and_then(|step| step.record.clone())
}

/// The statements that threads work for now.
pub(super) fn at_work() -> Vec<Arc<QueryRecord>> {
    let mut records: Vec<Arc<QueryRecord>> = Vec::new();
    each(|step| records.extend(step.record.clone().filter(|own| !records.iter().any(|seen| Arc::ptr_eq(seen, own)))));
    records
}

fn look() {
    let mut long = Vec::new();
    each(|step| {
        let took = step.began.elapsed();
        if took >= LONG && !step.told {
            step.told = true;
            long.push((took, step.span.clone()));
        }
    });
    // The log may be read slowly: no thread waits for that.
    for (took, span) in long {
        TOLD.fetch_add(1, Ordering::Relaxed);
        span.in_scope(|| {
            tracing::warn!(seconds = took.as_secs(), "a step of a statement does not give way and holds a thread");
        });
    }
}

fn each(mut see: impl FnMut(&mut Step)) {
    let seats: Vec<_> = SEATS.lock().iter().filter_map(Weak::upgrade).collect();
    for seat in seats {
        if let Some(step) = seat.0.lock().as_mut() {
            see(step);
        }
    }
}

impl Seat {
    /// The one of this thread.
    fn own() -> Arc<Self> {
        let seat = SEAT.try_with(|own| {
            let seat = own.get_or_init(|| {
                let seat = Arc::new(Self::default());
                let mut seats = SEATS.lock();
                seats.retain(|seat| seat.strong_count() > 0);
                seats.push(Arc::downgrade(&seat));
                seat
            });
            Arc::clone(seat)
        });
        // A thread that ends is seen by nobody.
        seat.unwrap_or_default()
    }
}

/// A step under way: when it is over, or has panicked, the thread does what it did before.
struct UnderWay {
    seat: Arc<Seat>,
    before: Option<Step>,
}

impl UnderWay {
    fn begin(span: &Span, record: Option<&Arc<QueryRecord>>) -> Self {
        let seat = Seat::own();
        let step = Step { began: Instant::now(), span: span.clone(), record: record.cloned(), told: false };
        let taken = taken_since();
        let before = seat.0.lock().replace(step);
        if let Some(record) = before.as_ref().and_then(|step| step.record.as_ref()) {
            record.takes(taken);
        }
        Self { seat, before }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let over = std::mem::replace(&mut *self.seat.0.lock(), self.before.take());
        let taken = taken_since();
        if let Some(record) = over.as_ref().and_then(|step| step.record.as_ref()) {
            record.takes(taken);
        }
        // What it was of may end here, and not below the lock.
        drop(over);
    }
}

/// Work that is watched.
pub(super) struct Watched<T> {
    /// Until it is dropped.
    work: Option<BoxFuture<'static, T>>,
    span: Span,
    record: Option<Arc<QueryRecord>>,
}

impl<T> Future for Watched<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Self { work, span, record } = &mut *self;
        let _under_way = UnderWay::begin(span, record.as_ref());
        match work {
            Some(work) => work.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        // What it holds is given back by whoever drops it.
        let _under_way = UnderWay::begin(&self.span, self.record.as_ref());
        self.work = None;
    }
}

/// What DataFusion and the connectors spawn, which is of the statement that spawned it: in the log, and to be watched.
struct Spawned;

type Made = Box<dyn Any + Send>;

impl JoinSetTracer for Spawned {
    fn trace_future(&self, work: BoxFuture<'static, Made>) -> BoxFuture<'static, Made> {
        let work = work.in_current_span();
        if RUNS_STATEMENTS.get() { watched(Span::current(), own_record(), work).boxed() } else { work.boxed() }
    }

    fn trace_block(&self, block: Box<dyn FnOnce() -> Made + Send>) -> Box<dyn FnOnce() -> Made + Send> {
        // It has a thread of its own, which nobody waits for.
        let (span, record) = (Span::current(), own_record());
        Box::new(move || {
            taken_since();
            let made = span.in_scope(block);
            if let Some(record) = record {
                record.takes(taken_since());
            }
            made
        })
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::runtime::SpawnedTask;

    use super::*;
    use crate::session::threads::run;

    #[tokio::test]
    async fn a_step_that_does_not_give_way_is_told() {
        let before = Threads::now();
        let (go_on, told) = std::sync::mpsc::channel::<()>();
        let stuck = SpawnedTask::spawn(run(async move {
            // As a loop does that never yields.
            told.recv().unwrap();
            Ok(())
        }));
        let seen = tokio::time::timeout(Duration::from_secs(60), async {
            while Threads::now().held <= before.held || Threads::now().long_steps == before.long_steps {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        seen.await.unwrap();
        assert!(!Threads::now().are_all_held());
        go_on.send(()).unwrap();
        stuck.join().await.unwrap().unwrap();
        let over = tokio::time::timeout(Duration::from_secs(60), async {
            while Threads::now().held > before.held {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        over.await.expect("it has given way");
    }
}
