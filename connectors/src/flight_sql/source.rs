//! An opened `flight_sql` source: asks the server for its tables, describes, and hands out what reads.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::Schema;
use async_trait::async_trait;
use datafusion_common::TableReference;

use super::catalog::{Asked, Relation, list};
use super::columns::{Told, columns_of_answer};
use super::config::FlightSqlConfig;
use super::schema::{describe, stored};
use super::server::Server;
use crate::capability::Capability;
use crate::connector::{Described, Source, Table};
use crate::database::Database;
use crate::database::evaluate::DatabaseEvaluator;
use crate::database::table::{DatabaseTable, StoredTable};
use crate::error::ConnectorError;
use crate::pushdown::EvaluatedTable;

/// Tables of one schema of a server.
#[derive(Debug)]
pub(super) struct FlightSqlSource {
    server: Arc<Server>,
    catalog: Option<String>,
    schema: Option<String>,
    /// The tables that are served; `None` for all that the server lists.
    served: Option<Vec<String>>,
    capability: Capability,
}

/// A table's name, and the table or what is wrong with it.
type Named = (String, Result<Table, ConnectorError>);

impl FlightSqlSource {
    pub(super) fn new(server: Arc<Server>, config: FlightSqlConfig, capability: Capability) -> Self {
        let FlightSqlConfig { catalog, schema, tables, .. } = config;
        Self { server, catalog, schema, served: tables, capability }
    }

    /// The table named, or all that are served, in the order of their names.
    async fn describe(&self, name: Option<&str>) -> Result<Vec<Named>, ConnectorError> {
        let mut relations = self.relations(name).await?;
        if let Some(served) = &self.served {
            relations.retain(|relation| served.contains(&relation.name));
        }
        self.check_one_schema(&relations)?;
        relations.sort_by(|left, right| left.name.cmp(&right.name));
        let mut tables: Vec<Named> = Vec::with_capacity(relations.len());
        for relation in relations {
            let is_repeated = tables.last().is_some_and(|(name, _)| *name == relation.name);
            if is_repeated {
                tables.pop();
                tables.push((relation.name.clone(), Err(self.repeated(&relation.name))));
                continue;
            }
            tables.push((relation.name.clone(), self.table_of(relation).await));
        }
        Ok(tables)
    }

    /// What the server lists; where it lists nothing, what the source names.
    async fn relations(&self, name: Option<&str>) -> Result<Vec<Relation>, ConnectorError> {
        let asked = Asked { catalog: self.catalog.as_deref(), schema: self.schema.as_deref(), name };
        if let Some(listed) = list(&self.server, &asked).await? {
            return Ok(listed);
        }
        let Some(served) = &self.served else {
            return Err(ConnectorError::Unsupported {
                feature: format!("{}: listing tables", self.server.shown()),
                advice: "name the tables that are to be served in `tables`".to_owned(),
            });
        };
        let named = |table: &String| Relation {
            catalog: self.catalog.clone(),
            schema: self.schema.clone(),
            name: table.clone(),
            kind: String::new(),
            columns: None,
        };
        Ok(served.iter().filter(|table| name.is_none_or(|name| *table == name)).map(named).collect())
    }

    /// A source is one schema.
    fn check_one_schema(&self, relations: &[Relation]) -> Result<(), ConnectorError> {
        let schemas: BTreeSet<_> = relations.iter().map(|relation| (&relation.catalog, &relation.schema)).collect();
        if schemas.len() < 2 {
            return Ok(());
        }
        let shown = |name: &Option<String>| name.clone().unwrap_or_default();
        let names: Vec<String> =
            schemas.iter().map(|(catalog, schema)| format!("`{}`.`{}`", shown(catalog), shown(schema))).collect();
        Err(ConnectorError::invalid_data(
            self.server.shown(),
            format!("has tables in {} schemas: {}", names.len(), names.join(", ")),
            "name one of them in `catalog` and `schema`",
        ))
    }

    fn repeated(&self, table: &str) -> ConnectorError {
        ConnectorError::invalid_data(
            format!("table `{table}`"),
            format!("{} lists it twice", self.server.shown()),
            "give each table of the schema a name of its own",
        )
    }

    async fn table_of(&self, mut relation: Relation) -> Result<Table, ConnectorError> {
        let columns = match relation.columns.take() {
            Some(columns) => columns,
            None => self.columns_by_statement(&relation).await?,
        };
        let description = Arc::new(describe(&relation, &columns)?);
        let stored = StoredTable {
            name: relation.reference(),
            columns: stored(&columns, self.server.config().engine),
            has_foreign_text: false,
            places: None,
        };
        let database: Arc<dyn Database> = Arc::clone(&self.server) as _;
        let table = DatabaseTable::new(Arc::clone(&database), Arc::clone(&description), stored);
        let evaluator = Arc::new(DatabaseEvaluator(database));
        Ok(Table { description, provider: Arc::new(EvaluatedTable::new(Arc::new(table), evaluator)) })
    }

    /// The columns of a table of which the server lists none: those of a statement that reads it.
    async fn columns_by_statement(&self, relation: &Relation) -> Result<Schema, ConnectorError> {
        let location = format!("table `{}`", relation.name);
        let text = format!("SELECT * FROM {}", quoted(&relation.reference()));
        match columns_of_answer(&self.server, &text, &self.server.asking(&location)).await? {
            Told::Columns(columns) => Ok(columns),
            Told::Refused => Err(ConnectorError::TableNotFound { table: relation.name.clone() }),
            Told::Nothing => {
                let detail = "the server does not tell its columns";
                Err(ConnectorError::invalid_data(location, detail, "have the server mended"))
            }
        }
    }
}

/// A table's name as a server reads it back, exactly.
fn quoted(name: &TableReference) -> String {
    let part = |part: String| format!("\"{}\"", part.replace('"', "\"\""));
    name.to_vec().into_iter().map(part).collect::<Vec<_>>().join(".")
}

#[async_trait]
impl Source for FlightSqlSource {
    fn capability(&self) -> Capability {
        self.capability
    }

    async fn tables(&self) -> Result<Vec<Described>, ConnectorError> {
        let described = self.describe(None).await?;
        let mut listed: Vec<Described> =
            described.into_iter().map(|(name, table)| (name, table.map(|table| table.description))).collect();
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
        match self.describe(Some(name)).await?.pop() {
            Some((_, table)) => table,
            None => Err(not_found()),
        }
    }
}
