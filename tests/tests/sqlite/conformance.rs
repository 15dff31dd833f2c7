//! The connectors' own suite, over a file.

use std::sync::Arc;

use async_trait::async_trait;
use connectors::conformance::{FixtureTable, Place, run};
use connectors::{Connector, ConnectorError, Source};
use datafusion::prelude::SessionContext;
use harness::dataset::quote;
use harness::sqlite::SqliteFile;

use super::open;

/// A file, written in one of its two ways.
#[derive(Debug)]
struct Database {
    file: SqliteFile,
}

#[async_trait]
impl Place for Database {
    fn connector(&self) -> &'static dyn Connector {
        connectors::registry::connectors().into_iter().find(|connector| connector.kind() == "sqlite").unwrap()
    }

    async fn load(&self, tables: &[FixtureTable]) -> Result<Arc<dyn Source>, ConnectorError> {
        for table in tables {
            self.file.run(&format!("DROP TABLE IF EXISTS {}", quote(&table.name)));
            self.file.load(&table.name, &table.rows.schema(), std::slice::from_ref(&table.rows));
        }
        Ok(open(self.file.options()).await)
    }

    async fn load_encoded(&self, _: &[FixtureTable], label: &str) -> Result<Arc<dyn Source>, ConnectorError> {
        let mut options = self.file.options();
        options.insert("encoding".into(), label.into());
        connectors::registry::open("sqlite", "fixture", options, std::path::Path::new("/")).await
    }

    async fn load_partitioned(&self, _: &FixtureTable, _: &str) -> Result<Arc<dyn Source>, ConnectorError> {
        Err(ConnectorError::Unsupported { feature: "directories".into(), advice: "none".into() })
    }

    /// The same table with other rows.
    async fn replace(&self, table: &FixtureTable) -> Result<(), ConnectorError> {
        self.file.run(&format!("DELETE FROM {}", quote(&table.name)));
        self.file.fill(&table.name, std::slice::from_ref(&table.rows));
        Ok(())
    }
}

/// Checks of the suite; a check that is dropped from it must be dropped here, too.
const CHECKS: usize = 18;

async fn check(file: SqliteFile) {
    let place = Database { file };
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
async fn the_suite_holds_with_a_rollback_journal() {
    check(SqliteFile::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suite_holds_in_wal_mode() {
    check(SqliteFile::with("PRAGMA journal_mode = WAL")).await;
}

/// Text has other bytes there, and only what is pushed differs.
#[tokio::test(flavor = "multi_thread")]
async fn the_suite_holds_in_utf_16() {
    let directory = SqliteFile::with("PRAGMA journal_mode = DELETE");
    std::fs::remove_file(directory.path()).unwrap();
    directory.run("PRAGMA encoding = 'UTF-16le'; CREATE TABLE first (n INTEGER); DROP TABLE first");
    let encoding: String = directory.connection().query_row("PRAGMA encoding", [], |row| row.get(0)).unwrap();
    assert_eq!(encoding, "UTF-16le");
    check_without_keys_of_text(directory).await;
}

/// Of the suite what is left where no text is a key.
async fn check_without_keys_of_text(file: SqliteFile) {
    let place = Database { file };
    let state = SessionContext::new().state();
    let failures = run(&place, &state).await.unwrap_err();
    let failed: Vec<_> = failures.iter().map(|failure| failure.check).collect();
    assert_eq!(failed, ["aggregate"], "{failures:?}");
    assert!(
        failures[0].message.contains("key: is of a type that is not known to be ordered alike there"),
        "{failures:?}"
    );
}
