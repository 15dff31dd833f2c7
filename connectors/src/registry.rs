//! The one list of connectors. A site opens a source here by its kind; a new connector is one line here.

use std::path::Path;
use std::sync::Arc;

use crate::connector::{Connector, Source};
use crate::error::{ConnectorError, OptionFault};
use crate::files::FilesConnector;
use crate::flight_sql::FlightSqlConnector;
use crate::mysql::MysqlConnector;
use crate::postgres::PostgresConnector;
use crate::sqlite::SqliteConnector;

/// Every connector that this build has, in the order of their kinds.
pub fn connectors() -> [&'static dyn Connector; 5] {
    [&FilesConnector, &FlightSqlConnector, &MysqlConnector, &PostgresConnector, &SqliteConnector]
}

/// Opens the source `name` of the given kind.
///
/// # Errors
/// [`ConnectorError::Configuration`] with the fault of `kind` if no connector has it; else what the connector answers.
pub async fn open(
    kind: &str,
    name: &str,
    options: toml::Table,
    base: &Path,
) -> Result<Arc<dyn Source>, ConnectorError> {
    match find(kind) {
        Some(connector) => connector.open(name, options, base).await,
        None => Err(ConnectorError::Configuration { source_name: name.to_owned(), faults: vec![unknown(kind)] }),
    }
}

/// Every fault of a source's options, an unknown kind among them; opens nothing remote.
pub fn check(kind: &str, options: &toml::Table, base: &Path) -> Vec<OptionFault> {
    find(kind).map_or_else(|| vec![unknown(kind)], |connector| connector.check(options, base))
}

fn find(kind: &str) -> Option<&'static dyn Connector> {
    connectors().into_iter().find(|connector| connector.kind() == kind)
}

fn unknown(kind: &str) -> OptionFault {
    let known: Vec<_> = connectors().iter().map(|connector| format!("`{}`", connector.kind())).collect();
    OptionFault::new("kind", format!("`{kind}` is not a kind of source; the kinds are {}", known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_kind_is_a_fault_that_lists_the_known_ones() {
        let faults = check("fiels", &toml::Table::new(), Path::new("."));
        let told =
            "`fiels` is not a kind of source; the kinds are `files`, `flight_sql`, `mysql`, `postgres`, `sqlite`";
        assert_eq!(faults, [OptionFault::new("kind", told)]);
    }

    #[test]
    fn kinds_are_unique_and_sorted() {
        let kinds: Vec<_> = connectors().iter().map(|connector| connector.kind()).collect();
        let mut sorted = kinds.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(kinds, sorted);
    }
}
