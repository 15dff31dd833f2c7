//! A source opened and asked without a site: what its own tests stand on.

use std::path::Path;
use std::sync::Arc;

use arrow::util::display::array_value_to_string;
use connectors::{ConnectorError, Source};
use datafusion::error::DataFusionError;
use datafusion::prelude::{SessionConfig, SessionContext};

/// Opens a source of a kind.
pub async fn open(kind: &str, options: toml::Table) -> Arc<dyn Source> {
    connectors::registry::open(kind, "registry", options, Path::new("/")).await.expect("options without a fault")
}

/// A session over these tables of a source. Text is plain, as at a site.
pub async fn session(source: &Arc<dyn Source>, tables: &[&str]) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(4)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    let ctx = SessionContext::new_with_config(config);
    for table in tables {
        let provider = source.table(table).await.expect("the table is there").provider;
        ctx.register_table(*table, provider).expect("a new name");
    }
    ctx
}

/// The answer to `sql`, a line a row, `|` between cells.
///
/// # Errors
/// What the statement or its sources met.
pub async fn rows(ctx: &SessionContext, sql: &str) -> Result<String, DataFusionError> {
    let batches = ctx.sql(sql).await?.collect().await?;
    let mut lines = Vec::new();
    for batch in &batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| match column.is_null(row) {
                true => "NULL".to_string(),
                false => array_value_to_string(column, row).expect("every type is shown"),
            });
            lines.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    Ok(lines.join("\n"))
}

/// The connector's error under whatever DataFusion has wrapped it in.
pub fn ours(error: &DataFusionError) -> &ConnectorError {
    ConnectorError::find(error).unwrap_or_else(|| panic!("not ours: {error:?}"))
}
