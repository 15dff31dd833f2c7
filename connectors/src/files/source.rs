//! An opened `files` source: finds a table's files, describes them once per version, and hands out what was described.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::{StreamExt, stream};

use super::config::{FilesConfig, TableConfig, repeated_names};
use super::describe::{Known, content_hash, describe};
use super::discover::{NO_TABLES, tables_of};
use super::listing::list;
use super::root::OpenRoot;
use crate::capability::Capability;
use crate::connector::{Described, Source, Table};
use crate::error::{ConnectorError, OptionFault};

/// Tables that are described at the same time when all are asked for.
const TABLES_AT_ONCE: usize = 4;

/// Tables of files below one root.
#[derive(Debug)]
pub(super) struct FilesSource {
    name: String,
    /// `None` if the root tells which tables there are.
    declared: Option<Vec<TableConfig>>,
    capability: Capability,
    root: OpenRoot,
    /// The last version described of each table, by name.
    described: Mutex<HashMap<String, (Table, Arc<Known>)>>,
}

impl FilesSource {
    /// Asks nothing that is not on this machine.
    pub(super) fn open(name: &str, config: FilesConfig, capability: Capability) -> Result<Self, OptionFault> {
        let root = config.root.open()?;
        Ok(Self { name: name.to_owned(), declared: config.declared, capability, root, described: Mutex::default() })
    }

    /// The tables as configured, or as the root has them now: all, or those that are called `wanted`; sorted by name.
    async fn table_configs(&self, wanted: Option<&str>) -> Result<Vec<TableConfig>, ConnectorError> {
        let of_wanted = |table: &TableConfig| wanted.is_none_or(|wanted| table.name == wanted);
        let mut tables = match &self.declared {
            Some(declared) => declared.clone(),
            None => tables_of(self.root.entries(wanted).await?),
        };
        if tables.is_empty() && wanted.is_none() {
            return Err(self.fault(vec![OptionFault::new("root", NO_TABLES)]));
        }
        tables.retain(of_wanted);
        match repeated_names(&tables) {
            faults if faults.is_empty() => {
                tables.sort_by(|left, right| left.name.cmp(&right.name));
                Ok(tables)
            }
            faults => Err(self.fault(faults)),
        }
    }

    fn fault(&self, faults: Vec<OptionFault>) -> ConnectorError {
        ConnectorError::Configuration { source_name: self.name.clone(), faults }
    }

    async fn current(&self, config: &TableConfig) -> Result<Table, ConnectorError> {
        let listing = list(&self.root, config).await?;
        let content = content_hash(&listing);
        let earlier = match self.kept(&config.name) {
            Some((table, _)) if table.description.version.starts_with(&content) => return Ok(table),
            Some((_, known)) => known,
            None => Arc::default(),
        };
        let (table, known) = describe(self.root.store(), config, listing, &content, &earlier).await?;
        let mut described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        described.insert(config.name.clone(), (table.clone(), Arc::new(known)));
        Ok(table)
    }

    fn kept(&self, name: &str) -> Option<(Table, Arc<Known>)> {
        self.described.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

#[async_trait]
impl Source for FilesSource {
    fn capability(&self) -> Capability {
        self.capability
    }

    async fn tables(&self) -> Result<Vec<Described>, ConnectorError> {
        let tables = self.table_configs(None).await?;
        let described = tables.into_iter().map(|config| async move {
            let described = self.current(&config).await.map(|table| table.description);
            (config.name, described)
        });
        Ok(stream::iter(described.collect::<Vec<_>>()).buffered(TABLES_AT_ONCE).collect().await)
    }

    async fn table(&self, name: &str) -> Result<Table, ConnectorError> {
        match self.table_configs(Some(name)).await?.first() {
            Some(config) => self.current(config).await,
            None => Err(ConnectorError::TableNotFound { table: name.to_owned() }),
        }
    }
}
