//! The last gate before a statement runs at a site: the physical plan, node by node, whatever made it.
//!
//! Holds when every leaf lies under exactly one barrier that was registered for this request, or is of the few leaves that
//! hold nothing of a source; when below a barrier stand operators of a closed list only, with no predicate but the row
//! filter's (or, where every row is there, predicates over clear columns); and when a column that is aggregate-only meets
//! nothing above its barrier but what leads to its release, and no expression but the arguments of its aggregates. It
//! rejects and changes nothing: what it refuses is a defect, of ours or of a new DataFusion.
//!
//! - here: that every leaf has its barrier, and what leaves through one; `below`: what stands below it.
//! - `release`: the way of an aggregate-only column up from it.

mod below;
mod release;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::streaming::StreamingTableExec;
use policy::barrier::{BarrierId, Governed};
use policy::decision::{RowFilter, Treatment};

use self::below::below;
use self::release::{carried, reads_them, releases};
use crate::error::{EngineError, Result};
use crate::exec::policy_barrier::PolicyBarrierExec;

/// The barriers of one request, as they were made when names were bound.
#[derive(Debug, Default)]
pub struct RegisteredBarriers(BTreeMap<BarrierId, Arc<Governed>>);

impl RegisteredBarriers {
    /// The barriers that a plan of this request may have.
    pub fn new(governed: impl IntoIterator<Item = Arc<Governed>>) -> Self {
        Self(governed.into_iter().map(|governed| (governed.id, governed)).collect())
    }

    fn has(&self, governed: &Arc<Governed>) -> bool {
        self.0.get(&governed.id).is_some_and(|registered| registered == governed)
    }
}

/// Refuses a plan that does not keep to the barriers of its request.
///
/// # Errors
/// `INTERNAL`; what is wrong goes to the log.
pub fn verify_barriers(physical: &Arc<dyn ExecutionPlan>, request: &RegisteredBarriers) -> Result<()> {
    match above(physical, request) {
        Ok(unreleased) if unreleased.is_empty() => Ok(()),
        Ok(_) => Err(refusal("an aggregate-only column leaves without a release")),
        Err(reason) => Err(refusal(reason)),
    }
}

fn refusal(reason: impl Into<String>) -> EngineError {
    EngineError::defect(format!("the plan was refused by the verifier of barriers: {}", reason.into()))
}

/// The positions of a node's columns that are aggregate-only and were not aggregated and released.
type Unreleased = BTreeSet<usize>;

/// A node of the asker's.
fn above(node: &Arc<dyn ExecutionPlan>, request: &RegisteredBarriers) -> Result<Unreleased, String> {
    if let Some(barrier) = node.downcast_ref::<PolicyBarrierExec>() {
        return at_barrier(barrier, request);
    }
    let children = node.children();
    if children.is_empty() && !holds_nothing_of_a_source(node.as_ref()) {
        return Err(format!("{} stands under no barrier", node.name()));
    }
    let below = children.into_iter().map(|child| above(child, request)).collect::<Result<Vec<_>, _>>()?;
    match &below[..] {
        all if all.iter().all(Unreleased::is_empty) => Ok(Unreleased::new()),
        [_] if releases(node.as_ref()) => Ok(Unreleased::new()),
        [below] => carried(node.as_ref(), below),
        _ => Err(reads_them(node.as_ref())),
    }
}

fn at_barrier(barrier: &PolicyBarrierExec, request: &RegisteredBarriers) -> Result<Unreleased, String> {
    let governed = barrier.governed();
    if !request.has(governed) {
        return Err(format!("the barrier of {} is not of this request", governed.table));
    }
    let mut predicates = 0;
    for child in barrier.children() {
        predicates += below(child, governed)?;
    }
    if predicates == 0 && governed.decision.row_filter.as_ref().is_some_and(|filter| !keeps_every_row(filter)) {
        return Err(format!("the row filter of {} is not below its barrier", governed.table));
    }
    columns_of(barrier)
}

/// Whether a filter reads nothing and is TRUE: it then needs no predicate. One that reads nothing and is not TRUE hides
/// every row, and is seen in the plan as a predicate or as a scan of no rows.
fn keeps_every_row(filter: &RowFilter) -> bool {
    filter.reads.is_empty() && filter.filter.keeps(&|_| ScalarValue::Null)
}

/// What leaves through a barrier: no hidden column; and a column that the decision does not name, which is the entity that
/// groups are counted by, is as bounded as the columns beside it.
fn columns_of(barrier: &PolicyBarrierExec) -> Result<Unreleased, String> {
    let governed = barrier.governed();
    let mut unreleased = Unreleased::new();
    for (position, field) in barrier.schema().fields().iter().enumerate() {
        let decided = governed.decision.columns.iter().find(|decided| decided.name == *field.name());
        match decided.map(|decided| &decided.treatment) {
            Some(Treatment::Hidden) => return Err(format!("a hidden column of {} leaves its barrier", governed.table)),
            Some(Treatment::Clear | Treatment::Masked(_)) => {}
            Some(Treatment::AggregateOnly { .. }) | None => {
                unreleased.insert(position);
            }
        }
    }
    Ok(unreleased)
}

/// No row, one row of nothing, VALUES, and the tables of `system`, which are made in memory for the request or, the record,
/// streamed from it; no connector reads a source through either.
fn holds_nothing_of_a_source(node: &dyn ExecutionPlan) -> bool {
    let in_memory = |scan: &DataSourceExec| scan.data_source().downcast_ref::<MemorySourceConfig>().is_some();
    node.is::<EmptyExec>()
        || node.is::<PlaceholderRowExec>()
        || node.is::<StreamingTableExec>()
        || node.downcast_ref::<DataSourceExec>().is_some_and(in_memory)
}
