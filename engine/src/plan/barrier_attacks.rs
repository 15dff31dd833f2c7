//! Attacks on the barrier at the level of plans (L1–L4, L10–L12; A1–A5, A7): what a statement tells must be what it tells
//! over a table that holds the visible rows and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow_flight::utils::batches_to_flight_data;
use datafusion::common::stats::Precision;
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{ExecutionPlan, collect, displayable};
use datafusion::prelude::SessionConfig;
use policy::decision::{Decision, Treatment};
use policy::mask::ColumnMask;
use policy::value::Value;

use crate::error::Code;
use crate::flight::rebuild::rebuild;
use crate::flight::wire_types::wire_schema;
use crate::plan::barrier_fixture::{HIDDEN_COST, ROWS, Rows, World, governed};

/// Each fails, or has other rows, when it is computed of a hidden row.
const ATTACKS: &[&str] = &[
    // A1, A2: casts, written and implied.
    "SELECT name FROM patient WHERE CAST(note AS BIGINT) > 0",
    "SELECT name FROM patient WHERE note > 5",
    "SELECT name FROM patient WHERE note BETWEEN 1 AND 2",
    "SELECT name FROM patient WHERE note = cost",
    "SELECT name FROM patient JOIN (VALUES (5)) v(x) ON note = x",
    // A3, A4: division, CASE, order of AND and OR.
    "SELECT name FROM patient WHERE 1 / (cost - 900000007) >= 0",
    "SELECT name FROM patient WHERE CASE WHEN cost = 900000007 THEN 1 / (cost - 900000007) ELSE 1 END = 1",
    "SELECT name FROM patient WHERE cost < 50 OR 1 / (cost - 900000007) = 0",
    "SELECT name FROM patient WHERE 1 / (cost - 900000007) = 0 AND coalesce(CAST(note AS INT), 1) < 5",
    // A5: fallible functions.
    "SELECT name FROM patient WHERE CAST(cost AS TINYINT) > 0",
    "SELECT name FROM patient WHERE arrow_cast(note, 'Int64') > 0",
    "SELECT name FROM patient WHERE factorial(cost - 899999990) >= 0",
    "SELECT name FROM patient WHERE to_timestamp(note) IS NOT NULL",
    // No column at all: an extension node of DataFusion's lets it through.
    "SELECT name FROM patient WHERE 1 / 0 > 0",
    "SELECT name FROM patient WHERE (SELECT count(*) FROM patient) > 5",
    // Aggregates, joins, top rows, windows.
    "SELECT min(cost), max(cost), count(*) FROM patient",
    "SELECT a.name FROM patient a JOIN patient b ON a.cost = b.cost WHERE b.cost = 7",
    "SELECT cost FROM patient ORDER BY cost DESC LIMIT 3",
    "SELECT pid, count(DISTINCT note) FROM patient GROUP BY pid",
    "SELECT cost, rank() OVER (ORDER BY cost DESC) AS r FROM patient ORDER BY r, cost LIMIT 20",
    "SELECT count(*) FROM patient WHERE pid = 7",
    "SELECT count(*) FROM patient",
];

async fn differing(world: &World, rows: Rows, attacks: &[String]) -> Vec<String> {
    let oracle = World::oracle(rows);
    let mut differing = Vec::new();
    for attack in attacks {
        let expected = oracle.ask(&attack.replace("unguarded", "patient")).await;
        let answer = world.ask(attack).await;
        if answer != expected {
            differing.push(format!("{attack}: {answer:?} instead of {expected:?}"));
        }
    }
    differing
}

fn attacks() -> Vec<String> {
    ATTACKS.iter().map(|attack| (*attack).to_string()).collect()
}

#[tokio::test]
async fn in_memory_no_statement_tells_of_hidden_rows() {
    for rows in [Rows::All, Rows::Filtered, Rows::None] {
        assert_eq!(differing(&World::in_memory(rows), rows, &attacks()).await, Vec::<String>::new(), "{rows:?}");
    }
}

#[tokio::test]
async fn a7_in_parquet_under_sixteen_configurations() {
    for bits in 0..16_u8 {
        let bit = |position: u8| bits & (1 << position) != 0;
        let mut config = SessionConfig::new()
            .with_target_partitions(if bit(0) { 1 } else { 8 })
            .with_batch_size(if bit(1) { 64 } else { 8192 });
        config.options_mut().execution.parquet.pushdown_filters = bit(2);
        config.options_mut().execution.parquet.reorder_filters = bit(3);
        let world = World::in_parquet(Rows::Filtered, config).await;
        assert_eq!(differing(&world, Rows::Filtered, &attacks()).await, Vec::<String>::new(), "{bits:04b}");
    }
}

#[tokio::test]
async fn without_the_barrier_the_same_attacks_tell() {
    let unguarded: Vec<String> = attacks().iter().map(|attack| attack.replace("patient", "unguarded")).collect();
    let world = World::in_memory(Rows::Filtered);
    assert!(differing(&world, Rows::Filtered, &unguarded).await.len() >= 5);
}

#[tokio::test]
async fn an_empty_table_and_one_whose_rows_are_all_hidden_look_alike() {
    let world = World::in_memory(Rows::None);
    assert_eq!(world.ask("SELECT name FROM patient WHERE 1 / 0 > 0").await, Ok(vec![]));
}

async fn physical(rows: Rows, sql: &str) -> String {
    let world = World::in_parquet(rows, SessionConfig::new().with_target_partitions(1)).await;
    displayable(world.plan(sql).await.unwrap().as_ref()).indent(true).to_string()
}

#[tokio::test]
async fn l10_a_joins_dynamic_filter_goes_below_only_where_nothing_is_hidden() {
    let join = "SELECT v.x, name FROM (VALUES (5), (6)) v(x) JOIN patient ON cost = x";
    assert!(physical(Rows::All, join).await.contains("DynamicFilter"));
    assert!(!physical(Rows::Filtered, join).await.contains("DynamicFilter"));
}

#[tokio::test]
async fn l11_l12_no_answer_and_no_plan_is_made_of_statistics() {
    for rows in [Rows::All, Rows::Filtered] {
        let plan = physical(rows, "SELECT min(cost), max(cost), count(*) FROM patient").await;
        assert!(plan.contains("PolicyBarrierExec"), "{plan}");
    }
    let mut config = SessionConfig::new();
    config.options_mut().explain.show_statistics = true;
    let world = World::in_parquet(Rows::Filtered, config).await;
    let plan = world.plan("SELECT name FROM patient WHERE cost > 3").await.unwrap();
    let text = displayable(plan.as_ref()).set_show_statistics(true).indent(true).to_string();
    let above: String = text.lines().take_while(|line| !line.contains("FilterExec: region")).collect();
    assert!(!above.contains("Min=") && !above.contains("Rows=Exact"), "{text}");
}

fn barrier(plan: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let is_one = plan.name() == "PolicyBarrierExec";
    if is_one { Some(Arc::clone(plan)) } else { plan.children().into_iter().find_map(barrier) }
}

#[tokio::test]
async fn a_barrier_tells_bytes_that_no_hidden_value_has_a_part_in() {
    let bytes = async |decision: Decision, sql: &str| {
        let world = World::in_parquet_as(decision, 55, SessionConfig::new()).await;
        let barrier = barrier(&world.plan(sql).await.unwrap()).unwrap();
        let told = StatisticsContext::new().compute(barrier.as_ref(), &StatisticsArgs::new()).unwrap().total_byte_size;
        assert!(!matches!(told, Precision::Exact(_)), "{told:?}");
        told.get_value().copied()
    };
    const TEXTS: &str = "SELECT note, cost FROM patient";
    const NUMBERS: &str = "SELECT pid, cost FROM patient";
    let of_numbers = Some(16 * usize::try_from(ROWS).unwrap());
    let all = |treatment| with_cost(Rows::All, treatment);
    let null = || Treatment::Masked(ColumnMask::ReplaceWithNull);
    assert_eq!(bytes(all(Treatment::Clear), NUMBERS).await, of_numbers);
    assert_eq!(bytes(all(null()), NUMBERS).await, of_numbers);
    assert_eq!(bytes(all(null()), TEXTS).await, None);
    assert_eq!(bytes(with_cost(Rows::Filtered, Treatment::Clear), NUMBERS).await, None);
}

#[tokio::test]
async fn a_plan_around_the_barrier_is_refused() {
    let world = World::in_parquet(Rows::Filtered, SessionConfig::new()).await;
    assert_eq!(world.ask("SELECT name FROM unguarded").await, Err(Code::Internal));
}

/// The decision of the fixture with this treatment of `cost`.
fn with_cost(rows: Rows, treatment: Treatment) -> Decision {
    let mut decision = governed(rows).decision.clone();
    let cost = decision.columns.iter_mut().find(|column| column.name == "cost").unwrap();
    cost.treatment = treatment;
    decision
}

/// What the files' readers have counted, by name, times left out: bytes, row groups and pages pruned, rows.
fn counted(plan: &Arc<dyn ExecutionPlan>) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for input in plan.children() {
        for (name, count) in counted(input) {
            *counts.entry(name).or_default() += count;
        }
    }
    if plan.name() == "DataSourceExec" {
        for metric in plan.metrics().unwrap().aggregate_by_name().iter() {
            let name = metric.value().name().to_string();
            if !name.contains("time") && !name.contains("compute") {
                *counts.entry(name).or_default() += metric.value().as_usize();
            }
        }
    }
    counts
}

async fn scanned(decision: &Decision, bound: i64) -> BTreeMap<String, usize> {
    let config = SessionConfig::new().with_target_partitions(1);
    let world = World::in_parquet_as(decision.clone(), 55, config).await;
    let plan = world.plan(&format!("SELECT note FROM patient WHERE cost > {bound}")).await.unwrap();
    collect(Arc::clone(&plan), world.ctx.task_ctx()).await.unwrap();
    counted(&plan)
}

/// A24: a scan that skipped what a masked column cannot satisfy would tell of raw values by what it reads.
#[tokio::test]
async fn a24_a_predicate_on_a_masked_column_prunes_nothing() {
    // No cost is above a thousand million, and every one is above one.
    const NONE: i64 = 1_000_000_000;
    for rows in [Rows::All, Rows::Filtered] {
        for mask in [ColumnMask::Bucket(Value::Integer(1_000)), ColumnMask::ReplaceWithNull] {
            let decision = with_cost(rows, Treatment::Masked(mask));
            let (all, none) = (scanned(&decision, 1).await, scanned(&decision, NONE).await);
            assert!(all["bytes_scanned"] > 0, "{all:?}");
            assert_eq!(all, none, "{rows:?}");
        }
    }
    // With the rows filtered, of a clear column too; where nothing is hidden, pruning is at work.
    let clear = with_cost(Rows::Filtered, Treatment::Clear);
    assert_eq!(scanned(&clear, 1).await, scanned(&clear, NONE).await);
    let clear = with_cost(Rows::All, Treatment::Clear);
    assert!(scanned(&clear, NONE).await["bytes_scanned"] < scanned(&clear, 1).await["bytes_scanned"]);
}

/// The first hidden text or cost among the bytes that batches have on the wire.
fn hidden_value(batches: &[RecordBatch]) -> Option<String> {
    let schema = Arc::clone(batches.first()?.schema_ref());
    let frames = batches_to_flight_data(&schema, batches.to_vec()).unwrap();
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.data_body.iter().copied()).collect();
    let costs = HIDDEN_COST..HIDDEN_COST + ROWS;
    let is_hidden =
        |eight: &[u8]| eight.starts_with(b"CANARY-") || costs.contains(&i64::from_le_bytes(eight.try_into().unwrap()));
    bytes.windows(8).find(|eight| is_hidden(eight)).map(|eight| eight.escape_ascii().to_string())
}

/// A26: whatever share of rows is hidden, and whether the reader or a filter leaves them out.
#[tokio::test]
async fn a26_no_byte_of_a_hidden_row_is_left_in_what_leaves() {
    const STATEMENTS: [&str; 5] = [
        "SELECT * FROM patient",
        "SELECT name, note, cost FROM patient LIMIT 3",
        "SELECT name FROM patient LIMIT 1",
        "SELECT name, cost FROM patient ORDER BY cost, name LIMIT 1 OFFSET 2",
        "SELECT substr(name, 1, 4) AS part, nullif(name, name) AS nothing FROM patient WHERE cost < 50",
    ];
    let mut left_without_rebuilding = 0;
    for shown_percent in [1, 10, 50, 90, 99] {
        for pushdown in [false, true] {
            let mut config = SessionConfig::new().with_target_partitions(1);
            config.options_mut().execution.parquet.pushdown_filters = pushdown;
            let decision = governed(Rows::Filtered).decision.clone();
            let world = World::in_parquet_as(decision, shown_percent, config).await;
            for sql in STATEMENTS {
                let plan = world.plan(sql).await.unwrap();
                let batches = collect(plan, world.ctx.task_ctx()).await.unwrap();
                let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
                assert!(rows > 0, "{sql} at {shown_percent} %");
                let rebuilt = rebuild(&batches, &wire_schema(&batches[0].schema())).unwrap();
                let found = hidden_value(&[rebuilt]);
                assert_eq!(found, None, "{sql} at {shown_percent} %, pushdown {pushdown}");
                left_without_rebuilding += usize::from(hidden_value(&batches).is_some());
            }
        }
    }
    assert!(
        left_without_rebuilding > 10,
        "without rebuilding only {left_without_rebuilding} answers hold a hidden byte"
    );
}
