//! The `postgres` connector against a real server, each test with a cluster of its own.
//!
//! A target of its own behind the feature `postgres`: `cargo test --workspace` runs what needs Rust alone, and a test that is
//! not run must not look like one that passed. `tests/all` installs a server and runs
//! `cargo test --workspace --features chancery-tests/postgres --test postgres`.

#[path = "postgres/conformance.rs"]
mod conformance;
#[path = "postgres/describing.rs"]
mod describing;
#[path = "postgres/evaluated.rs"]
mod evaluated;
#[path = "postgres/federation.rs"]
mod federation;
#[path = "postgres/filters.rs"]
mod filters;
#[path = "postgres/governed.rs"]
mod governed;
#[path = "postgres/reading.rs"]
mod reading;
#[path = "postgres/refusals.rs"]
mod refusals;
#[path = "postgres/types.rs"]
mod types;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::util::display::array_value_to_string;
use connectors::{ConnectorError, Source};
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};
use harness::postgres::{Admin, Postgres};

/// How long something may take that happens at once, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);

async fn open(options: toml::Table) -> Arc<dyn Source> {
    connectors::registry::open("postgres", "registry", options, Path::new("/")).await.unwrap()
}

/// A source over the schema `public`, with more options.
async fn source(server: &Postgres, more: &str) -> Arc<dyn Source> {
    let mut options = server.options("public");
    options.extend(more.parse::<toml::Table>().unwrap());
    open(options).await
}

/// A session over these tables of a source. Text is plain, as at a site.
async fn session(source: &Arc<dyn Source>, tables: &[&str]) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(4)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    let ctx = SessionContext::new_with_config(config);
    for table in tables {
        let provider = source.table(table).await.unwrap().provider;
        ctx.register_table(*table, provider).unwrap();
    }
    ctx
}

/// The answer to `sql`, a line a row, `|` between cells.
async fn rows(ctx: &SessionContext, sql: &str) -> Result<String, DataFusionError> {
    let batches = ctx.sql(sql).await?.collect().await?;
    let mut lines = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| match column.is_null(row) {
                true => "NULL".to_string(),
                false => array_value_to_string(column, row).unwrap(),
            });
            lines.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    Ok(lines.join("\n"))
}

/// The connector's error under whatever DataFusion has wrapped it in.
fn ours(error: &DataFusionError) -> &ConnectorError {
    ConnectorError::find(error).unwrap_or_else(|| panic!("not ours: {error:?}"))
}

/// Waits until the answer of the server is `expect`.
async fn wait_until(admin: &Admin, sql: &str, expect: &str) {
    let began = Instant::now();
    while admin.value(sql).await != expect {
        assert!(began.elapsed() < SOON, "`{sql}` is still {}", admin.value(sql).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many of our sessions the server is working for.
const AT_WORK: &str = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'chancery' AND state <> 'idle'";
