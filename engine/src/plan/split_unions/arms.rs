//! The arms of a union, one plan for each site, under the filters and projections that stood above it.

use std::sync::Arc;

use datafusion::common::{Column, DFSchemaRef, Result};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection, Union};

use super::is_repeatable;
use crate::plan::sites::{Location, Sites};

/// What the arms of a union give, each with `schema`; together they give what the plan they were taken from gives.
pub(super) struct Arms {
    pub(super) plans: Vec<LogicalPlan>,
    pub(super) schema: DFSchemaRef,
}

impl Arms {
    /// The arms of the union below `plan`, when there is one and its tables are of several sites.
    pub(super) fn below(plan: &LogicalPlan, sites: Sites) -> Result<Option<Arms>> {
        match plan {
            LogicalPlan::Union(union) => Self::of(union, sites),
            LogicalPlan::Projection(projection) if all_repeatable(&projection.expr)? => {
                Self::below(&projection.input, sites)?.map(|arms| arms.project(projection)).transpose()
            }
            LogicalPlan::Filter(filter) if is_repeatable(&filter.predicate)? => {
                Self::below(&filter.input, sites)?.map(|arms| arms.filter(&filter.predicate)).transpose()
            }
            LogicalPlan::SubqueryAlias(alias) => {
                Self::below(&alias.input, sites)?.map(|arms| arms.rename(&alias.schema)).transpose()
            }
            _ => Ok(None),
        }
    }

    /// The union of what each of `plans` gives, with the names of `schema`.
    pub(super) fn reunite(plans: Vec<LogicalPlan>, schema: &DFSchemaRef) -> Result<LogicalPlan> {
        renamed(LogicalPlan::Union(Union::try_new(plans.into_iter().map(Arc::new).collect())?), schema)
    }

    /// The arms of one site become one, so that each site does its part of the work once.
    fn of(union: &Union, sites: Sites) -> Result<Option<Arms>> {
        let mut places: Vec<(Location, Vec<Arc<LogicalPlan>>)> = vec![];
        for input in &union.inputs {
            let location = sites.locate(input)?;
            let arm = Arc::new(renamed(input.as_ref().clone(), &union.schema)?);
            let known = places.iter_mut().find(|(place, _)| *place == location && matches!(place, Location::At(_)));
            match known {
                Some((_, arms)) => arms.push(arm),
                None => places.push((location, vec![arm])),
            }
        }
        if places.len() < 2 || !places.iter().any(|(place, _)| matches!(place, Location::At(_))) {
            return Ok(None);
        }
        let together = |(_, mut arms): (Location, Vec<Arc<LogicalPlan>>)| match (arms.pop(), arms.is_empty()) {
            (Some(only), true) => Arc::unwrap_or_clone(only),
            (last, _) => {
                let inputs = arms.into_iter().chain(last).collect();
                LogicalPlan::Union(Union { inputs, schema: Arc::clone(&union.schema) })
            }
        };
        Ok(Some(Arms { plans: places.into_iter().map(together).collect(), schema: Arc::clone(&union.schema) }))
    }

    fn project(self, projection: &Projection) -> Result<Arms> {
        let above = |arm| {
            let (expr, schema) = (projection.expr.clone(), Arc::clone(&projection.schema));
            Ok(LogicalPlan::Projection(Projection::try_new_with_schema(expr, Arc::new(arm), schema)?))
        };
        let plans = self.plans.into_iter().map(above).collect::<Result<_>>()?;
        Ok(Arms { plans, schema: Arc::clone(&projection.schema) })
    }

    fn filter(self, predicate: &Expr) -> Result<Arms> {
        let above = |arm| Ok(LogicalPlan::Filter(Filter::try_new(predicate.clone(), Arc::new(arm))?));
        Ok(Arms { plans: self.plans.into_iter().map(above).collect::<Result<_>>()?, schema: self.schema })
    }

    fn rename(self, schema: &DFSchemaRef) -> Result<Arms> {
        let plans = self.plans.into_iter().map(|arm| renamed(arm, schema)).collect::<Result<_>>()?;
        Ok(Arms { plans, schema: Arc::clone(schema) })
    }
}

/// Whether the arms of the union below `plan` are already of the `kind`, so that splitting once more is idle.
pub(super) fn all_arms(plan: &LogicalPlan, kind: &impl Fn(&LogicalPlan) -> bool) -> bool {
    match plan {
        LogicalPlan::Union(union) => union.inputs.iter().all(|arm| kind(below_projections(arm))),
        LogicalPlan::Projection(projection) => all_arms(&projection.input, kind),
        LogicalPlan::Filter(filter) => all_arms(&filter.input, kind),
        LogicalPlan::SubqueryAlias(alias) => all_arms(&alias.input, kind),
        _ => false,
    }
}

fn below_projections(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Projection(projection) => below_projections(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => below_projections(&alias.input),
        other => other,
    }
}

pub(super) fn all_repeatable<'a>(expressions: impl IntoIterator<Item = &'a Expr>) -> Result<bool> {
    expressions.into_iter().try_fold(true, |all, expr| Ok(all && is_repeatable(expr)?))
}

/// `plan` with its columns under the names of `schema`, position by position.
pub(super) fn renamed(plan: LogicalPlan, schema: &DFSchemaRef) -> Result<LogicalPlan> {
    let own = plan.schema().columns();
    let wanted = schema.columns();
    if own == wanted {
        return Ok(plan);
    }
    let names = own.into_iter().zip(wanted);
    let expr =
        names.map(|(own, Column { relation, name, .. })| Expr::Column(own).alias_qualified(relation, name)).collect();
    Ok(LogicalPlan::Projection(Projection::try_new_with_schema(expr, Arc::new(plan), Arc::clone(schema))?))
}
