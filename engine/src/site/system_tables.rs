//! The system tables of a site: what runs and ran, and the record of what left.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::ResolvedTableReference;

use super::Site;
use super::evidence::recorded;
use crate::audit::statements::Viewer;
use crate::audit::tables;
use crate::catalog::system;
use crate::error::Result;
use crate::flight::door::ListedTable;
use crate::identity::Asker;

/// The role that reads everybody's records.
pub(super) const AUDITOR: &str = "auditor";

/// The system table of that name, its rows those that the asker may see.
///
/// # Errors
/// `AUDIT` when the record cannot be read.
pub(super) fn system_table(
    site: &Site,
    asker: &Asker,
    name: &ResolvedTableReference,
) -> Result<Option<Arc<dyn TableProvider>>> {
    match name.schema.as_ref() {
        schema @ (system::QUERIES | system::SESSIONS) => {
            let viewer = system::Viewer::of(asker, site.is_administrator(asker));
            system::table((&site.queries, &site.sessions), &viewer, (schema, &name.table))
        }
        system::AUDIT => audit_table(site, asker, &name.table),
        _ => Ok(None),
    }
}

fn audit_table(site: &Site, asker: &Asker, table: &str) -> Result<Option<Arc<dyn TableProvider>>> {
    let Some(log) = site.audit() else { return Ok(None) };
    match table {
        "queries" => tables::queries_table(log, viewer(asker)).map(Some),
        "disclosures" => tables::disclosures_table(log, viewer(asker)).map(Some),
        _ => Ok(None),
    }
}

/// One's own records are those of the same person, not of everybody of that name: see
/// [`is_same_person`](crate::audit::entry::Asker::is_same_person).
fn viewer(asker: &Asker) -> Viewer {
    if asker.subject.roles.contains(AUDITOR) { Viewer::Auditor } else { Viewer::Subject(recorded(asker)) }
}

/// The tables of the record, as metadata calls list them.
pub(super) fn listed(site: &Site) -> Vec<ListedTable> {
    if site.audit().is_none() {
        return Vec::new();
    }
    let table = |table: &str, columns, comment: &str| ListedTable {
        catalog: system::CATALOG.to_string(),
        schema: system::AUDIT.to_string(),
        table: table.to_string(),
        is_view: true,
        columns,
        primary_key: Vec::new(),
        foreign_keys: Vec::new(),
        comment: Some(comment.to_string()),
        tags: None,
    };
    vec![
        table(
            "queries",
            tables::queries_schema(),
            "Statements at this site, let in or refused, and what became of them",
        ),
        table(
            "disclosures",
            tables::disclosures_schema(),
            "What left this site: a row for each column and destination; rows and bytes are the whole statement's",
        ),
    ]
}
