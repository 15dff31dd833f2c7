//! The pairs of rows that a join without an equality compares: so many in a step, and so many in all.

use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::error::Result;

use crate::error::{Code, EngineError};

/// The pairs of one join.
#[derive(Debug)]
pub struct Pairs {
    /// Pairs of one step, unless one row of the probe side has more.
    pub(super) step_max: u64,
    /// Pairs of the whole join.
    all_max: u64,
    /// Pairs so far.
    seen: AtomicU64,
}

impl Pairs {
    /// Pairs of a join that has seen none.
    pub fn new(step_max: u64, all_max: u64) -> Self {
        Self { step_max, all_max, seen: AtomicU64::new(0) }
    }

    /// These are compared next.
    pub(super) fn take(&self, pairs: u64) -> Result<()> {
        let seen = self.seen.fetch_add(pairs, Ordering::Relaxed).saturating_add(pairs);
        if seen > self.all_max { Err(too_many(self.all_max).into()) } else { Ok(()) }
    }
}

/// The refusal of a join with too many pairs.
pub fn too_many(all_max: u64) -> EngineError {
    EngineError::new(
        Code::Cost,
        format!(
            "a join without an equality has to compare more than {all_max} pairs of rows; write the equality, or filter both \
             sides first (`join_pairs_max`)"
        ),
    )
}
