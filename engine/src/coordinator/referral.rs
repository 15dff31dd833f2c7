//! What is said at a site's own door is refused at a coordinator, with the address of the site that it is about.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::sql::parser::Statement as ParsedStatement;
use policy::resource::{Resource, TableName};
use policy::statement::Statement;

use super::Core;
use crate::catalog::site_table::SiteId;
use crate::error::{Code, EngineError};
use crate::identity::Asker;

/// The refusal of a policy statement.
pub(super) async fn of_policy_statement(core: &Core, asker: &Arc<Asker>, text: &str) -> EngineError {
    let owners = owners(core, asker, text).await;
    refusal("a policy statement", core, |site| owners.contains(site))
}

/// The refusal of `EXPLAIN POLICY AS USER` of a query, whose tables name their sites.
pub(super) fn of_simulation(core: &Core, query: &ParsedStatement) -> EngineError {
    let tables = core.base.resolve_table_references(query).unwrap_or_default();
    refusal("EXPLAIN POLICY AS USER", core, |site| tables.iter().any(|table| table.catalog() == Some(site.as_str())))
}

/// The site that a policy statement names; or, of those for which it can be read, the sites where the asker sees what it is
/// about.
async fn owners(core: &Core, asker: &Arc<Asker>, text: &str) -> BTreeSet<SiteId> {
    let read = |site: &SiteId| Some((site.clone(), Statement::parse(text, site.as_str()).ok()?.resource()?));
    let read: Vec<(SiteId, Resource)> = core.doors.iter().filter_map(|(site, _)| read(site)).collect();
    match read.as_slice() {
        [] => return BTreeSet::new(),
        [(named, _)] => return BTreeSet::from([named.clone()]),
        _ => {}
    }
    let views = core.snapshots.all(asker).await.unwrap_or_default();
    let sees = |site: &SiteId, resource: &Resource| {
        let mut tables = views.iter().filter(|(seen, _)| seen == site).flat_map(|(_, view)| view.tables.names());
        tables.any(|(source, table)| resource.covers(&TableName::new(source, table)))
    };
    read.into_iter().filter(|(site, resource)| sees(site, resource)).map(|(site, _)| site).collect()
}

/// With the doors of the sites that it is about, or of all when nobody knows them.
fn refusal(what: &str, core: &Core, is_about: impl Fn(&SiteId) -> bool) -> EngineError {
    let place = |(site, address): &(SiteId, String)| format!("{site} at {address}");
    let mut places: Vec<String> = core.doors.iter().filter(|(site, _)| is_about(site)).map(place).collect();
    if places.is_empty() {
        places = core.doors.iter().map(place).collect();
    }
    EngineError::new(
        Code::Statement,
        format!(
            "{what} is said at the door of the site that owns the table, not at a coordinator: {}",
            places.join(", ")
        ),
    )
}
