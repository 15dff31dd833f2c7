//! What the sites published of their decisions about the tables of a statement: for EXPLAIN and EXPLAIN POLICY.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::LogicalPlan;

use crate::catalog::site_table::SiteTable;
use crate::catalog::treatment::TableTreatment;

/// The governed tables that a bound plan reads, by full name, each as its site shows it.
///
/// # Errors
/// Never, unless a plan cannot be walked.
pub(super) fn governed_tables(plan: &LogicalPlan) -> DataFusionResult<BTreeMap<String, Arc<SiteTable>>> {
    let mut tables = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(table) = SiteTable::of(scan).filter(|table| table.treatment().governed)
        {
            let origin = table.origin();
            tables.insert(format!("{}.{}.{}", table.site(), origin.source, origin.table), table);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(tables)
}

/// One line of EXPLAIN for each governed table: its grant, which rows are there, and the columns that are not clear.
///
/// # Errors
/// Never, unless a plan cannot be walked.
pub(super) fn lines(plan: &LogicalPlan) -> DataFusionResult<Vec<(String, String)>> {
    let tables = governed_tables(plan)?;
    Ok(tables.into_iter().map(|(name, table)| (format!("policy of {name}"), applied(&table))).collect())
}

fn applied(table: &SiteTable) -> String {
    use datafusion::catalog::TableProvider;
    let treatment: &TableTreatment = table.treatment();
    let schema = table.schema();
    let mut parts = vec![format!("grant {}", treatment.grant.as_deref().unwrap_or("none"))];
    if !treatment.row_filters.is_empty() {
        parts.push(format!("rows filtered by {}", treatment.row_filters.join(", ")));
    }
    for (field, column) in schema.fields().iter().zip(&treatment.columns) {
        if let Some(form) = &column.form {
            parts.push(format!("{}: {form} by {}", field.name(), column.policies.join(", ")));
        }
    }
    parts.join("; ")
}
