//! Puts the relations of one site next to each other in a join tree; runs after DataFusion's optimizer, before
//! `cut_fragments`, which then sends each of these groups to its site as one statement.
//!
//! Inner joins commute, so a tree of them is a set of relations and a set of conditions. The rule takes it apart
//! ([`tree`]), joins the relations of each site that equalities connect, then joins these groups, the smallest result
//! first ([`order`]). Semi-joins and anti-joins inside the tree keep or drop rows of it like a filter, so they go to the
//! relation whose site can answer them.
//!
//! Before, with `part` and `partsupp` at site supply and `lineitem` at site logistics:
//! ```text
//! Inner Join: partsupp.ps_partkey = lineitem.l_partkey
//!   Inner Join: part.p_partkey = lineitem.l_partkey
//!     part
//!     lineitem
//!   partsupp
//! ```
//! After; the equality of the two keys of site supply follows from the other two:
//! ```text
//! Projection: the columns in their old order
//!   Inner Join: part.p_partkey = lineitem.l_partkey
//!     Inner Join: part.p_partkey = partsupp.ps_partkey
//!       part
//!       partsupp
//!     lineitem
//! ```
//! Never: a tree whose relations are all of one site, a tree with a volatile condition, joins in which NULL equals
//! NULL, outer joins (each of them is one relation of the tree around it).
//!
//! DataFusion's `EliminateCrossJoin` makes every tree of inner joins left-deep in the order it finds the relations,
//! `PushDownFilter` puts a filter that asks another site between a relation and its group: what runs after this rule is
//! [`optimizer_after`].

mod key_classes;
mod order;
#[cfg(test)]
mod tests;
mod tree;

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::Optimizer;
use datafusion::optimizer::optimize_projections::OptimizeProjections;

use super::sites::Sites;
use tree::JoinTree;

/// Groups the joins of `plan` and of its subqueries by site; the schema stays as it is.
///
/// # Errors
/// Those of rebuilding joins from their parts, which would be a defect.
pub fn group_joins(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    group_joins_at(plan, Sites::default())
}

/// As [`group_joins`], with the sites of the scans told by `sites`.
///
/// # Errors
/// As [`group_joins`].
pub fn group_joins_at(plan: LogicalPlan, sites: Sites) -> Result<Transformed<LogicalPlan>> {
    plan.transform_down(|node| node.map_subqueries(|subquery| group_joins_at(subquery, sites)))?
        .transform_data(|plan| group_below(plan, sites))
}

/// What is left for DataFusion to do after [`group_joins`]: to drop the columns that nothing above needs. Its rules that
/// move filters and reorder joins would take the groups apart again.
pub fn optimizer_after() -> Optimizer {
    Optimizer::with_rules(vec![Arc::new(OptimizeProjections::new())])
}

fn group_below(plan: LogicalPlan, sites: Sites) -> Result<Transformed<LogicalPlan>> {
    match JoinTree::of(&plan, sites)? {
        Some(tree) => {
            let tree = tree.map_parts(|part| Ok(group_below(part, sites)?.data))?;
            let schema = plan.schema();
            let grouped = order::assemble(tree, schema, sites)?;
            Ok(if grouped == plan { Transformed::no(plan) } else { Transformed::yes(grouped) })
        }
        None => plan.map_children(|child| group_below(child, sites)),
    }
}
