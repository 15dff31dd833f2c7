//! What the sites published of their decisions about the tables of a statement: for EXPLAIN and EXPLAIN POLICY.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::SendableRecordBatchStream;
use policy::lineage::{Lineage, lineage_of};

use crate::catalog::site_table::SiteTable;
use crate::error::Result;
use crate::session::told::{POLICY_COLUMNS, Told, texts};

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
            tables.insert(full_name(&table), table);
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
    let line = |(name, table): (String, Arc<SiteTable>)| {
        let schema = table.schema();
        let columns = schema.fields().iter().map(|field| field.name().as_str());
        (format!("policy of {name}"), table.treatment().summary(columns))
    };
    Ok(governed_tables(plan)?.into_iter().map(line).collect())
}

/// EXPLAIN POLICY: what would leave each site, in which form, by which policy; nothing is asked for rows.
///
/// # Errors
/// When the plan cannot be walked: a defect.
pub(super) fn told(plan: &LogicalPlan) -> Result<SendableRecordBatchStream> {
    let lineage = lineage_of(plan, &|scan| SiteTable::of(scan).map(|table| full_name(&table)))?;
    let rows =
        governed_tables(plan)?.into_iter().flat_map(|(name, table)| table_rows(&name, &table, &lineage)).collect();
    texts(&POLICY_COLUMNS, rows)
}

fn table_rows(name: &str, table: &SiteTable, lineage: &Lineage) -> Vec<Told> {
    let (treatment, used, schema) = (table.treatment(), lineage.of(name), table.schema());
    let row = |column: Option<&str>, form: &str, policies: &[String], leaves: &str| -> Told {
        vec![
            Some(name.to_string()),
            column.map(ToString::to_string),
            Some(form.to_string()),
            Some(policies.join(", ")),
            Some(leaves.to_string()),
            treatment.grant.clone(),
        ]
    };
    let rows = if treatment.row_filters.is_empty() { "all rows" } else { "filtered rows" };
    let mut told = vec![row(None, rows, &treatment.row_filters, "as used")];
    for (field, column) in schema.fields().iter().zip(&treatment.columns) {
        let leaves = if used.selected.contains(field.name()) {
            "yes"
        } else if used.used.contains(field.name()) {
            "only used"
        } else {
            continue;
        };
        told.push(row(Some(field.name()), column.form.as_deref().unwrap_or("clear"), &column.policies, leaves));
    }
    told
}

fn full_name(table: &SiteTable) -> String {
    let origin = table.origin();
    format!("{}.{}.{}", table.site(), origin.source, origin.table)
}
