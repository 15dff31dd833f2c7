//! A governed table for the tests of the barrier: 45 % of its rows are hidden, in every batch, and whatever is computed of
//! a hidden row fails or shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::ScalarValue;
use datafusion::common::config::TableParquetOptions;
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, col, lit};
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use policy::barrier::{BarrierId, Governed, PolicyBarrier};
use policy::decision::{ColumnDecision, Decision, GrantedBy, Release, RowFilter, Treatment};
use policy::mask::ColumnMask;
use policy::predicate::{Comparison, Filter, Side};
use policy::resource::TableName;

use crate::config::limits::Limits;
use crate::error::{Code, EngineError};
use crate::exec::physical_rules;
use crate::plan::aggregate_only;
use crate::plan::at_site::plan_at_site;
use crate::plan::verify_barriers::RegisteredBarriers;
use crate::session::declared::analyze;

/// Which rows the subject is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Every one: no row filter.
    All,
    /// `region = 'A'`: 55 %.
    Filtered,
    /// `region = 'Z'`: none.
    None,
}

pub(crate) struct World {
    pub(crate) ctx: SessionContext,
    pub(crate) governed: Arc<Governed>,
    scans: BTreeMap<BarrierId, LogicalPlan>,
    _files: Option<tempfile::TempDir>,
}

pub(crate) const ROWS: i64 = 2000;
/// The cost of hidden rows begins here.
pub(crate) const HIDDEN_COST: i64 = 900_000_000;

/// So many of any hundred rows in a row are shown.
const SHOWN_PERCENT: i64 = 55;

/// Of a hundred rows each has another rest, so that those that are shown lie among the others.
fn is_hidden(row: i64, shown_percent: i64) -> bool {
    (row * 61 + 60) % 100 >= shown_percent
}

/// `patient(pid, name, note, cost, region)`.
fn batch(rows: impl Iterator<Item = i64> + Clone, shown_percent: i64) -> RecordBatch {
    let is_hidden = |row: i64| is_hidden(row, shown_percent);
    let text = |of: &dyn Fn(i64) -> String| Arc::new(rows.clone().map(|row| Some(of(row))).collect::<StringArray>());
    let number = |of: &dyn Fn(i64) -> i64| Arc::new(rows.clone().map(|row| Some(of(row))).collect::<Int64Array>());
    let schema = Schema::new(vec![
        Field::new("pid", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("note", DataType::Utf8, true),
        Field::new("cost", DataType::Int64, true),
        Field::new("region", DataType::Utf8, true),
    ]);
    // Too long to be kept in a view itself.
    let name =
        |row: i64| if is_hidden(row) { format!("CANARY-{row}-hidden") } else { format!("name of patient {row}") };
    let note = |row: i64| if is_hidden(row) { format!("CANARY-{row}-hidden") } else { (row % 7).to_string() };
    let cost = |row: i64| if is_hidden(row) { HIDDEN_COST + row } else { row % 100 + 1 };
    let region = |row: i64| if is_hidden(row) { "B".to_string() } else { "A".to_string() };
    RecordBatch::try_new(
        Arc::new(schema),
        vec![number(&|row| row), text(&name), text(&note), number(&cost), text(&region)],
    )
    .unwrap()
}

fn column(name: &str, treatment: Treatment) -> ColumnDecision {
    ColumnDecision { name: name.into(), treatment, policies: vec![] }
}

/// `pid` is masked, `region` is hidden, the rest is clear.
pub(crate) fn governed(rows: Rows) -> Arc<Governed> {
    let table = TableName::new("health", "patient");
    let equals = |region: &str| RowFilter {
        filter: Filter::Compare(
            Side::Column("region".into()),
            Comparison::Equal,
            Side::Value(ScalarValue::from(region)),
        ),
        policies: vec!["own_regions".into()],
        reads: vec!["region".into()],
    };
    let decision = Decision {
        table: table.clone(),
        grant: GrantedBy { id: "g-0001".into(), until: None, rows_per_day: None, bytes_per_day: None },
        purpose: "care".into(),
        row_filter: match rows {
            Rows::All => None,
            Rows::Filtered => Some(equals("A")),
            Rows::None => Some(equals("Z")),
        },
        columns: vec![
            column("pid", Treatment::Masked(ColumnMask::ReplaceWithNull)),
            column("name", Treatment::Clear),
            column("note", Treatment::Clear),
            column("cost", Treatment::Clear),
            column("region", Treatment::Hidden),
        ],
        release: None,
        keys: vec![],
    };
    Arc::new(Governed { table, decision, id: BarrierId(1) })
}

/// Every row is there; `cost` only in aggregates over five `pid` or more, grouped by `note`.
pub(crate) fn bounded() -> Arc<Governed> {
    let mut governed = Governed::clone(&governed(Rows::All));
    let (low, high) = (ScalarValue::from(0_i64), ScalarValue::from(100_i64));
    governed.decision.columns[3] = column("cost", Treatment::AggregateOnly { low, high });
    governed.decision.release = Some(Release { min_group: 5, entity: "pid".into(), group_by: vec!["note".into()] });
    Arc::new(governed)
}

/// The treated scan: what stands inside a barrier.
pub(crate) fn treated(table: Arc<dyn TableProvider>, rows: Rows) -> LogicalPlan {
    let scan = LogicalPlanBuilder::scan("patient", provider_as_source(table), None).unwrap();
    let filtered = match rows {
        Rows::All => scan,
        Rows::Filtered => scan.filter(col("region").eq(lit("A"))).unwrap(),
        Rows::None => scan.filter(col("region").eq(lit("Z"))).unwrap(),
    };
    let pid = lit(ScalarValue::Int64(None)).alias("pid");
    filtered.project(vec![pid, col("name"), col("note"), col("cost")]).unwrap().build().unwrap()
}

fn session(config: SessionConfig) -> SessionContext {
    let state = SessionStateBuilder::new().with_config(config).with_default_features();
    SessionContext::new_with_state(state.with_physical_optimizer_rules(physical_rules(&Limits::default())).build())
}

/// The table as a file of several row groups.
async fn parquet(
    shown_percent: i64,
    config: SessionConfig,
) -> (SessionContext, Arc<dyn TableProvider>, tempfile::TempDir) {
    let ctx = session(config);
    let files = tempfile::tempdir().unwrap();
    let path = files.path().join("patient.parquet");
    let frame = ctx.read_batch(batch(0..ROWS, shown_percent)).unwrap();
    let mut options = TableParquetOptions::default();
    options.global.max_row_group_size = 256;
    frame.write_parquet(path.to_str().unwrap(), Default::default(), Some(options)).await.unwrap();
    ctx.register_parquet("raw", path.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
    let table = ctx.table_provider("raw").await.unwrap();
    (ctx, table, files)
}

impl World {
    pub(crate) fn in_memory(rows: Rows) -> Self {
        let batch = batch(0..ROWS, SHOWN_PERCENT);
        let table = Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap());
        let ctx = session(SessionConfig::new().with_target_partitions(2));
        Self::over(ctx, governed(rows), treated(table, rows), None)
    }

    pub(crate) async fn in_parquet(rows: Rows, config: SessionConfig) -> Self {
        let (ctx, table, files) = parquet(SHOWN_PERCENT, config).await;
        Self::over(ctx, governed(rows), treated(table, rows), Some(files))
    }

    /// Under this decision, and with this share of rows in region A.
    pub(crate) async fn in_parquet_as(decision: Decision, shown_percent: i64, config: SessionConfig) -> Self {
        let (ctx, table, files) = parquet(shown_percent, config).await;
        let scan = LogicalPlanBuilder::scan("patient", provider_as_source(table), None).unwrap().build().unwrap();
        let inside = policy::view::treat(&decision, scan, None).unwrap();
        let governed = Governed { table: decision.table.clone(), decision, id: BarrierId(1) };
        Self::over(ctx, Arc::new(governed), inside, Some(files))
    }

    /// The table as the subject sees it, with nothing else in it: what the answers must be.
    pub(crate) fn oracle(rows: Rows) -> Self {
        let visible = |row: &i64| match rows {
            Rows::All => true,
            Rows::Filtered => !is_hidden(*row, SHOWN_PERCENT),
            Rows::None => false,
        };
        let batch = batch((0..ROWS).filter(visible).collect::<Vec<_>>().into_iter(), SHOWN_PERCENT);
        let batches = if batch.num_rows() == 0 { vec![] } else { vec![batch.clone()] };
        let table = Arc::new(MemTable::try_new(batch.schema(), vec![batches]).unwrap());
        let ctx = session(SessionConfig::new().with_target_partitions(1));
        Self::over(ctx, governed(Rows::All), treated(table, Rows::All), None)
    }

    fn over(
        ctx: SessionContext,
        governed: Arc<Governed>,
        inside: LogicalPlan,
        files: Option<tempfile::TempDir>,
    ) -> Self {
        let bare = ViewTable::new(inside.clone(), None);
        ctx.register_table("unguarded", Arc::new(bare)).unwrap();
        let barrier = PolicyBarrier::new(Arc::clone(&governed), inside).into_plan();
        ctx.register_table("patient", Arc::new(ViewTable::new(barrier, None))).unwrap();
        Self { ctx, governed, scans: BTreeMap::new(), _files: files }
    }

    /// Every row is there, and `cost` in aggregates only: see [`bounded`].
    pub(crate) fn bounded() -> Self {
        let batch = batch(0..ROWS, SHOWN_PERCENT);
        let table = Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap());
        let scan = LogicalPlanBuilder::scan("patient", provider_as_source(table), None).unwrap().build().unwrap();
        let governed = bounded();
        let inside = policy::view::treat(&governed.decision, scan.clone(), None).unwrap();
        let barrier = PolicyBarrier::new(Arc::clone(&governed), inside).into_plan();
        let ctx = session(SessionConfig::new().with_target_partitions(2));
        ctx.register_table("patient", Arc::new(ViewTable::new(barrier, None))).unwrap();
        Self { ctx, scans: BTreeMap::from([(governed.id, scan)]), governed, _files: None }
    }

    /// Checked, under release, and verified.
    pub(crate) async fn released(&self, sql: &str) -> Result<Arc<dyn ExecutionPlan>, EngineError> {
        let state = self.ctx.state();
        let analyzed = analyze(&state, state.create_logical_plan(sql).await?, None)?;
        aggregate_only::check(&analyzed)?;
        let released = aggregate_only::release(analyzed, &self.scans, None)?.data;
        let request = RegisteredBarriers::new([Arc::clone(&self.governed)]);
        plan_at_site(&state, state.optimize(&released)?, &request).await
    }

    pub(crate) async fn logical(&self, sql: &str) -> LogicalPlan {
        self.ctx.state().create_logical_plan(sql).await.unwrap()
    }

    pub(crate) async fn plan(&self, sql: &str) -> Result<Arc<dyn ExecutionPlan>, EngineError> {
        let state = self.ctx.state();
        let optimized = state.optimize(&state.create_logical_plan(sql).await?)?;
        plan_at_site(&state, optimized, &RegisteredBarriers::new([Arc::clone(&self.governed)])).await
    }

    /// The rows in any order, or the code of the error.
    pub(crate) async fn ask(&self, sql: &str) -> Result<Vec<String>, Code> {
        let plan = self.plan(sql).await.map_err(|error| error.code())?;
        let answer = collect(plan, self.ctx.task_ctx()).await.map_err(|error| EngineError::of_running(error).code())?;
        let text = arrow::util::pretty::pretty_format_batches(&answer).unwrap().to_string();
        let mut lines: Vec<String> = text.lines().skip(3).map(|line| line.split_whitespace().collect()).collect();
        lines.sort();
        Ok(lines)
    }
}
