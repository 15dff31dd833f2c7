//! The memory that one subject's statements may take of the pool that all share. What does not fit goes to the disk where an
//! operator can do that, and ends with MEMORY where it cannot.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::execution::context::SessionConfig;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use parking_lot::Mutex;

/// What each subject's statements take now.
#[derive(Debug, Default)]
pub struct Usages(Mutex<HashMap<Arc<str>, Weak<AtomicUsize>>>);

/// What one statement takes now, and the statements of its subject together.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    of_subject: Arc<AtomicUsize>,
    own: Arc<AtomicUsize>,
}

impl Usage {
    /// What the statement takes.
    pub fn own(&self) -> usize {
        self.own.load(Ordering::Relaxed)
    }

    /// The statement takes more; tells what the subject takes then.
    pub fn add(&self, bytes: usize) -> usize {
        self.own.fetch_add(bytes, Ordering::Relaxed);
        self.of_subject.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes)
    }

    fn sub(&self, bytes: usize) {
        self.own.fetch_sub(bytes, Ordering::Relaxed);
        self.of_subject.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Usages {
    /// What another statement of that subject takes.
    pub fn of(&self, subject: &Arc<str>) -> Usage {
        let mut usages = self.0.lock();
        if let Some(of_subject) = usages.get(subject).and_then(Weak::upgrade) {
            return Usage { of_subject, own: Arc::default() };
        }
        usages.retain(|_, usage| usage.strong_count() > 0);
        let usage = Usage::default();
        usages.insert(Arc::clone(subject), Arc::downgrade(&usage.of_subject));
        usage
    }
}

/// What a statement runs in: the session's, with the pool's share of its subject. Without the names of functions: a plan has
/// the functions themselves.
pub fn task_context(state: &SessionState, config: SessionConfig, usage: &Usage, bytes_max: usize) -> Arc<TaskContext> {
    let runtime = state.runtime_env();
    let runtime = RuntimeEnv { memory_pool: share(state, usage, bytes_max), ..runtime.as_ref().clone() };
    let id = state.session_id().to_string();
    let (scalar, higher, aggregate, window) = (HashMap::new(), HashMap::new(), HashMap::new(), HashMap::new());
    Arc::new(TaskContext::new(None, id, config, scalar, higher, aggregate, window, Arc::new(runtime)))
}

/// The share of its subject in the session's pool.
pub fn share(state: &SessionState, usage: &Usage, bytes_max: usize) -> Arc<dyn MemoryPool> {
    let shared = Arc::clone(&state.runtime_env().memory_pool);
    Arc::new(SharePool { shared, usage: usage.clone(), bytes_max })
}

/// A share of a pool.
#[derive(Debug)]
struct SharePool {
    shared: Arc<dyn MemoryPool>,
    usage: Usage,
    bytes_max: usize,
}

impl fmt::Display for SharePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a share of {} bytes", self.bytes_max)
    }
}

impl MemoryPool for SharePool {
    fn name(&self) -> &'static str {
        "share"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.shared.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.shared.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.usage.add(additional);
        self.shared.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.usage.sub(shrink);
        self.shared.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let used = self.usage.add(additional);
        let grown = match used > self.bytes_max {
            true => Err(DataFusionError::ResourcesExhausted(format!(
                "the statements of one subject have {used} bytes; at most {} may be (`subject_memory_bytes`)",
                self.bytes_max
            ))),
            false => self.shared.try_grow(reservation, additional),
        };
        if grown.is_err() {
            self.usage.sub(additional);
        }
        grown
    }

    fn reserved(&self) -> usize {
        self.shared.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    #[test]
    fn a_subject_has_a_share_whatever_the_others_have() {
        let (ann, bob): (Arc<str>, Arc<str>) = (Arc::from("ann"), Arc::from("bob"));
        let usages = Usages::default();
        let state = SessionContext::new().state();
        let (of_ann, of_bob) = (usages.of(&ann), usages.of(&bob));
        let pool_of = |usage: &Usage| {
            Arc::clone(&task_context(&state, state.config().clone(), usage, 100).runtime_env().memory_pool)
        };
        let consumer = |name: &str| MemoryConsumer::new(name);
        let first = consumer("first").register(&pool_of(&of_ann));
        first.try_grow(70).unwrap();
        let second = consumer("second").register(&pool_of(&usages.of(&ann)));
        second.try_grow(40).unwrap_err();
        consumer("other").register(&pool_of(&of_bob)).try_grow(90).unwrap();
        drop(first);
        second.try_grow(90).unwrap();
        drop(second);
        assert_eq!((of_ann.own(), of_ann.add(0)), (0, 0));
    }
}
