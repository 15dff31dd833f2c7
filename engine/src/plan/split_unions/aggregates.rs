//! An aggregate over a union as an aggregate of the aggregates of its arms.

use std::sync::Arc;

use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, Projection, Union};

use super::arms::{Arms, all_arms, all_repeatable};
use super::partial::{Partials, group_name, partial_name};
use crate::plan::sites::Sites;

/// The aggregate put together from those of the arms below; `None` where it cannot be, or where that is idle.
pub(super) fn split(aggregate: &Aggregate, sites: Sites) -> Result<Option<LogicalPlan>> {
    let grouping_set = matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]);
    if grouping_set || !all_repeatable(&aggregate.group_expr)? || !all_repeatable(&aggregate.aggr_expr)? {
        return Ok(None);
    }
    let Some(parts) = Partials::of(aggregate)? else { return Ok(None) };
    // Rows that are unique in their arm already have nothing to give to a second partial aggregate.
    let grouped =
        |arm: &LogicalPlan| matches!(arm, LogicalPlan::Aggregate(own) if own.group_expr.len() == parts.groups.len());
    if all_arms(&aggregate.input, &grouped) {
        return Ok(None);
    }
    let Some(arms) = Arms::below(&aggregate.input, sites)? else { return Ok(None) };
    let arms = arms.plans.into_iter().map(|arm| partial_aggregate(arm, &parts)).collect::<Result<_>>()?;
    let union = Arc::new(LogicalPlan::Union(Union::try_new(arms)?));
    let groups = (0..aggregate.group_expr.len()).map(|index| Expr::Column(Column::new_unqualified(group_name(index))));
    let last = Aggregate::try_new(union, groups.clone().collect(), parts.finals)?;
    let columns = aggregate.schema.columns().into_iter().zip(groups.chain(parts.outputs));
    let output = columns.map(|(Column { relation, name, .. }, value)| value.alias_qualified(relation, name)).collect();
    let schema = Arc::clone(&aggregate.schema);
    let last = Arc::new(LogicalPlan::Aggregate(last));
    Ok(Some(LogicalPlan::Projection(Projection::try_new_with_schema(output, last, schema)?)))
}

/// What one site computes; its columns are named by their place, alike in all arms.
fn partial_aggregate(arm: LogicalPlan, parts: &Partials) -> Result<Arc<LogicalPlan>> {
    let aggregate = Aggregate::try_new(Arc::new(arm), parts.groups.clone(), parts.partials.clone())?;
    let names = (0..parts.groups.len()).map(group_name).chain((0..parts.partials.len()).map(partial_name));
    let columns = aggregate.schema.columns().into_iter().zip(names);
    let named = columns.map(|(column, name)| Expr::Column(column).alias(name)).collect();
    Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(named, Arc::new(LogicalPlan::Aggregate(aggregate)))?)))
}
