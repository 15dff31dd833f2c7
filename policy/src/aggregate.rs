//! Aggregate-only columns: where a statement may use them, and the control over what is told of its groups.
//!
//! [`check`] looks at the analyzed plan, before any rule of DataFusion's. [`control`] then puts each aggregate over such a
//! column, down to its barrier, inside a [`Release`]:
//!
//! ```text
//! before   Aggregate: groupBy=[region], aggr=[sum(income)]
//!            Filter: year = 2024
//!              SubqueryAlias: t
//!                PolicyBarrier
//! after    Release                                          a sealed leaf, as the barrier is; around:
//!            Aggregate: groupBy=[region], aggr=[sum(income), releasable(__entity), releasable(__entity, income)]
//!              Filter: year = 2024
//!                SubqueryAlias: t
//!                  PolicyBarrier                            with the entity as one more column
//! never    a statement that does not use an aggregate-only column
//! ```
//!
//! HAVING, ORDER BY and whatever else stands above reads released groups.

mod entities;
mod path;
mod release;

use std::sync::Arc;

use datafusion_common::Result;
use datafusion_common::tree_node::Transformed;
use datafusion_expr::expr::AggregateFunction;
use datafusion_expr::{Aggregate, AggregateUDF, Expr, LogicalPlan, Projection, SubqueryAlias, cast};

pub use self::entities::RELEASABLE;
pub use self::release::Release;

use self::entities::Releasable;
use self::path::{Bounded, Seen, uses};
use crate::barrier::{Governed, PolicyBarrier};

/// A use of an aggregate-only column that policy refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct AggregateFault {
    /// What is allowed, for the asker.
    pub sentence: String,
}

/// Refuses a plan that uses an aggregate-only column anywhere but as the bare argument of SUM, AVG, COUNT or
/// COUNT(DISTINCT), grouped by declared columns, directly over its table.
///
/// # Errors
/// The first such use.
pub fn check(plan: &LogicalPlan) -> Result<(), AggregateFault> {
    let seen = path::trace(plan)?;
    match seen.bounded.into_values().next() {
        Some(column) => Err(column.fault()),
        None => match seen.outward.first() {
            Some(column) if path::has_bounded(plan) => Err(path::unresolved(column)),
            _ => Ok(()),
        },
    }
}

/// Puts release control in. `treat_with_entity` gives the inside of a barrier once more, with the entity as its last
/// column. A plan without such an aggregate is not transformed.
///
/// # Errors
/// As `treat_with_entity` fails; for a plan that [`check`] refuses.
pub fn control(
    plan: LogicalPlan,
    treat_with_entity: &dyn Fn(&Governed) -> Result<LogicalPlan>,
) -> Result<Transformed<LogicalPlan>> {
    plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Aggregate(aggregate) = &node else {
            return Ok(Transformed::no(node));
        };
        let seen = path::trace(&aggregate.input).map_err(external)?;
        match uses(&node, &seen).first() {
            Some(column) => Ok(Transformed::yes(release(aggregate, &seen, column, treat_with_entity)?)),
            None => Ok(Transformed::no(node)),
        }
    })
}

fn external(fault: AggregateFault) -> datafusion_common::DataFusionError {
    datafusion_common::DataFusionError::External(Box::new(fault))
}

fn release(
    aggregate: &Aggregate,
    seen: &Seen,
    column: &Bounded,
    treat_with_entity: &dyn Fn(&Governed) -> Result<LogicalPlan>,
) -> Result<LogicalPlan> {
    let Some(rule) = &column.governed.decision.release else {
        return Err(external(column.fault()));
    };
    let input = with_entity(&aggregate.input, treat_with_entity)?;
    let Some(entity) = input.schema().columns().pop().map(Expr::Column) else {
        return Err(external(column.fault()));
    };
    let function = Arc::new(AggregateUDF::new_from_impl(Releasable::new(rule.min_group)));
    let releasable = |position: usize, arguments: Vec<Expr>| {
        let call = AggregateFunction::new_udf(Arc::clone(&function), arguments, false, None, vec![], None);
        Expr::AggregateFunction(call).alias(format!("__releasable_{position}"))
    };
    let mut told = aggregate.aggr_expr.clone();
    told.push(releasable(0, vec![entity.clone()]));
    for (position, summed) in path::summed(aggregate, seen).into_iter().enumerate() {
        let value = cast(Expr::Column(summed), arrow::datatypes::DataType::Float64);
        told.push(releasable(position + 1, vec![entity.clone(), value]));
    }
    let inside = Aggregate::try_new(Arc::new(input), aggregate.group_expr.clone(), told)?;
    Ok(Release::new(LogicalPlan::Aggregate(inside), Arc::clone(&aggregate.schema)).into_plan())
}

/// The path from an aggregate's input down to its barrier, with the entity as one more column at the end.
fn with_entity(
    plan: &LogicalPlan,
    treat_with_entity: &dyn Fn(&Governed) -> Result<LogicalPlan>,
) -> Result<LogicalPlan> {
    if let Some(barrier) = PolicyBarrier::of(plan) {
        return Ok(barrier.around(treat_with_entity(barrier.governed())?).into_plan());
    }
    let [input] = plan.inputs()[..] else {
        return datafusion_common::internal_err!("the path to an aggregate-only column has another shape");
    };
    let input = Arc::new(with_entity(input, treat_with_entity)?);
    match plan {
        LogicalPlan::Projection(projection) => {
            let entity = input.schema().columns().pop().map(Expr::Column);
            let columns = projection.expr.iter().cloned().chain(entity).collect();
            Ok(LogicalPlan::Projection(Projection::try_new(columns, input)?))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            Ok(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(input, alias.alias.clone())?))
        }
        other => other.with_new_exprs(other.expressions(), vec![Arc::unwrap_or_clone(input)]),
    }
}
