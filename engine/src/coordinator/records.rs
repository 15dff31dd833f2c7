//! `system.audit` at a coordinator: the records of all sites that keep one, read from each of them.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::{Column, Statistics, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};

use super::Core;
use crate::audit::tables::{disclosures_schema, queries_schema};
use crate::catalog::site_table::{Origin, SiteId, SiteTable};
use crate::catalog::system;
use crate::error::{Code, Result};
use crate::flight::door::ListedTable;
use crate::identity::Asker;

/// The column that tells the site.
const SITE: &str = "site";

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
        is_view: true,
        columns: schema_of(table),
        primary_key: Vec::new(),
        foreign_keys: Vec::new(),
        comment: Some((*comment).to_string()),
        tags: None,
    };
    TABLES.iter().map(table).collect()
}

fn schema_of(table: &str) -> arrow::datatypes::SchemaRef {
    if table == "queries" { queries_schema() } else { disclosures_schema() }
}

/// The union of a record's table over the sites; `None` when there is no such table or no site keeps a record.
///
/// Each arm gives its site's name as a literal, so that the optimizer drops the arms that a filter on `site` excludes. A
/// site that cannot say whether it keeps a record has an arm too, and whoever does not exclude it is told that the site is
/// not there: a record with a gap is none.
///
/// # Errors
/// Those of a site that answers with one.
pub(super) async fn table(core: &Core, asker: &Arc<Asker>, table: &str) -> Result<Option<Arc<dyn TableProvider>>> {
    if !TABLES.iter().any(|(known, _)| *known == table) {
        return Ok(None);
    }
    let mut union: Option<LogicalPlan> = None;
    for site in core.snapshots.sites() {
        if !may_keep_record(core, asker, site).await? {
            continue;
        }
        let arm = arm(site, table)?;
        union = Some(match union {
            None => arm,
            Some(others) => LogicalPlanBuilder::from(others).union(arm)?.build()?,
        });
    }
    Ok(union.map(|plan| Arc::new(ViewTable::new(plan, None)) as Arc<dyn TableProvider>))
}

async fn may_keep_record(core: &Core, asker: &Arc<Asker>, site: &SiteId) -> Result<bool> {
    match core.snapshots.view(asker, site).await {
        Ok(view) => Ok(view.keeps_record),
        Err(error) if error.code() == Code::SiteUnavailable => Ok(true),
        Err(error) => Err(error),
    }
}

fn arm(site: &SiteId, table: &str) -> Result<LogicalPlan> {
    let schema = schema_of(table);
    let origin = Origin {
        catalog: Some(system::CATALOG.to_string()),
        source: system::AUDIT.to_string(),
        table: table.to_string(),
        version: String::new(),
    };
    let statistics = Statistics::new_unknown(&schema);
    let at_site = SiteTable::new(site.clone(), Arc::clone(&schema), statistics).with_origin(origin);
    let name = TableReference::full(site.as_str(), system::AUDIT, table);
    let scan = LogicalPlanBuilder::scan(name.clone(), provider_as_source(Arc::new(at_site)), None)?;
    let outputs = schema.fields().iter().map(|field| match field.name().as_str() {
        SITE => lit(site.as_str()).alias(SITE),
        column => Expr::Column(Column::new(Some(name.clone()), column)).alias(column),
    });
    Ok(scan.project(outputs.collect::<Vec<_>>())?.build()?)
}
