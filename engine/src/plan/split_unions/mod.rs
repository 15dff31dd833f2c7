//! Takes aggregates and top-N sorts below the `UNION ALL` of a regional table, to the site of each arm; runs after
//! DataFusion's optimizer, before `cut_fragments`.
//!
//! Before, with `orders` declared as the union of the tables of two sites:
//! ```text
//! Aggregate: groupBy=[[region]], aggr=[[count(*)]]
//!   Union
//!     Projection: Utf8("north") AS region, …
//!       TableScan: north.sales.orders
//!     Projection: Utf8("south") AS region, …
//!       TableScan: south.sales.orders
//! ```
//! After; one row for each site and group crosses a border:
//! ```text
//! Projection: group_0 AS region, CASE … sum(partial_0) … AS count(*)
//!   Aggregate: groupBy=[[group_0]], aggr=[[sum(partial_0)]]
//!     Union
//!       Projection: region AS group_0, count(*) AS partial_0
//!         Aggregate: groupBy=[[region]], aggr=[[count(*)]]
//!           Projection: Utf8("north") AS region, …
//!             TableScan: north.sales.orders
//!       (the same for south)
//! ```
//! Never: a union of one site's tables (it goes there whole), an aggregate with a function that cannot be put together
//! from parts (`median`, `stddev`, `array_agg`, anything ordered), grouping sets, joins of unions. Filters, projections
//! and limits go below a union by DataFusion's own rules.

mod aggregates;
mod arms;
mod partial;
#[cfg(test)]
mod tests;
mod top_rows;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::sites::Sites;

/// Splits the aggregates and top-N sorts of `plan`, and of its subqueries, that stand on unions of several sites; the
/// schema stays as it is.
///
/// # Errors
/// Those of rebuilding plans from their parts, which would be a defect.
pub fn split_unions(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    split_unions_at(plan, Sites::default())
}

/// As [`split_unions`], with the sites of the scans told by `sites`.
///
/// # Errors
/// As [`split_unions`].
pub fn split_unions_at(plan: LogicalPlan, sites: Sites) -> Result<Transformed<LogicalPlan>> {
    plan.transform_down_with_subqueries(|node| {
        let split = match &node {
            LogicalPlan::Aggregate(aggregate) => aggregates::split(aggregate, sites)?,
            LogicalPlan::Sort(sort) => top_rows::split(sort, sites)?,
            _ => None,
        };
        Ok(split.map_or_else(|| Transformed::no(node), Transformed::yes))
    })
}

/// Whether `expr` gives the same value wherever and however often it is computed, from the row alone.
fn is_repeatable(expr: &Expr) -> Result<bool> {
    use datafusion::common::tree_node::TreeNode;
    let asks = expr.exists(|inner| {
        Ok(matches!(inner, Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_)))
    })?;
    Ok(!asks && !expr.is_volatile())
}
