//! The connectors' own suite, over a real server.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use async_trait::async_trait;
use connectors::conformance::{FixtureTable, Place, run};
use connectors::{Connector, ConnectorError, Source};
use datafusion::prelude::SessionContext;
use harness::dataset::quote;
use harness::mariadb::{DATABASE, MariaDb};

/// A database of a server.
#[derive(Debug)]
struct Database {
    server: MariaDb,
}

impl Database {
    async fn fill(&self, table: &FixtureTable) {
        let admin = self.server.admin().await;
        let rows: Vec<String> = (0..table.rows.num_rows()).map(|row| values(&table.rows, row)).collect();
        for some in rows.chunks(1_000) {
            admin.run(&format!("INSERT INTO {} VALUES {}", quote(&table.name), some.join(", "))).await;
        }
    }
}

#[async_trait]
impl Place for Database {
    fn connector(&self) -> &'static dyn Connector {
        connectors::registry::connectors().into_iter().find(|connector| connector.kind() == "mysql").unwrap()
    }

    async fn load(&self, tables: &[FixtureTable]) -> Result<Arc<dyn Source>, ConnectorError> {
        let admin = self.server.admin().await;
        admin.run(&format!("DROP DATABASE {DATABASE}; CREATE DATABASE {DATABASE}; USE {DATABASE}")).await;
        for table in tables {
            let schema = table.rows.schema();
            let columns =
                schema.fields().iter().map(|field| format!("{} {}", quote(field.name()), sql_type(field.data_type())));
            let columns: Vec<String> = columns.collect();
            admin.run(&format!("CREATE TABLE {} ({})", quote(&table.name), columns.join(", "))).await;
            self.fill(table).await;
        }
        Ok(super::source(&self.server, "").await)
    }

    async fn load_encoded(&self, _: &[FixtureTable], label: &str) -> Result<Arc<dyn Source>, ConnectorError> {
        let mut options = self.server.options();
        options.insert("encoding".into(), label.into());
        connectors::registry::open("mysql", "fixture", options, std::path::Path::new("/")).await
    }

    async fn load_partitioned(&self, _: &FixtureTable, _: &str) -> Result<Arc<dyn Source>, ConnectorError> {
        Err(ConnectorError::Unsupported { feature: "directories".into(), advice: "none".into() })
    }

    /// The same table with other rows.
    async fn replace(&self, table: &FixtureTable) -> Result<(), ConnectorError> {
        self.server.admin().await.run(&format!("TRUNCATE {}", quote(&table.name))).await;
        self.fill(table).await;
        Ok(())
    }
}

fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Int64 => "bigint".into(),
        DataType::Utf8 => "varchar(250)".into(),
        DataType::Float64 => "double".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Date32 => "date".into(),
        DataType::Timestamp(_, None) => "datetime(6)".into(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision}, {scale})"),
        other => panic!("the fixture has no {other}"),
    }
}

fn values(rows: &RecordBatch, row: usize) -> String {
    let cells = rows.columns().iter().map(|column| match column.is_null(row) {
        true => "NULL".to_string(),
        false if *column.data_type() == DataType::Boolean => array_value_to_string(column, row).unwrap(),
        false => format!("'{}'", array_value_to_string(column, row).unwrap().replace('\'', "''")),
    });
    format!("({})", cells.collect::<Vec<_>>().join(", "))
}

/// Checks of the suite; a check that is dropped from it must be dropped here, too.
const CHECKS: usize = 18;

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_holds() {
    let place = Database { server: MariaDb::start().await };
    let state = SessionContext::new().state();
    match run(&place, &state).await {
        Ok(held) => assert_eq!(held.len(), CHECKS, "{held:?}"),
        Err(failures) => {
            let failures: Vec<_> = failures.iter().map(ToString::to_string).collect();
            panic!("{}", failures.join("\n"));
        }
    }
}
