//! What passes the gate, and what is refused.

use std::collections::BTreeMap as Versions;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use connectors::pushdown::TableReadExec;
use datafusion::common::Statistics;
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, ParquetSource};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::functions_aggregate::min_max::max_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::{AggregateUDF, Expr, Operator, col as logical_col, lit as logical_lit};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use datafusion::physical_expr::expressions::{DynamicFilterPhysicalExpr, binary, col, lit};
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use policy::predicate::Filter;

use super::*;
use crate::catalog::site_table::SiteId;
use crate::exec::release::ReleaseExec;
use crate::exec::remote_scan::{Fragment, Reduction, RemoteScanExec};
use crate::plan::barrier_fixture::{Rows, bounded, governed};

type Plan = Arc<dyn ExecutionPlan>;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("cost", DataType::Int64, true), Field::new("region", DataType::Utf8, true)]))
}

fn scan() -> Plan {
    MemorySourceConfig::try_new_exec(&[vec![]], schema(), None).unwrap()
}

fn foreign() -> Plan {
    Arc::new(RemoteScanExec::new(Arc::new(Fragment {
        site: SiteId::new("a"),
        statement: "SELECT 1".into(),
        reduction: Reduction::default(),
        keys_to: Vec::new(),
        schema: schema(),
        versions: Arc::new(Versions::new()),
        statistics: Arc::new(Statistics::new_unknown(&schema())),
    })))
}

fn compare(column: &str, value: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
    binary(col(column, &schema()).unwrap(), Operator::Eq, value, &schema()).unwrap()
}

fn filter(predicate: Arc<dyn PhysicalExpr>, input: Plan) -> Plan {
    Arc::new(FilterExec::try_new(predicate, input).unwrap())
}

fn row_filter(input: Plan) -> Plan {
    filter(compare("region", lit("A")), input)
}

fn project(column: &str, input: Plan) -> Plan {
    let column = (col(column, &input.schema()).unwrap(), column.to_string());
    Arc::new(ProjectionExec::try_new(vec![column], input).unwrap())
}

fn barrier(rows: Rows, input: Plan) -> Plan {
    Arc::new(PolicyBarrierExec::new(governed(rows), input))
}

fn check(plan: Plan) -> Result<()> {
    verify_barriers(&plan, &RegisteredBarriers::new([governed(Rows::Filtered)]))
}

fn check_open(plan: Plan) -> Result<()> {
    verify_barriers(&plan, &RegisteredBarriers::new([governed(Rows::All)]))
}

#[test]
fn a_row_filter_under_its_barrier_passes() {
    assert!(check(barrier(Rows::Filtered, project("cost", row_filter(scan())))).is_ok());
    let above = filter(compare("cost", lit(3_i64)), barrier(Rows::Filtered, row_filter(scan())));
    assert!(check(project("cost", above)).is_err(), "the hidden column `region` leaves");
}

#[test]
fn what_is_refused() {
    let fine = || project("cost", row_filter(scan()));
    let dynamic: Arc<dyn PhysicalExpr> =
        Arc::new(DynamicFilterPhysicalExpr::new(vec![col("region", &schema()).unwrap()], compare("region", lit("A"))));
    let both = binary(compare("region", lit("A")), Operator::And, compare("region", lit("B")), &schema()).unwrap();
    let sort = SortExec::new(
        [datafusion::physical_expr::PhysicalSortExpr::new_default(col("cost", &schema()).unwrap())].into(),
        row_filter(scan()),
    );
    for (case, plan) in [
        ("no barrier over a foreign leaf", foreign()),
        ("two barriers", barrier(Rows::Filtered, barrier(Rows::Filtered, fine()))),
        ("a foreign leaf below", barrier(Rows::Filtered, project("cost", row_filter(foreign())))),
        ("a dynamic filter below", barrier(Rows::Filtered, project("cost", filter(dynamic, scan())))),
        ("a user's conjunct beside the row filter", barrier(Rows::Filtered, project("cost", filter(both, scan())))),
        (
            "a user's filter below",
            barrier(Rows::Filtered, project("cost", filter(compare("cost", lit(3_i64)), row_filter(scan())))),
        ),
        ("no row filter", barrier(Rows::Filtered, project("cost", scan()))),
        ("a limit below", barrier(Rows::Filtered, Arc::new(LocalLimitExec::new(fine(), 3)))),
        ("an operator that is not listed", barrier(Rows::Filtered, project("cost", Arc::new(sort)))),
        ("the barrier of another request", barrier(Rows::None, fine())),
    ] {
        let refused = check(plan).unwrap_err();
        assert_eq!(refused.code(), crate::error::Code::Internal, "{case}");
        assert!(!refused.to_string().contains("patient"), "{case}: the reason is for the log");
    }
}

/// Filtered by what reads no column: for whom a table is that nobody is named for.
fn shut() -> Arc<Governed> {
    let mut shut = Governed::clone(&governed(Rows::Filtered));
    if let Some(filter) = &mut shut.decision.row_filter {
        filter.filter = Filter::Or(vec![]);
        filter.reads = vec![];
    }
    Arc::new(shut)
}

#[test]
fn a_filter_that_reads_nothing_and_keeps_nothing_is_in_the_plan() {
    let shut = shut();
    let check = |inside: Plan| {
        let plan: Plan = Arc::new(PolicyBarrierExec::new(Arc::clone(&shut), project("cost", inside)));
        verify_barriers(&plan, &RegisteredBarriers::new([Arc::clone(&shut)]))
    };
    check(scan()).unwrap_err();
    check(filter(lit(false), scan())).unwrap();
    check(Arc::new(EmptyExec::new(schema()))).unwrap();

    let mut open = Governed::clone(&shut);
    if let Some(filter) = &mut open.decision.row_filter {
        filter.filter = Filter::And(vec![]);
    }
    let open = Arc::new(open);
    let plan: Plan = Arc::new(PolicyBarrierExec::new(Arc::clone(&open), project("cost", scan())));
    verify_barriers(&plan, &RegisteredBarriers::new([open])).unwrap();
}

#[test]
fn a_source_s_predicate_counts_where_the_source_enforces_it() {
    let parquet = |pushdown: bool| -> Plan {
        let source = ParquetSource::new(schema()).with_predicate(compare("region", lit("A")));
        let source = Arc::new(source.with_pushdown_filters(pushdown));
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), source).build();
        DataSourceExec::from_data_source(config)
    };
    check(barrier(Rows::Filtered, project("cost", parquet(true)))).unwrap();
    check(barrier(Rows::Filtered, project("cost", row_filter(parquet(false))))).unwrap();
    check(barrier(Rows::Filtered, project("cost", parquet(false)))).unwrap_err();
}

/// An aggregate over `cost`, which is aggregate-only, and its release.
fn released(function: Arc<AggregateUDF>, argument: &str, input: Plan) -> Plan {
    let schema = input.schema();
    let call = AggregateExprBuilder::new(function, vec![col(argument, &schema).unwrap()]);
    let call = Arc::new(call.schema(Arc::clone(&schema)).alias("told").build().unwrap());
    let groups = PhysicalGroupBy::new_single(vec![]);
    let aggregate =
        AggregateExec::try_new(AggregateMode::Single, groups, vec![call], vec![None], input, schema).unwrap();
    Arc::new(ReleaseExec::new(1, Arc::new(aggregate)).unwrap())
}

#[test]
fn nothing_looks_at_an_aggregate_only_column_on_the_way_to_its_release() {
    let check = |plan: Plan| verify_barriers(&plan, &RegisteredBarriers::new([bounded()]));
    let table = || -> Plan { Arc::new(PolicyBarrierExec::new(bounded(), project("cost", scan()))) };
    let more = |input: Plan| -> Plan {
        let cost = col("cost", &input.schema()).unwrap();
        let more = binary(cost, Operator::Plus, lit(1_i64), &input.schema()).unwrap();
        Arc::new(ProjectionExec::try_new(vec![(more, "more".to_string())], input).unwrap())
    };
    check(released(sum_udaf(), "cost", table())).unwrap();
    check(released(sum_udaf(), "cost", filter(lit(true), table()))).unwrap();
    for (case, plan) in [
        ("no release", table()),
        ("another aggregate", released(max_udaf(), "cost", table())),
        ("a filter", released(sum_udaf(), "cost", filter(compare("cost", lit(3_i64)), table()))),
        ("an expression", released(sum_udaf(), "more", more(table()))),
        ("a release of rows", Arc::new(ReleaseExec::new(1, table()).unwrap())),
    ] {
        assert!(check(plan).is_err(), "{case}");
    }
}

#[test]
fn a_source_is_given_what_may_stand_below_and_no_more() {
    let read = |filters: Vec<Expr>, limit| -> Plan { Arc::new(TableReadExec::new(scan(), filters, limit)) };
    let (region, cost) = (|| logical_col("region").eq(logical_lit("A")), || logical_col("cost").gt(logical_lit(3)));
    let filtered = |plan| check(barrier(Rows::Filtered, project("cost", plan)));
    assert!(filtered(read(vec![region()], None)).is_ok());
    assert!(filtered(row_filter(read(vec![region()], None))).is_ok());
    assert!(filtered(read(vec![], None)).is_err(), "no row filter");
    assert!(filtered(read(vec![region(), cost()], None)).is_err(), "a user's filter");
    assert!(filtered(read(vec![region(), region()], None)).is_err(), "a second conjunct");
    assert!(filtered(read(vec![region()], Some(3))).is_err(), "a limit");
    let open = |plan| check_open(barrier(Rows::All, project("cost", plan)));
    assert!(open(read(vec![cost()], Some(3))).is_ok());
    assert!(open(read(vec![region()], None)).is_err(), "a hidden column");
    assert!(check(read(vec![], None)).is_err(), "no barrier");
}

#[test]
fn where_every_row_is_there_clear_filters_and_limits_pass() {
    let clear = filter(compare("cost", lit(3_i64)), scan());
    assert!(check_open(barrier(Rows::All, project("cost", Arc::new(LocalLimitExec::new(clear, 3))))).is_ok());
    let hidden = filter(compare("region", lit("A")), scan());
    assert!(check_open(barrier(Rows::All, project("cost", hidden))).is_err());
}
