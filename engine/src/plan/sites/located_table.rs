//! Tables in memory that answer for a site, so that tests can run what the rewrites make of a plan.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Result, ScalarValue, Statistics};
use datafusion::datasource::{MemTable, source_as_provider};
use datafusion::execution::session_state::SessionState;
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::{Accumulator, Expr, LogicalPlan, TableType};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::Sites;
use crate::catalog::site_table::SiteId;
use crate::command::demo::tpch;
use crate::plan::group_joins::optimizer_after;

/// A table of `site` whose rows are here.
#[derive(Debug)]
pub(crate) struct LocatedTable {
    site: SiteId,
    rows: MemTable,
    statistics: Statistics,
}

impl LocatedTable {
    pub(crate) fn new(site: &str, batch: RecordBatch) -> Self {
        let statistics = Statistics {
            num_rows: Precision::Exact(batch.num_rows()),
            total_byte_size: Precision::Absent,
            column_statistics: batch.columns().iter().map(column_statistics).collect(),
        };
        let rows = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        Self { site: SiteId::new(site), rows, statistics }
    }
}

fn column_statistics(column: &arrow::array::ArrayRef) -> ColumnStatistics {
    let options = FormatOptions::default();
    let text = ArrayFormatter::try_new(column, &options).unwrap();
    let values: HashSet<String> = (0..column.len()).map(|row| text.value(row).to_string()).collect();
    ColumnStatistics {
        null_count: Precision::Exact(column.null_count()),
        min_value: result_of(MinAccumulator::try_new(column.data_type()).unwrap(), column),
        max_value: result_of(MaxAccumulator::try_new(column.data_type()).unwrap(), column),
        distinct_count: Precision::Exact(values.len()),
        ..ColumnStatistics::new_unknown()
    }
}

fn result_of(mut extreme: impl Accumulator, column: &arrow::array::ArrayRef) -> Precision<ScalarValue> {
    extreme.update_batch(std::slice::from_ref(column)).unwrap();
    Precision::Exact(extreme.evaluate().unwrap())
}

#[async_trait]
impl TableProvider for LocatedTable {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.statistics.clone())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.rows.scan(state, projection, filters, limit).await
    }
}

/// The sites of located tables.
pub(crate) fn sites() -> Sites {
    Sites::new(|scan| {
        let provider: Arc<dyn std::any::Any + Send + Sync> = source_as_provider(&scan.source).ok()?;
        provider.downcast::<LocatedTable>().ok().map(|table| table.site.clone())
    })
}

/// A session with `tables`: site, name, rows.
pub(crate) fn session(tables: Vec<(&str, &str, RecordBatch)>) -> SessionContext {
    let ctx = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    for (site, name, batch) in tables {
        ctx.register_table(name, Arc::new(LocatedTable::new(site, batch))).unwrap();
    }
    ctx
}

/// The plan of `sql` as DataFusion's optimizer leaves it.
pub(crate) async fn optimized(state: &SessionState, sql: &str) -> LogicalPlan {
    let plan = state.create_logical_plan(sql).await.unwrap();
    state.optimize(&plan).unwrap()
}

/// `plan` with the projections that the pipeline adds after the rewrites.
pub(crate) fn polished(state: &SessionState, plan: LogicalPlan) -> LogicalPlan {
    optimizer_after().optimize(plan, state, |_, _| {}).unwrap()
}

/// The rows of `plan` as text, in no order; `plan` runs as it is, the optimizer does not see it again.
pub(crate) async fn rows(state: &SessionState, plan: &LogicalPlan) -> Vec<String> {
    let physical = state.query_planner().create_physical_plan(plan, state).await.unwrap();
    let schema = physical.schema();
    let batches = collect(physical, state.task_ctx()).await.unwrap();
    let batch = concat_batches(&schema, &batches).unwrap();
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let row = |index: usize| columns.iter().map(|column| column.value(index).to_string()).collect::<Vec<_>>().join("|");
    let mut rows: Vec<String> = (0..batch.num_rows()).map(row).collect();
    rows.sort();
    rows
}

/// TPC-H at scale factor 0.01 in the layout V3: site sales has customer and orders, logistics lineitem, supply the rest.
pub(crate) fn tpch_session() -> SessionContext {
    static TABLES: OnceLock<Vec<(&str, &str, RecordBatch)>> = OnceLock::new();
    session(TABLES.get_or_init(tpch_tables).clone())
}

fn tpch_tables() -> Vec<(&'static str, &'static str, RecordBatch)> {
    const SCALE: f64 = 0.01;
    let table = |(site, name): (&'static str, &'static str)| {
        let (schema, batches) = tpch::batches(name, SCALE).unwrap();
        let batches: Vec<RecordBatch> = batches.collect::<Result<_, _>>().unwrap();
        (site, name, concat_batches(&schema, &batches).unwrap())
    };
    tpch::LAYOUT.into_iter().map(table).collect()
}
