//! The physical operators of our own, and which of DataFusion's physical rules run.

pub mod bounded;
pub mod built;
pub mod filters_by_unique_names;
pub mod fixed_batches;
pub mod give_way;
pub mod in_order;
pub mod key_source;
pub mod made;
pub mod pairs;
pub mod policy_barrier;
pub mod release;
pub mod remote_scan;
mod repeated;
mod stepping;
pub mod steps;
pub mod value_bytes;
pub mod widths;
pub mod windows;

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use crate::config::limits::Limits;

use self::bounded::BoundWhatIsKept;
use self::filters_by_unique_names::FiltersByUniqueNames;
use self::give_way::{CostlyStay, GiveWay};

/// The physical rules of a node: DataFusion's in its order, filter pushdown only where it is right, no costly
/// projection handed to a source, and at the end operators that let go and bounds of what nobody counts.
pub fn physical_rules(limits: &Limits) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;
    let guarded = |rule: Rule| -> Rule {
        match rule.name() {
            name if name.starts_with("FilterPushdown") => Arc::new(FiltersByUniqueNames::new(rule)),
            "ProjectionPushdown" => Arc::new(CostlyStay::new(rule)),
            _ => rule,
        }
    };
    let mut rules: Vec<_> = PhysicalOptimizer::new().rules.into_iter().map(guarded).collect();
    rules.push(Arc::new(GiveWay::new(limits)));
    rules.push(Arc::new(BoundWhatIsKept::new(limits)));
    rules
}

/// A node over what passes on the same rows as its inputs do.
fn with_inputs(node: &Arc<dyn ExecutionPlan>, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    Arc::clone(node).replace_children(inputs, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))
}
