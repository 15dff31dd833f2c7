//! The server as a database: what it takes, whether it takes a statement, and the rows of one.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion_expr::LogicalPlan;

use super::columns::{Told, columns_of_answer};
use super::read::{answers_to, read};
use super::server::Server;
use crate::database::{Batches, Database, Reading};
use crate::error::ConnectorError;
use crate::statement::{Accepts, ForeignEngine, Refusal, Statement, StoredTables, write_for_foreign};

/// The server sets no limit that it tells, and its statements share one connection.
const READERS_MAX: usize = usize::MAX;

#[async_trait]
impl Database for Server {
    fn scan_name(&self) -> &'static str {
        "FlightSqlScan"
    }

    fn shown(&self) -> String {
        self.shown()
    }

    fn readers_max(&self) -> usize {
        READERS_MAX
    }

    fn accepts(&self) -> Accepts {
        match self.config().engine {
            ForeignEngine::DataFusion => Accepts::other_datafusion(),
            ForeignEngine::Unknown => Accepts::any_sql(),
        }
    }

    fn write(&self, plan: &LogicalPlan, stored: &StoredTables) -> Result<Statement, Refusal> {
        write_for_foreign(self.config().engine, plan, &self.accepts(), stored)
    }

    async fn ask(self: Arc<Self>, statement: &Statement) -> Result<Option<Refusal>, ConnectorError> {
        let refused = |reason: &str| Ok(Some(Refusal::new("statement", reason)));
        match columns_of_answer(&self, &statement.text, &self.asking(self.shown())).await? {
            Told::Refused => refused("is not accepted by the server"),
            // Rows without columns are answered with one that says how many there are.
            Told::Columns(columns) if statement.schema.fields().is_empty() && columns.fields().len() == 1 => Ok(None),
            Told::Columns(columns) if !answers_to(&columns, &statement.schema) => {
                refused("would be answered with other types by the server")
            }
            Told::Columns(_) | Told::Nothing => Ok(None),
        }
    }

    fn read(self: Arc<Self>, reading: Reading) -> Batches {
        read(self, reading)
    }
}
