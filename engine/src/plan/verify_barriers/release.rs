//! The way of an aggregate-only column from its barrier to its release, on which nothing looks at it but an aggregate.

use std::sync::Arc;

use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use policy::aggregate::RELEASABLE;

use super::Unreleased;
use crate::exec::in_order::InOrderExec;
use crate::exec::release::ReleaseExec;
use crate::exec::steps::StepsExec;

/// Where the unreleased columns are after a node on the way to their release, none of whose expressions may look at them.
pub(super) fn carried(node: &dyn ExecutionPlan, below: &Unreleased) -> Result<Unreleased, String> {
    if let Some(filter) = node.downcast_ref::<FilterExec>() {
        let kept = filter.projection().as_ref();
        return match (reads(filter.predicate(), below), kept) {
            (true, _) => Err(reads_them(node)),
            (false, None) => Ok(below.clone()),
            (false, Some(kept)) => Ok(positions(kept.iter(), |column| below.contains(column))),
        };
    }
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        let computed = |expr: &Arc<dyn PhysicalExpr>| reads(expr, below) && !is_bare(expr);
        return match projection.expr().iter().any(|told| computed(&told.expr)) {
            true => Err(reads_them(node)),
            false => Ok(positions(projection.expr().iter(), |told| reads(&told.expr, below))),
        };
    }
    match node.downcast_ref::<AggregateExec>() {
        Some(aggregate) => aggregated(aggregate, below).ok_or_else(|| reads_them(node)),
        None if leads_to_release(node) => Ok(below.clone()),
        None => Err(reads_them(node)),
    }
}

pub(super) fn reads_them(node: &dyn ExecutionPlan) -> String {
    format!("{} reads an aggregate-only column", node.name())
}

/// What an aggregate makes of unreleased columns is not released yet. `None` when it looks at them otherwise than it may.
fn aggregated(aggregate: &AggregateExec, below: &Unreleased) -> Option<Unreleased> {
    let groups = aggregate.group_expr();
    if groups.has_grouping_set() || groups.input_exprs().iter().any(|key| reads(key, below)) {
        return None;
    }
    // What a later stage reads is what an earlier one has made of the arguments.
    if aggregate.mode().input_mode() == AggregateInputMode::Raw {
        let calls = aggregate.aggr_expr().iter().zip(aggregate.filter_expr());
        let mut reading = calls.filter(|(call, only)| {
            let arguments = call.all_expressions();
            let read = arguments.args.iter().chain(&arguments.order_by_exprs).chain(only.iter());
            read.into_iter().any(|expr| reads(expr, below))
        });
        let Some(first) = reading.next() else { return Some(Unreleased::new()) };
        if !std::iter::once(first).chain(reading).all(|(call, only)| only.is_none() && is_allowed(call)) {
            return None;
        }
    }
    Some((groups.num_group_exprs()..aggregate.schema().fields().len()).collect())
}

/// An aggregate that may be over an aggregate-only column, or counts its entities, over bare columns.
fn is_allowed(call: &AggregateFunctionExpr) -> bool {
    let is_named = match call.fun().name() {
        "count" | RELEASABLE => true,
        "sum" | "avg" => !call.is_distinct(),
        _ => false,
    };
    is_named && call.order_bys().is_empty() && call.expressions().iter().all(is_bare)
}

fn reads(expr: &Arc<dyn PhysicalExpr>, columns: &Unreleased) -> bool {
    collect_columns(expr).iter().any(|column| columns.contains(&column.index()))
}

/// A column, or one as a wider type: the cast cannot fail, for types were checked before.
fn is_bare(expr: &Arc<dyn PhysicalExpr>) -> bool {
    match expr.downcast_ref::<CastExpr>() {
        Some(cast) => is_bare(cast.expr()),
        None => expr.is::<Column>(),
    }
}

fn positions<T>(of: impl Iterator<Item = T>, is: impl Fn(T) -> bool) -> Unreleased {
    of.enumerate().filter_map(|(position, it)| is(it).then_some(position)).collect()
}

/// A release directly over an aggregate: what it reads is groups, not rows.
pub(super) fn releases(node: &dyn ExecutionPlan) -> bool {
    fn aggregates(node: &dyn ExecutionPlan) -> bool {
        let [input] = node.children()[..] else {
            return false;
        };
        node.is::<AggregateExec>() || (leads_to_release(node) && !node.is::<FilterExec>() && aggregates(input.as_ref()))
    }
    match node.children()[..] {
        [input] => node.is::<ReleaseExec>() && aggregates(input.as_ref()),
        _ => false,
    }
}

/// What may stand between a barrier with an aggregate-only column and its release; of the first three see [`carried`].
fn leads_to_release(node: &dyn ExecutionPlan) -> bool {
    node.is::<FilterExec>()
        || node.is::<ProjectionExec>()
        || node.is::<AggregateExec>()
        || node.is::<RepartitionExec>()
        || node.is::<CoalescePartitionsExec>()
        || node.is::<InOrderExec>()
        || node.is::<CooperativeExec>()
        || node.is::<StepsExec>()
}
