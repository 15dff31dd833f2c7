//! A source's tables in a session of this process, with a site's settings: what a connector does, without a site around it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::array_value_to_string;
use connectors::connector::{ForeignKey, ReferentialAction};
use connectors::{ConnectorError, ReadScope, Source, TableDescription};
use datafusion::datasource::MemTable;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};

/// A session over these tables of a source. Text is plain, as at a site.
pub async fn session(source: &Arc<dyn Source>, tables: &[&str]) -> SessionContext {
    let config = SessionConfig::new()
        .with_target_partitions(4)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    let ctx = SessionContext::new_with_config(config);
    for table in tables {
        let provider = source.table(table).await.expect("a table of the source").provider;
        ctx.register_table(*table, provider).expect("a name that is free");
    }
    ctx
}

/// The same rows of one of its tables, read whole and kept in memory.
pub async fn in_memory(ctx: &SessionContext, table: &str) -> SessionContext {
    let frame = ctx.table(table).await.expect("a table of the session");
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await.expect("rows");
    let memory = SessionContext::new_with_config(ctx.copied_config());
    let rows = MemTable::try_new(schema, vec![batches]).expect("rows of one schema");
    memory.register_table(table, Arc::new(rows)).expect("a name that is free");
    memory
}

/// The answer to `sql`, a line a row, `|` between cells.
///
/// # Errors
/// What DataFusion or the source says.
pub async fn rows(ctx: &SessionContext, sql: &str) -> Result<String, DataFusionError> {
    Ok(lines(&ctx.sql(sql).await?.collect().await?))
}

/// A line for each foreign key of a description.
pub fn foreign_keys(description: &TableDescription) -> Vec<String> {
    let action = |action: Option<ReferentialAction>| action.map_or("?", ReferentialAction::as_sql);
    let line = |key: &ForeignKey| {
        let (columns, referenced) = (key.columns.join(", "), key.referenced.join(", "));
        let (update, delete) = (action(key.on_update), action(key.on_delete));
        format!("{columns} -> {}({referenced}) {update} {delete}", key.table)
    };
    description.foreign_keys.iter().map(line).collect()
}

/// A line for each row, its cells with bars between them.
pub fn lines(batches: &[RecordBatch]) -> String {
    let mut lines = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|column| match column.is_null(row) {
                true => "NULL".to_string(),
                false => array_value_to_string(column, row).expect("a value in words"),
            });
            lines.push(cells.collect::<Vec<_>>().join("|"));
        }
    }
    lines.join("\n")
}

/// What reads all of a table.
pub async fn plan(ctx: &SessionContext, table: &str) -> Arc<dyn ExecutionPlan> {
    let frame = ctx.table(table).await.expect("a table of the session");
    frame.create_physical_plan().await.expect("a plan")
}

/// A task of the session, whose scans share what is in `scope`.
pub fn within(ctx: &SessionContext, scope: Option<Arc<ReadScope>>) -> Arc<TaskContext> {
    let mut state = ctx.state();
    if let Some(scope) = scope {
        state.config_mut().set_extension(scope);
    }
    state.task_ctx()
}

/// The connector's error under whatever DataFusion has wrapped it in.
pub fn ours(error: &DataFusionError) -> &ConnectorError {
    ConnectorError::find(error).unwrap_or_else(|| panic!("not ours: {error:?}"))
}
