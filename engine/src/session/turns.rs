//! Whose turn it is: how many statements run at once, of all and of each subject, and how many wait for it, how long.
//!
//! A turn is over when the work is, not when nobody waits for it any more: what cannot be stopped at once still counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::config::limits::Limits;
use crate::error::{Code, EngineError, Result};

/// The turns of each subject, of either kind.
type Subjects = HashMap<(Arc<str>, Kind), Arc<Semaphore>>;

/// The turns of a node.
#[derive(Debug)]
pub struct Turns {
    of_all: Arc<Semaphore>,
    each_max: usize,
    fragments_max: usize,
    subjects: Mutex<Subjects>,
    waiting: AtomicUsize,
    waiting_max: usize,
    patience: Duration,
    retry_after: Duration,
    running_max: u32,
    /// Whether nobody gets a turn any more.
    closed: watch::Sender<bool>,
}

/// Who brings a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Its asker.
    Asked,
    /// A coordinator, as one of the many that it makes of one.
    Fragment,
}

/// Leave to run, for as long as it lives.
#[derive(Debug)]
pub struct Turn {
    _of_all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

/// Subjects of whom nothing runs are forgotten when there are so many.
const SUBJECTS_KEPT: usize = 1_024;

impl Turns {
    /// The turns under the limits of a node.
    pub fn new(limits: &Limits) -> Self {
        Self {
            of_all: Arc::new(Semaphore::new(limits.running_queries_max)),
            each_max: limits.subject_running_queries_max,
            // Whoever has a share at the coordinator is not kept waiting here for that; others have the other half.
            fragments_max: limits.running_queries_max.div_ceil(2).max(limits.subject_running_queries_max),
            subjects: Mutex::default(),
            waiting: AtomicUsize::new(0),
            waiting_max: limits.queued_queries_max,
            patience: Duration::from_millis(limits.queue_timeout_ms),
            retry_after: Duration::from_millis(limits.busy_retry_ms),
            running_max: u32::try_from(limits.running_queries_max).unwrap_or(u32::MAX),
            closed: watch::Sender::new(false),
        }
    }

    /// A turn of that subject.
    ///
    /// # Errors
    /// `BUSY` when as many wait as may, when it does not come in time, or when there are no more turns.
    ///
    /// # Cancellation
    /// Dropping the future leaves the queue.
    pub async fn take(&self, subject: &str, kind: Kind) -> Result<Arc<Turn>> {
        if self.is_closed() {
            return Err(self.leaving());
        }
        let own = self.own(subject, kind);
        // Who need not wait is not counted among those who do.
        if let Ok(own) = Arc::clone(&own).try_acquire_owned()
            && let Ok(of_all) = Arc::clone(&self.of_all).try_acquire_owned()
        {
            return Ok(Arc::new(Turn { _of_all: of_all, _own: own }));
        }
        let Some(_place) = Place::take(&self.waiting, self.waiting_max) else {
            return Err(self.busy(&format!("{} statements wait here for their turn, as many as may", self.waiting_max)));
        };
        let coming = async {
            // The own one first: whoever waits for it holds up nobody else.
            let own = own.acquire_owned().await.map_err(EngineError::internal)?;
            let of_all = Arc::clone(&self.of_all).acquire_owned().await.map_err(EngineError::internal)?;
            Ok(Arc::new(Turn { _of_all: of_all, _own: own }))
        };
        let come = tokio::select! {
            biased;
            () = self.no_more() => return Err(self.leaving()),
            come = tokio::time::timeout(self.patience, coming) => come,
        };
        come.map_err(|_| {
            self.busy(&format!("no turn came within {} ms; as many statements run as may", self.patience.as_millis()))
        })?
    }

    /// From now on nobody gets a turn, nor those who wait for one; those who have one keep it.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Whether nobody gets a turn any more.
    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    /// How many wait for their turn.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Ends when every turn is over; after [`Turns::close`].
    pub async fn all_over(&self) {
        // The semaphore is never closed; what was acquired is not given back, as nobody is to have it any more.
        if let Ok(all) = self.of_all.acquire_many(self.running_max).await {
            all.forget();
        }
    }

    /// Ends when there are no more turns.
    async fn no_more(&self) {
        // The sender lives in `self`.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    fn leaving(&self) -> EngineError {
        let sentence =
            "this node is being stopped and takes no new statement; ask again in a moment, or at another node";
        EngineError::new(Code::Busy, sentence).to_retry_after(self.retry_after)
    }

    fn own(&self, subject: &str, kind: Kind) -> Arc<Semaphore> {
        let key = (Arc::from(subject), kind);
        let mut subjects = self.subjects.lock();
        if let Some(own) = subjects.get(&key) {
            return Arc::clone(own);
        }
        if subjects.len() >= SUBJECTS_KEPT {
            subjects.retain(|_, own| Arc::strong_count(own) > 1);
        }
        let most = match kind {
            Kind::Asked => self.each_max,
            Kind::Fragment => self.fragments_max,
        };
        let own = Arc::new(Semaphore::new(most));
        subjects.insert(key, Arc::clone(&own));
        own
    }

    fn busy(&self, what: &str) -> EngineError {
        EngineError::new(Code::Busy, format!("{what}; try again in a moment")).to_retry_after(self.retry_after)
    }
}

/// A place in the queue.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize, most: usize) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(waiting);
        (before < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(running: usize, each: usize, queued: usize) -> Turns {
        Turns::new(&Limits {
            running_queries_max: running,
            subject_running_queries_max: each,
            queued_queries_max: queued,
            queue_timeout_ms: 50,
            ..Limits::default()
        })
    }

    #[tokio::test]
    async fn each_subject_has_its_share_and_others_theirs() {
        let turns = turns(3, 2, 10);
        let held = [turns.take("ann", Kind::Asked).await.unwrap(), turns.take("ann", Kind::Asked).await.unwrap()];
        assert_eq!(turns.take("ann", Kind::Asked).await.unwrap_err().code(), Code::Busy);
        let others = turns.take("bob", Kind::Asked).await.unwrap();
        assert_eq!(turns.take("eve", Kind::Asked).await.unwrap_err().code(), Code::Busy, "all turns are taken");
        drop(held);
        turns.take("ann", Kind::Asked).await.unwrap();
        drop(others);
    }

    #[tokio::test]
    async fn whoever_waits_has_a_turn_when_one_ends_and_the_queue_has_an_end() {
        let turns = turns(1, 1, 1);
        let held = turns.take("ann", Kind::Asked).await.unwrap();
        let (next, refused, ()) = tokio::join!(turns.take("bob", Kind::Asked), turns.take("eve", Kind::Asked), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            drop(held);
        });
        assert_eq!(refused.unwrap_err().code(), Code::Busy);
        next.unwrap();
        assert_eq!(turns.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn once_closed_nobody_gets_a_turn_and_the_last_one_is_waited_for() {
        let turns = turns(1, 1, 1);
        let held = turns.take("ann", Kind::Asked).await.unwrap();
        let mut waiting = Box::pin(turns.take("bob", Kind::Asked));
        assert!(futures::poll!(&mut waiting).is_pending());
        turns.close();
        for refused in [waiting.await, turns.take("eve", Kind::Fragment).await] {
            let error = refused.unwrap_err();
            assert_eq!(error.code(), Code::Busy);
            assert!(error.sentence().contains("is being stopped") && error.retry_after().is_some(), "{error}");
        }
        let mut over = Box::pin(turns.all_over());
        assert!(futures::poll!(&mut over).is_pending());
        drop(held);
        over.await;
    }
}
