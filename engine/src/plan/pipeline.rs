//! The order of planning: one list, each step with its reason.

use std::sync::Arc;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner};

use crate::error::Result;
use crate::exec::key_source::connect_key_sources;
use crate::exec::remote_scan::RemoteScanExec;
use crate::plan::aggregate_only;
use crate::plan::cut_fragments::{self, CutPlan, cut_fragments};
use crate::plan::fragment_node::{FragmentNode, FragmentPlanner};
use crate::plan::group_joins::{group_joins, optimizer_after};
use crate::plan::key_sets::send_key_sets;
use crate::plan::late_columns::late_columns;
use crate::plan::sites::{Location, Sites};
use crate::plan::split_unions::split_unions;
use crate::session::counted::count_expressions;

/// A statement planned: what the coordinator runs, and what it asks of sites.
#[derive(Debug)]
pub struct Planned {
    /// The coordinator's operators, with remote scans as leaves.
    pub physical: Arc<dyn ExecutionPlan>,
    /// The cut logical plan, its fragments and refusals.
    pub cut: CutPlan,
}

impl Planned {
    /// Whether one site answers the whole statement, and nothing of the plan changes while it runs.
    pub fn is_whole(&self) -> bool {
        FragmentNode::of(&self.cut.plan).is_some()
    }
}

/// Plans a bound statement to its end. `optimized` is what DataFusion's rules make of it, where that is known.
///
/// # Errors
/// As planning fails; a subtree that cannot be pushed is no failure.
pub async fn plan(state: &SessionState, logical: LogicalPlan, optimized: Option<LogicalPlan>) -> Result<Planned> {
    // 0. Aggregates over aggregate-only columns go to their site as the asker wrote them: no rule may take them apart.
    let mut whole = Vec::new();
    let sent = aggregate_only::send_whole(logical, &mut |aggregate, site| {
        let (fragment, node) = cut_fragments::whole_fragment(state, aggregate, site).ok()?;
        whole.push(fragment);
        Some(node)
    })?;
    // 1. DataFusion's own rules: subqueries become joins, filters sink, names are all resolved and typed.
    let optimized = match optimized.filter(|_| !sent.transformed) {
        Some(optimized) => optimized,
        None => state.optimize(&sent.data)?,
    };
    // 2. Ours, over several sites only: what can run together at one site stands together; work sinks into the arms of
    //    unions over sites; what only the answer needs waits until few rows are left.
    let arranged = match Sites::default().locate(&optimized)? {
        Location::Mixed => arrange(state, optimized)?,
        _ => optimized,
    };
    // 3. The cut; nothing moves over a border afterwards.
    let mut cut = cut_fragments(state, arranged)?;
    cut.fragments.extend(whole);
    // 4. Fragments that reduce others: their keys go along, once their rows are here.
    let cut = send_key_sets(state, cut)?;
    // 5. Operators for what is left. DataFusion picks build sides by the fragments' expected sizes. Of what is one fragment
    //    nothing is left, and no rule has anything to do.
    if let Some(node) = FragmentNode::of(&cut.plan) {
        let scan = Arc::new(RemoteScanExec::new(Arc::clone(node.fragment())));
        return Ok(Planned { physical: Arc::new(CooperativeExec::new(scan)), cut });
    }
    let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(FragmentPlanner)]);
    let counted = count_expressions(state, cut.plan.clone())?;
    let physical = planner.create_physical_plan(&counted, state).await?;
    connect_key_sources(&physical)?;
    Ok(Planned { physical, cut })
}

fn arrange(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    let grouped = group_joins(plan)?;
    let split = split_unions(grouped.data)?;
    let late = late_columns(split.data)?;
    if !(grouped.transformed || split.transformed || late.transformed) {
        return Ok(late.data);
    }
    // The new shape carries columns that nothing above it needs. All of DataFusion's rules would take groups apart again.
    Ok(optimizer_after().optimize(late.data, state, |_, _| {})?)
}
