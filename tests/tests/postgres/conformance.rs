//! The connectors' own suite, over a real server.

use std::sync::Arc;

use async_trait::async_trait;
use connectors::conformance::{FixtureTable, Place, run};
use connectors::{Connector, ConnectorError, Source};
use datafusion::prelude::SessionContext;
use harness::dataset::quote;
use harness::postgres::Postgres;

/// A schema of a server.
#[derive(Debug)]
struct Database {
    server: Postgres,
}

#[async_trait]
impl Place for Database {
    fn connector(&self) -> &'static dyn Connector {
        connectors::registry::connectors().into_iter().find(|connector| connector.kind() == "postgres").unwrap()
    }

    async fn load(&self, tables: &[FixtureTable]) -> Result<Arc<dyn Source>, ConnectorError> {
        let admin = self.server.admin().await;
        admin.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
        for table in tables {
            admin.load(&quote(&table.name), &table.rows.schema(), std::slice::from_ref(&table.rows)).await;
        }
        admin.run("ANALYZE").await;
        Ok(super::source(&self.server, "").await)
    }

    async fn load_encoded(&self, _: &[FixtureTable], label: &str) -> Result<Arc<dyn Source>, ConnectorError> {
        let mut options = self.server.options("public");
        options.insert("encoding".into(), label.into());
        connectors::registry::open("postgres", "fixture", options, std::path::Path::new("/")).await
    }

    async fn load_partitioned(&self, _: &FixtureTable, _: &str) -> Result<Arc<dyn Source>, ConnectorError> {
        Err(ConnectorError::Unsupported { feature: "directories".into(), advice: "none".into() })
    }

    /// The same table with other rows.
    async fn replace(&self, table: &FixtureTable) -> Result<(), ConnectorError> {
        let (admin, name) = (self.server.admin().await, quote(&table.name));
        admin.run(&format!("TRUNCATE {name}")).await;
        admin.fill(&name, std::iter::once(table.rows.clone())).await;
        Ok(())
    }
}

/// Checks of the suite; a check that is dropped from it must be dropped here, too.
const CHECKS: usize = 18;

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_holds() {
    let place = Database { server: Postgres::start().await };
    let state = SessionContext::new().state();
    match run(&place, &state).await {
        Ok(held) => assert_eq!(held.len(), CHECKS, "{held:?}"),
        Err(failures) => {
            let failures: Vec<_> = failures.iter().map(ToString::to_string).collect();
            panic!("{}", failures.join("\n"));
        }
    }
}
