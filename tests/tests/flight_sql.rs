//! The `flight_sql` connector against a real foreign server, each test with one of its own: ROAPI, a DataFusion of another version
//! behind a door that others wrote.
//!
//! A target of its own behind the feature `roapi`, as the tests that need a PostgreSQL server. `tests/all` installs the program and
//! runs `cargo test --workspace --features chancery-tests/roapi --test flight_sql`; it is the one that `CHANCERY_ROAPI` names.
//! (Another node of Chancery as a server is a part of the other tests.)

#[path = "flight_sql/conformance.rs"]
mod conformance;
#[path = "flight_sql/describing.rs"]
mod describing;
#[path = "flight_sql/evaluated.rs"]
mod evaluated;
#[path = "flight_sql/federation.rs"]
mod federation;
#[path = "flight_sql/governed.rs"]
mod governed;
#[path = "flight_sql/reading.rs"]
mod reading;
#[path = "flight_sql/refusals.rs"]
mod refusals;
#[path = "flight_sql/types.rs"]
mod types;

use std::path::Path;
use std::sync::Arc;

use arrow::util::display::array_value_to_string;
use connectors::{ConnectorError, Source};
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};

async fn open(options: toml::Table) -> Arc<dyn Source> {
    connectors::registry::open("flight_sql", "lake", options, Path::new("/")).await.unwrap()
}

/// Options, and more of them.
fn with(mut options: toml::Table, more: &str) -> toml::Table {
    options.extend(more.parse::<toml::Table>().unwrap());
    options
}

/// A session over these tables of a source. Text is plain, as at a site.
async fn session(source: &Arc<dyn Source>, tables: &[&str]) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(2)
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
