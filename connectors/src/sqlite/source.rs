//! An opened `sqlite` source: asks the file's schema, describes, and hands out what reads.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;

use super::catalog::{self, Relation};
use super::config::Epoch;
use super::fault::fault;
use super::file::DatabaseFile;
use super::schema::{Described as DescribedTable, describe};
use crate::capability::Capability;
use crate::connector::{Described, Source, Table};
use crate::database::Database;
use crate::database::evaluate::DatabaseEvaluator;
use crate::database::table::DatabaseTable;
use crate::error::ConnectorError;
use crate::pushdown::EvaluatedTable;

/// Tables of one file.
#[derive(Debug)]
pub(super) struct SqliteSource {
    file: Arc<DatabaseFile>,
    /// The tables that are served; `None` for all.
    served: Option<Vec<String>>,
    capability: Capability,
}

impl SqliteSource {
    pub(super) fn new(file: Arc<DatabaseFile>, served: Option<Vec<String>>, capability: Capability) -> Self {
        Self { file, served, capability }
    }

    fn is_served(&self, name: &str) -> bool {
        self.served.as_ref().is_none_or(|served| served.iter().any(|known| known == name))
    }
}

#[async_trait]
impl Source for SqliteSource {
    fn capability(&self) -> Capability {
        self.capability
    }

    async fn tables(&self) -> Result<Vec<Described>, ConnectorError> {
        let (shown, epoch) = (self.file.config().shown(), self.file.config().epoch);
        let described = self.file.ask_schema(move |connection| {
            let relations = catalog::relations(connection).map_err(|error| fault(&shown, error))?;
            Ok(relations
                .into_iter()
                .map(|relation| (relation.name.clone(), described(connection, &relation, epoch)))
                .collect())
        });
        let described: Vec<(String, Result<DescribedTable, ConnectorError>)> = described.await?;
        let mut listed: Vec<Described> = described
            .into_iter()
            .filter(|(name, _)| self.is_served(name))
            .map(|(name, table)| (name, table.map(|table| Arc::new(table.description))))
            .collect();
        for name in self.served.iter().flatten() {
            if !listed.iter().any(|(known, _)| known == name) {
                listed.push((name.clone(), Err(ConnectorError::TableNotFound { table: name.clone() })));
            }
        }
        listed.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(listed)
    }

    async fn table(&self, name: &str) -> Result<Table, ConnectorError> {
        let not_found = || ConnectorError::TableNotFound { table: name.to_owned() };
        if !self.is_served(name) {
            return Err(not_found());
        }
        let (asked, epoch) = (name.to_owned(), self.file.config().epoch);
        let table = self.file.ask_schema(move |connection| {
            let relation = catalog::relation(connection, &asked).map_err(|error| at_table(&asked, error))?;
            relation.map(|relation| described(connection, &relation, epoch)).transpose()
        });
        let DescribedTable { description, stored } = table.await?.ok_or_else(not_found)?;
        let database: Arc<dyn Database> = Arc::clone(&self.file) as _;
        let description = Arc::new(description);
        let table = DatabaseTable::new(Arc::clone(&database), Arc::clone(&description), stored);
        let provider = Arc::new(EvaluatedTable::new(Arc::new(table), Arc::new(DatabaseEvaluator(database))));
        Ok(Table { description, provider })
    }
}

fn described(
    connection: &Connection,
    relation: &Relation,
    epoch: Option<Epoch>,
) -> Result<DescribedTable, ConnectorError> {
    describe(connection, relation, epoch).map_err(|error| at_table(&relation.name, error))
}

fn at_table(name: &str, error: rusqlite::Error) -> ConnectorError {
    fault(&format!("table `{name}`"), error)
}
