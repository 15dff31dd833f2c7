//! The tables that policy statements are checked against: those of the site's sources, as they are now.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use connectors::connector::Source;
use futures::future::join_all;
use policy::resource::TableName;
use policy::set::Catalog;

use crate::config::SiteConfig;
use crate::error::{Code, EngineError, Result, with_causes};

/// The sources of a site, by name.
#[derive(Debug, Clone)]
pub struct SiteTables {
    sources: Arc<BTreeMap<String, Arc<dyn Source>>>,
}

/// Tables and columns at one moment.
#[derive(Debug, Clone, Default)]
pub struct TableSnapshot {
    tables: BTreeMap<TableName, SchemaRef>,
}

impl SiteTables {
    /// The tables of these sources.
    pub fn new(sources: BTreeMap<String, Arc<dyn Source>>) -> Self {
        Self { sources: Arc::new(sources) }
    }

    /// Opens the sources of a configuration.
    ///
    /// # Errors
    /// `CONFIG` for a source that cannot be opened.
    pub async fn open(config: &SiteConfig) -> Result<Self> {
        let mut sources = BTreeMap::new();
        for source in &config.sources {
            let name = source.name.as_str();
            let opened = connectors::registry::open(&source.kind, name, source.options.clone(), &source.base)
                .await
                .map_err(|error| EngineError::new(Code::Config, error.to_string()).caused_by(error))?;
            sources.insert(name.to_string(), opened);
        }
        Ok(Self::new(sources))
    }

    /// The sources.
    pub fn sources(&self) -> &BTreeMap<String, Arc<dyn Source>> {
        &self.sources
    }

    /// Asks every source for its tables. One that cannot be described is not there, as for a query.
    pub async fn snapshot(&self) -> TableSnapshot {
        let listed = join_all(self.sources.iter().map(|(source, tables)| async move {
            let tables = tables.tables().await.unwrap_or_else(|error| {
                tracing::warn!(source, "the source cannot be listed: {}", with_causes(&error));
                Vec::new()
            });
            let described = tables.into_iter().filter_map(|(_, table)| table.ok());
            described.map(|table| (TableName::new(source, &table.name), Arc::clone(&table.schema))).collect::<Vec<_>>()
        }))
        .await;
        TableSnapshot { tables: listed.into_iter().flatten().collect() }
    }
}

impl FromIterator<(TableName, SchemaRef)> for TableSnapshot {
    fn from_iter<I: IntoIterator<Item = (TableName, SchemaRef)>>(tables: I) -> Self {
        Self { tables: tables.into_iter().collect() }
    }
}

impl Catalog for TableSnapshot {
    fn tables(&self, source: &str) -> Vec<TableName> {
        self.tables.keys().filter(|table| table.source == source).cloned().collect()
    }

    fn schema(&self, table: &TableName) -> Option<SchemaRef> {
        self.tables.get(table).cloned()
    }
}
