//! An opened `postgres` source: asks the server's catalogs, describes, and hands out what reads.

use std::sync::Arc;

use async_trait::async_trait;

use super::catalog::{Asked, Catalog, Relation};
use super::config::PostgresConfig;
use super::schema::describe;
use super::server::{Server, Use};
use crate::capability::Capability;
use crate::connector::{Described, Source, Table};
use crate::database::Database;
use crate::database::evaluate::DatabaseEvaluator;
use crate::database::table::DatabaseTable;
use crate::error::ConnectorError;
use crate::pushdown::{EvaluatedTable, Evaluates};

/// Tables of one schema of a database.
#[derive(Debug)]
pub(super) struct PostgresSource {
    server: Arc<Server>,
    schema: String,
    /// The tables that are served; `None` for all that the account may read.
    served: Option<Vec<String>>,
    capability: Capability,
}

impl PostgresSource {
    pub(super) fn new(server: Arc<Server>, config: PostgresConfig, capability: Capability) -> Self {
        Self { server, schema: config.schema, served: config.tables, capability }
    }

    /// Describes the table named, or all that are served.
    async fn describe(&self, name: Option<&str>) -> Result<Vec<Table>, ConnectorError> {
        let asked = Asked { schema: &self.schema, served: self.served.as_deref(), name };
        let mut lease = self.server.lease(Use::Read).await?;
        let asking = lease.asking(self.server.config().shown());
        lease.begin(None, &asking).await?;
        let read = Catalog::read(lease.run()?, &asked).await;
        let catalog = read.map_err(|error| asking.fault(error))?;
        lease.commit(&asking).await?;
        Ok(self.tables_of(&catalog))
    }

    fn tables_of(&self, catalog: &Catalog) -> Vec<Table> {
        let database: Arc<dyn Database> = Arc::clone(&self.server) as _;
        let evaluator: Arc<dyn Evaluates> = Arc::new(DatabaseEvaluator(Arc::clone(&database)));
        let table = |relation: &Relation| {
            let (description, stored) = describe(&self.schema, relation, &catalog.types);
            let description = Arc::new(description);
            let table = DatabaseTable::new(Arc::clone(&database), Arc::clone(&description), stored);
            let provider = Arc::new(EvaluatedTable::new(Arc::new(table), Arc::clone(&evaluator)));
            Table { description, provider }
        };
        catalog.relations.iter().map(table).collect()
    }
}

#[async_trait]
impl Source for PostgresSource {
    fn capability(&self) -> Capability {
        self.capability
    }

    async fn tables(&self) -> Result<Vec<Described>, ConnectorError> {
        let tables = self.describe(None).await?;
        let mut listed: Vec<Described> =
            tables.into_iter().map(|table| (table.description.name.clone(), Ok(table.description))).collect();
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
        // The server cannot even be asked for a name with a NUL byte.
        if name.contains('\0') {
            return Err(not_found());
        }
        self.describe(Some(name)).await?.pop().ok_or_else(not_found)
    }
}
