//! An opened `mysql` source: asks what the server says of its tables, describes, and hands out what reads.

use std::sync::Arc;

use async_trait::async_trait;

use super::catalog::{Asked, read};
use super::config::MysqlConfig;
use super::keys::places;
use super::schema::describe;
use super::server::Server;
use crate::capability::Capability;
use crate::connector::{Described, Source, Table, TableDescription};
use crate::database::Database;
use crate::database::evaluate::DatabaseEvaluator;
use crate::database::table::{DatabaseTable, StoredTable};
use crate::error::ConnectorError;
use crate::pushdown::{EvaluatedTable, Evaluates};

/// Tables of one database of a server.
#[derive(Debug)]
pub(super) struct MysqlSource {
    server: Arc<Server>,
    config: MysqlConfig,
    capability: Capability,
}

/// A table's name, and the table or what is wrong with it.
type Read = (String, Result<Table, ConnectorError>);

impl MysqlSource {
    pub(super) fn new(server: Arc<Server>, config: MysqlConfig, capability: Capability) -> Self {
        Self { server, config, capability }
    }

    /// Describes the table named, or all that are served.
    async fn describe(&self, name: Option<&str>) -> Result<Vec<Read>, ConnectorError> {
        let asked = Asked { database: &self.config.database, served: self.config.tables.as_deref(), name };
        let mut lease = self.server.begin().await?;
        let asking = self.server.asking();
        let can_share = lease.place().await?.is_some();
        let relations = read(lease.run()?, &asked).await.map_err(|error| asking.fault(error))?;
        let mut tables = Vec::with_capacity(relations.len());
        // Of a table without columns nothing may be read; of a view, nothing can.
        for relation in relations.iter().filter(|relation| relation.is_view || !relation.columns.is_empty()) {
            let places = match can_share {
                true => {
                    let patience = self.config.access.connect_timeout;
                    let places = places(lease.run()?, &self.config.database, relation, patience).await;
                    places.map_err(|error| asking.fault(error))?
                }
                false => None,
            };
            let described = describe(&self.config.database, relation, places, self.config.tinyint1_is_boolean);
            tables.push((
                relation.name.clone(),
                described.map(|(description, stored)| self.table_of(description, stored)),
            ));
        }
        lease.commit().await?;
        Ok(tables)
    }

    fn table_of(&self, description: TableDescription, stored: StoredTable) -> Table {
        let database: Arc<dyn Database> = Arc::clone(&self.server) as _;
        let evaluator: Arc<dyn Evaluates> = Arc::new(DatabaseEvaluator(Arc::clone(&database)));
        let description = Arc::new(description);
        let table = DatabaseTable::new(database, Arc::clone(&description), stored);
        Table { description, provider: Arc::new(EvaluatedTable::new(Arc::new(table), evaluator)) }
    }
}

#[async_trait]
impl Source for MysqlSource {
    fn capability(&self) -> Capability {
        self.capability
    }

    async fn tables(&self) -> Result<Vec<Described>, ConnectorError> {
        let tables = self.describe(None).await?;
        let mut listed: Vec<Described> =
            tables.into_iter().map(|(name, table)| (name, table.map(|table| table.description))).collect();
        for name in self.config.tables.iter().flatten() {
            if !listed.iter().any(|(known, _)| known == name) {
                listed.push((name.clone(), Err(ConnectorError::TableNotFound { table: name.clone() })));
            }
        }
        listed.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(listed)
    }

    async fn table(&self, name: &str) -> Result<Table, ConnectorError> {
        match self.describe(Some(name)).await?.pop() {
            Some((_, table)) => table,
            None => Err(ConnectorError::TableNotFound { table: name.to_owned() }),
        }
    }
}
