//! The connectors' own suite, over a real server.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use connectors::conformance::{FixtureTable, Place, run};
use connectors::{Connector, ConnectorError, Source};
use datafusion::prelude::SessionContext;
use harness::roapi::{Roapi, Served};

use super::open;

/// The server, and what it is opened with beside its address.
#[derive(Debug)]
struct Lake {
    server: Mutex<Roapi>,
    engine: Option<&'static str>,
}

impl Lake {
    fn new(engine: Option<&'static str>) -> Self {
        let nothing = Served::new("nothing", &arrow::array::RecordBatch::new_empty(super::reading::schema()));
        Self { server: Mutex::new(Roapi::start(&[nothing])), engine }
    }

    fn options(&self) -> toml::Table {
        let mut options = self.server.lock().unwrap().options();
        options.remove("engine");
        options.extend(self.engine.map(|engine| ("engine".to_string(), engine.into())));
        options
    }
}

fn served(table: &FixtureTable) -> Served {
    Served::new(&table.name, &table.rows)
}

#[async_trait]
impl Place for Lake {
    fn connector(&self) -> &'static dyn Connector {
        connectors::registry::connectors().into_iter().find(|connector| connector.kind() == "flight_sql").unwrap()
    }

    async fn load(&self, tables: &[FixtureTable]) -> Result<Arc<dyn Source>, ConnectorError> {
        self.server.lock().unwrap().serve(&tables.iter().map(served).collect::<Vec<_>>());
        Ok(open(self.options()).await)
    }

    async fn load_encoded(&self, _: &[FixtureTable], label: &str) -> Result<Arc<dyn Source>, ConnectorError> {
        let mut options = self.options();
        options.insert("encoding".into(), label.into());
        connectors::registry::open("flight_sql", "fixture", options, std::path::Path::new("/")).await
    }

    async fn load_partitioned(&self, _: &FixtureTable, _: &str) -> Result<Arc<dyn Source>, ConnectorError> {
        Err(ConnectorError::Unsupported { feature: "directories".into(), advice: "none".into() })
    }

    async fn replace(&self, table: &FixtureTable) -> Result<(), ConnectorError> {
        self.server.lock().unwrap().replace(&served(table));
        Ok(())
    }
}

/// Checks of the suite; a check that is dropped from it must be dropped here, too.
const CHECKS: usize = 18;

async fn check(engine: Option<&'static str>) {
    let place = Lake::new(engine);
    let state = SessionContext::new().state();
    match run(&place, &state).await {
        Ok(held) => assert_eq!(held.len(), CHECKS, "{held:?}"),
        Err(failures) => {
            let failures: Vec<_> = failures.iter().map(ToString::to_string).collect();
            panic!("{}", failures.join("\n"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_holds() {
    check(Some("datafusion")).await;
}

/// The server is the same, and nothing is known of its engine: it claims less, and does less.
#[tokio::test(flavor = "multi_thread")]
async fn the_suite_holds_of_an_unknown_engine() {
    check(None).await;
}
