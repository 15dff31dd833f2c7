//! Whether a key set may be sent: the one place that decides. Sending the values of a column to another site discloses them to
//! it, and which of them are there discloses what they were chosen by.
//!
//! Where the site that they come from enforces no policy they may. Else its `GRANT JOIN` has to name the column, the
//! destination and the purpose (the site decides that, and publishes it to the asker's coordinator), and the set needs the
//! grant's MIN SET of keys, which is counted before it is sent. Of every other table of the fragment, by which the keys are
//! chosen, some column needs such a grant too: an equality makes the keys of one table those of another.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::Column;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{Distinct, LogicalPlan};

use crate::catalog::site_table::SiteTable;
use crate::key_set::KeysTo;
use crate::plan::columns::plain_column;
use crate::plan::fragment_node::FragmentNode;

/// Whether, and of how many keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leave {
    /// No policy.
    Free,
    /// A set of at least so many.
    AtLeast(u64),
    /// Why not.
    Denied(String),
}

impl Leave {
    /// Both must be kept to.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Denied(reason), _) | (_, Self::Denied(reason)) => Self::Denied(reason),
            (Self::AtLeast(own), Self::AtLeast(other)) => Self::AtLeast(own.max(other)),
            (Self::Free, other) | (other, Self::Free) => other,
        }
    }
}

/// Whether the values of `column` of a fragment may go to `destination`.
pub(super) fn leave(plan: &LogicalPlan, column: usize, destination: &str) -> Leave {
    let Ok(tables) = tables(plan) else { return Leave::Denied("its tables are not known".to_string()) };
    // What a site records of its statements is nobody else's.
    if let Some(system) = tables.iter().find(|table| table.origin().catalog.is_some()) {
        return Leave::Denied(format!("{} keeps its record to itself", system.site()));
    }
    if tables.iter().all(|table| !table.treatment().governed) {
        return Leave::Free;
    }
    let Some((table, index)) = origin(plan, &Column::from(plan.schema().qualified_field(column))) else {
        return Leave::Denied("its keys are not those of one column".to_string());
    };
    let treatment = table.treatment().columns.get(index);
    let granted = treatment.into_iter().flat_map(|column| &column.keys).find(|keys| keys.site == destination);
    let own = match granted {
        Some(keys) => Leave::AtLeast(keys.keys_min),
        None => Leave::Denied(format!("no GRANT JOIN of {} with site {destination}", column_name(&table, index))),
    };
    let others = tables.iter().filter(|other| !is_same(other, &table));
    others.fold(own, |leave, other| leave.and(leave_of_any(other, destination)))
}

/// The leave of a table by which keys are chosen: that of one of its columns, the strictest.
fn leave_of_any(table: &SiteTable, destination: &str) -> Leave {
    if !table.treatment().governed {
        return Leave::Free;
    }
    let keys = table.treatment().columns.iter().flat_map(|column| &column.keys);
    match keys.filter(|keys| keys.site == destination).map(|keys| keys.keys_min).max() {
        Some(keys_min) => Leave::AtLeast(keys_min),
        None => Leave::Denied(format!("no GRANT JOIN of {} with site {destination}", table_name(table))),
    }
}

fn is_same(one: &SiteTable, other: &SiteTable) -> bool {
    (one.site(), &one.origin().source, &one.origin().table)
        == (other.site(), &other.origin().source, &other.origin().table)
}

/// What a site is told of the values of its column; nothing of a column that is none of its tables'.
pub(super) fn keys_to(plan: &LogicalPlan, column: usize, destination: &str) -> Option<KeysTo> {
    let (table, index) = origin(plan, &Column::from(plan.schema().qualified_field(column)))?;
    let schema = TableProvider::schema(table.as_ref());
    Some(KeysTo {
        table: format!("{}.{}", table.origin().source, table.origin().table),
        column: schema.fields().get(index)?.name().clone(),
        site: destination.to_string(),
    })
}

/// Where the values of a fragment's column come from, for people: `site.source.table.column`.
pub(super) fn name(node: &FragmentNode, column: usize) -> String {
    let (qualifier, field) = node.plan().schema().qualified_field(column);
    match origin(node.plan(), &Column::from((qualifier, field))) {
        Some((table, index)) => column_name(&table, index),
        None => format!("{}: {}", node.fragment().site, field.name()),
    }
}

fn table_name(table: &SiteTable) -> String {
    format!("{}.{}.{}", table.site(), table.origin().source, table.origin().table)
}

fn column_name(table: &SiteTable, index: usize) -> String {
    let schema = TableProvider::schema(table);
    let column = schema.fields().get(index).map_or("", |field| field.name().as_str());
    format!("{}.{column}", table_name(table))
}

fn tables(plan: &LogicalPlan) -> DataFusionResult<Vec<Arc<SiteTable>>> {
    let mut tables = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            tables.extend(SiteTable::of(scan));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(tables)
}

/// The table's column that a column of the plan is, unchanged.
fn origin(plan: &LogicalPlan, column: &Column) -> Option<(Arc<SiteTable>, usize)> {
    let index = plan.schema().maybe_index_of_column(column)?;
    match plan {
        LogicalPlan::TableScan(scan) => {
            let index = scan.projection.as_ref().map_or(Some(index), |kept| kept.get(index).copied())?;
            Some((SiteTable::of(scan)?, index))
        }
        LogicalPlan::Projection(node) => origin(&node.input, plain_column(node.expr.get(index)?)?),
        LogicalPlan::Aggregate(node) => origin(&node.input, plain_column(node.group_expr.get(index)?)?),
        LogicalPlan::SubqueryAlias(node) => {
            origin(&node.input, &Column::from(node.input.schema().qualified_field(index)))
        }
        LogicalPlan::Filter(node) => origin(&node.input, column),
        LogicalPlan::Sort(node) => origin(&node.input, column),
        LogicalPlan::Limit(node) => origin(&node.input, column),
        LogicalPlan::Repartition(node) => origin(&node.input, column),
        LogicalPlan::Distinct(Distinct::All(input)) => origin(input, column),
        LogicalPlan::Join(node) => {
            let sides = [&node.left, &node.right];
            sides.into_iter().find(|side| side.schema().has_column(column)).and_then(|side| origin(side, column))
        }
        _ => None,
    }
}
