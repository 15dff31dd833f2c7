//! Aggregates over aggregate-only columns: checked and put under release at a site, sent whole by a coordinator.

use std::collections::BTreeMap;

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::logical_expr::LogicalPlan;
use policy::aggregate;
use policy::barrier::BarrierId;
use policy::pseudonym::PseudonymKeys;

use crate::catalog::site_table::{SiteId, SiteTable};
use crate::error::{Code, EngineError, Result};
use crate::sabotage::{Control, thrown};

/// At a site: refuses a plan that uses an aggregate-only column otherwise than its policy says.
///
/// # Errors
/// `AGGREGATE`, with what is allowed.
pub fn check(analyzed: &LogicalPlan) -> Result<()> {
    if thrown(Control::Aggregates) {
        return Ok(());
    }
    aggregate::check(analyzed).map_err(|fault| EngineError::new(Code::Aggregate, fault.to_string()))
}

/// At a site: puts release control in. `scans` are the untreated tables, by barrier.
///
/// # Errors
/// When a table cannot be treated: a defect.
pub fn release(
    analyzed: LogicalPlan,
    scans: &BTreeMap<BarrierId, LogicalPlan>,
    keys: Option<&PseudonymKeys>,
) -> Result<LogicalPlan> {
    if thrown(Control::Aggregates) {
        return Ok(analyzed);
    }
    let controlled = aggregate::control(analyzed, &|governed| {
        let scan = scans.get(&governed.id).ok_or_else(|| DataFusionError::from(EngineError::defect("no scan")))?;
        let treated = policy::view::treat_with_entity(&governed.decision, scan.clone(), keys);
        treated.map_err(|error| DataFusionError::from(EngineError::internal(error)))
    })?;
    Ok(controlled)
}

/// At a coordinator: every aggregate directly over a table with aggregate-only columns, as the asker wrote it, is given
/// to `send`, which makes a fragment of it, before any rule could take it apart; where `send` gives nothing it stays.
///
/// # Errors
/// When the plan cannot be walked.
pub fn send_whole(
    analyzed: LogicalPlan,
    send: &mut dyn FnMut(&LogicalPlan, &SiteId) -> Option<LogicalPlan>,
) -> Result<LogicalPlan> {
    let sent = analyzed.transform_down_with_subqueries(|node| {
        let Some(site) = aggregate_only_site(&node)? else { return Ok(Transformed::no(node)) };
        Ok(match send(&node, &site) {
            Some(fragment) => Transformed::new(fragment, true, TreeNodeRecursion::Jump),
            None => Transformed::no(node),
        })
    })?;
    Ok(sent.data)
}

/// The site of an aggregate's one table, if it has aggregate-only columns and only filters, projections and names lie
/// between.
fn aggregate_only_site(plan: &LogicalPlan) -> DataFusionResult<Option<SiteId>> {
    let LogicalPlan::Aggregate(aggregate) = plan else { return Ok(None) };
    let mut below = aggregate.input.as_ref();
    loop {
        below = match below {
            LogicalPlan::Filter(filter) => &filter.input,
            LogicalPlan::Projection(projection) => &projection.input,
            LogicalPlan::SubqueryAlias(alias) => &alias.input,
            LogicalPlan::TableScan(scan) => {
                let table = SiteTable::of(scan);
                let bounded =
                    table.filter(|table| table.treatment().columns.iter().any(|column| column.aggregate_only));
                return Ok(bounded.map(|table| table.site().clone()));
            }
            _ => return Ok(None),
        };
    }
}
