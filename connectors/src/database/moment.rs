//! What all scans of one statement share of each database: the moment that they see, made by the first that asks for it.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use crate::read_scope::ReadScope;

/// The moments of one statement, one for each database; `M` is what keeps one.
#[derive(Debug)]
pub(crate) struct Moments<D, M> {
    by_database: Mutex<Vec<(Arc<D>, Moment<M>)>>,
}

/// A moment that is yet to be made, or is made; it lasts as long as somebody keeps it.
pub(crate) type Moment<M> = Arc<OnceCell<Arc<M>>>;

impl<D, M> Default for Moments<D, M> {
    fn default() -> Self {
        Self { by_database: Mutex::default() }
    }
}

impl<D: Send + Sync + 'static, M: Send + Sync + 'static> Moments<D, M> {
    /// The moment that all scans in `scope` see of `database`.
    pub(crate) fn of(scope: &ReadScope, database: &Arc<D>) -> Moment<M> {
        let moments = scope.shared::<Self>();
        let mut kept = moments.by_database.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, moment)) = kept.iter().find(|(known, _)| Arc::ptr_eq(known, database)) {
            return Arc::clone(moment);
        }
        let moment = Moment::default();
        kept.push((Arc::clone(database), Arc::clone(&moment)));
        moment
    }
}
