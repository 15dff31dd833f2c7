//! `system.audit` at a coordinator: the records of all sites that keep one, read from each of them.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::{Statistics, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};

use super::Core;
use crate::audit::tables::{disclosures_schema, queries_schema};
use crate::catalog::site_table::{Origin, SiteTable};
use crate::catalog::system;
use crate::error::Result;
use crate::flight::door::ListedTable;
use crate::identity::Asker;

const TABLES: [(&str, &str); 2] = [
    ("queries", "Statements at every site, let in or refused, and what became of them"),
    (
        "disclosures",
        "What left every site: a row for each column and destination; rows and bytes are the whole statement's",
    ),
];

/// The tables of the record, as metadata calls list them.
pub(super) fn listed() -> Vec<ListedTable> {
    let table = |(table, comment): &(&str, &str)| ListedTable {
        catalog: system::CATALOG.to_string(),
        schema: system::AUDIT.to_string(),
        table: (*table).to_string(),
        table_type: "VIEW",
        columns: schema_of(table),
        comment: Some((*comment).to_string()),
    };
    TABLES.iter().map(table).collect()
}

fn schema_of(table: &str) -> arrow::datatypes::SchemaRef {
    if table == "queries" { queries_schema() } else { disclosures_schema() }
}

/// The union of a record's table over the sites; `None` when there is no such table or no site keeps a record.
///
/// # Errors
/// `SITE_UNAVAILABLE` for a site that cannot say whether it keeps one: a record with a gap is none.
pub(super) async fn table(core: &Core, asker: &Arc<Asker>, table: &str) -> Result<Option<Arc<dyn TableProvider>>> {
    if !TABLES.iter().any(|(known, _)| *known == table) {
        return Ok(None);
    }
    let mut union: Option<LogicalPlan> = None;
    for site in core.snapshots.sites() {
        if !core.snapshots.view(asker, site).await?.keeps_record {
            continue;
        }
        let schema = schema_of(table);
        let origin = Origin {
            catalog: Some(system::CATALOG.to_string()),
            source: system::AUDIT.to_string(),
            table: table.to_string(),
            version: String::new(),
        };
        let statistics = Statistics::new_unknown(&schema);
        let at_site = SiteTable::new(site.clone(), schema, statistics).with_origin(origin);
        let name = TableReference::full(site.as_str(), system::AUDIT, table);
        let scan = LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(at_site)), None)?;
        union = Some(match union {
            None => scan.build()?,
            Some(others) => LogicalPlanBuilder::from(others).union(scan.build()?)?.build()?,
        });
    }
    Ok(union.map(|plan| Arc::new(ViewTable::new(plan, None)) as Arc<dyn TableProvider>))
}
