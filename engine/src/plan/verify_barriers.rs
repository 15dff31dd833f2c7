//! The last gate before a statement runs at a site: the physical plan, node by node, whatever made it.
//!
//! Holds when every leaf lies under exactly one barrier that was registered for this request, or is of the few leaves that
//! hold nothing of a source; when below a barrier stand operators of a closed list only, with no predicate but the row
//! filter's (or, where every row is there, predicates over clear columns); and when a column that is aggregate-only meets
//! nothing above its barrier but what leads to its release, and no expression but the arguments of its aggregates. It
//! rejects and changes nothing: what it refuses is a defect, of ours or of a new DataFusion.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connectors::pushdown::TableReadExec;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileScanConfig, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::split_conjunction as split_expr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column, DynamicFilterPhysicalExpr};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateInputMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::streaming::StreamingTableExec;
use policy::aggregate::RELEASABLE;
use policy::barrier::{BarrierId, Governed};
use policy::decision::{RowFilter, Treatment};
use policy::predicate::Filter;

use crate::error::{EngineError, Result};
use crate::exec::in_order::InOrderExec;
use crate::exec::policy_barrier::PolicyBarrierExec;
use crate::exec::release::ReleaseExec;
use crate::exec::steps::StepsExec;

/// The barriers of one request, as they were made when names were bound.
#[derive(Debug, Default)]
pub struct RegisteredBarriers(BTreeMap<BarrierId, Arc<Governed>>);

impl RegisteredBarriers {
    /// The barriers that a plan of this request may have.
    pub fn new(governed: impl IntoIterator<Item = Arc<Governed>>) -> Self {
        Self(governed.into_iter().map(|governed| (governed.id, governed)).collect())
    }

    fn has(&self, governed: &Arc<Governed>) -> bool {
        self.0.get(&governed.id).is_some_and(|registered| registered == governed)
    }
}

/// Refuses a plan that does not keep to the barriers of its request.
///
/// # Errors
/// `INTERNAL`; what is wrong goes to the log.
pub fn verify_barriers(physical: &Arc<dyn ExecutionPlan>, request: &RegisteredBarriers) -> Result<()> {
    match above(physical, request) {
        Ok(unreleased) if unreleased.is_empty() => Ok(()),
        Ok(_) => Err(refusal("an aggregate-only column leaves without a release")),
        Err(reason) => Err(refusal(reason)),
    }
}

fn refusal(reason: impl Into<String>) -> EngineError {
    EngineError::defect(format!("the plan was refused by the verifier of barriers: {}", reason.into()))
}

/// The positions of a node's columns that are aggregate-only and were not aggregated and released.
type Unreleased = BTreeSet<usize>;

/// A node of the asker's.
fn above(node: &Arc<dyn ExecutionPlan>, request: &RegisteredBarriers) -> Result<Unreleased, String> {
    if let Some(barrier) = node.downcast_ref::<PolicyBarrierExec>() {
        return at_barrier(barrier, request);
    }
    let children = node.children();
    if children.is_empty() && !holds_nothing_of_a_source(node.as_ref()) {
        return Err(format!("{} stands under no barrier", node.name()));
    }
    let below = children.into_iter().map(|child| above(child, request)).collect::<Result<Vec<_>, _>>()?;
    match &below[..] {
        all if all.iter().all(Unreleased::is_empty) => Ok(Unreleased::new()),
        [_] if releases(node.as_ref()) => Ok(Unreleased::new()),
        [below] => carried(node.as_ref(), below),
        _ => Err(reads_them(node.as_ref())),
    }
}

fn reads_them(node: &dyn ExecutionPlan) -> String {
    format!("{} reads an aggregate-only column", node.name())
}

/// Where the unreleased columns are after a node on the way to their release, none of whose expressions may look at them.
fn carried(node: &dyn ExecutionPlan, below: &Unreleased) -> Result<Unreleased, String> {
    if let Some(filter) = node.downcast_ref::<FilterExec>() {
        let kept = filter.projection().as_ref();
        return match (reads(filter.predicate(), below), kept) {
            (true, _) => Err(reads_them(node)),
            (false, None) => Ok(below.clone()),
            (false, Some(kept)) => Ok(positions(kept.iter(), |column| below.contains(column))),
        };
    }
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        let computed = |expr: &Arc<dyn PhysicalExpr>| reads(expr, below) && !is_bare(expr);
        return match projection.expr().iter().any(|told| computed(&told.expr)) {
            true => Err(reads_them(node)),
            false => Ok(positions(projection.expr().iter(), |told| reads(&told.expr, below))),
        };
    }
    match node.downcast_ref::<AggregateExec>() {
        Some(aggregate) => aggregated(aggregate, below).ok_or_else(|| reads_them(node)),
        None if leads_to_release(node) => Ok(below.clone()),
        None => Err(reads_them(node)),
    }
}

/// What an aggregate makes of unreleased columns is not released yet. `None` when it looks at them otherwise than it may.
fn aggregated(aggregate: &AggregateExec, below: &Unreleased) -> Option<Unreleased> {
    let groups = aggregate.group_expr();
    if groups.has_grouping_set() || groups.input_exprs().iter().any(|key| reads(key, below)) {
        return None;
    }
    // What a later stage reads is what an earlier one has made of the arguments.
    if aggregate.mode().input_mode() == AggregateInputMode::Raw {
        let calls = aggregate.aggr_expr().iter().zip(aggregate.filter_expr());
        let mut reading = calls.filter(|(call, only)| {
            let arguments = call.all_expressions();
            let read = arguments.args.iter().chain(&arguments.order_by_exprs).chain(only.iter());
            read.into_iter().any(|expr| reads(expr, below))
        });
        let Some(first) = reading.next() else { return Some(Unreleased::new()) };
        if !std::iter::once(first).chain(reading).all(|(call, only)| only.is_none() && is_allowed(call)) {
            return None;
        }
    }
    Some((groups.num_group_exprs()..aggregate.schema().fields().len()).collect())
}

/// An aggregate that may be over an aggregate-only column, or counts its entities, over bare columns.
fn is_allowed(call: &AggregateFunctionExpr) -> bool {
    let is_named = match call.fun().name() {
        "count" | RELEASABLE => true,
        "sum" | "avg" => !call.is_distinct(),
        _ => false,
    };
    is_named && call.order_bys().is_empty() && call.expressions().iter().all(is_bare)
}

fn reads(expr: &Arc<dyn PhysicalExpr>, columns: &Unreleased) -> bool {
    collect_columns(expr).iter().any(|column| columns.contains(&column.index()))
}

/// A column, or one as a wider type: the cast cannot fail, for types were checked before.
fn is_bare(expr: &Arc<dyn PhysicalExpr>) -> bool {
    match expr.downcast_ref::<CastExpr>() {
        Some(cast) => is_bare(cast.expr()),
        None => expr.is::<Column>(),
    }
}

fn positions<T>(of: impl Iterator<Item = T>, is: impl Fn(T) -> bool) -> Unreleased {
    of.enumerate().filter_map(|(position, it)| is(it).then_some(position)).collect()
}

fn at_barrier(barrier: &PolicyBarrierExec, request: &RegisteredBarriers) -> Result<Unreleased, String> {
    let governed = barrier.governed();
    if !request.has(governed) {
        return Err(format!("the barrier of {} is not of this request", governed.table));
    }
    let mut predicates = 0;
    for child in barrier.children() {
        predicates += below(child, governed)?;
    }
    if predicates == 0 && governed.decision.row_filter.as_ref().is_some_and(|filter| !keeps_every_row(filter)) {
        return Err(format!("the row filter of {} is not below its barrier", governed.table));
    }
    columns_of(barrier)
}

/// Whether a filter reads nothing and is TRUE: it then needs no predicate. One that reads nothing and is not TRUE hides
/// every row, and is seen in the plan as a predicate or as a scan of no rows.
fn keeps_every_row(filter: &RowFilter) -> bool {
    filter.reads.is_empty() && filter.filter.keeps(&|_| ScalarValue::Null)
}

/// What leaves through a barrier: no hidden column; and a column that the decision does not name, which is the entity that
/// groups are counted by, is as bounded as the columns beside it.
fn columns_of(barrier: &PolicyBarrierExec) -> Result<Unreleased, String> {
    let governed = barrier.governed();
    let mut unreleased = Unreleased::new();
    for (position, field) in barrier.schema().fields().iter().enumerate() {
        let decided = governed.decision.columns.iter().find(|decided| decided.name == *field.name());
        match decided.map(|decided| &decided.treatment) {
            Some(Treatment::Hidden) => return Err(format!("a hidden column of {} leaves its barrier", governed.table)),
            Some(Treatment::Clear | Treatment::Masked(_)) => {}
            Some(Treatment::AggregateOnly { .. }) | None => {
                unreleased.insert(position);
            }
        }
    }
    Ok(unreleased)
}

/// A node below a barrier; how many predicates there are from here down.
fn below(node: &Arc<dyn ExecutionPlan>, governed: &Governed) -> Result<usize, String> {
    if !may_stand_below(node.as_ref()) {
        return Err(format!("{} stands below the barrier of {}", node.name(), governed.table));
    }
    if !governed.shows_all_rows() && limits(node.as_ref()) {
        return Err(format!("a limit stands below the barrier of {}", governed.table));
    }
    let mut predicates = 0;
    if let Some(read) = node.downcast_ref::<TableReadExec>()
        && !read.filters().is_empty()
    {
        check_source_filters(read.filters(), governed)?;
        predicates += 1;
    }
    if let Some((predicate, is_enforced)) = predicate_of(node.as_ref()) {
        check_predicate(&predicate, governed)?;
        predicates += usize::from(is_enforced);
    }
    // A scan of no rows needs no filter.
    if node.is::<EmptyExec>() {
        predicates += 1;
    }
    for child in node.children() {
        predicates += below(child, governed)?;
    }
    Ok(predicates)
}

fn check_predicate(predicate: &Arc<dyn PhysicalExpr>, governed: &Governed) -> Result<(), String> {
    let columns = collect_columns(predicate);
    let Some(filter) = &governed.decision.row_filter else {
        return match columns.iter().find(|column| !governed.is_clear(column.name())) {
            Some(_) => Err(format!("a predicate below the barrier of {} reads a treated column", governed.table)),
            None => Ok(()),
        };
    };
    let reads: BTreeSet<&str> = filter.reads.iter().map(String::as_str).collect();
    let is_dynamic = predicate.exists(|expr| Ok(expr.is::<DynamicFilterPhysicalExpr>())).unwrap_or(true);
    let of_the_filter = columns.iter().all(|column| reads.contains(column.name()));
    if is_dynamic || !of_the_filter || split_conjunction(predicate).len() > conjuncts(filter) {
        return Err(format!("a predicate below the barrier of {} is not its row filter", governed.table));
    }
    Ok(())
}

/// What a source was given, by the rule that holds for a predicate of an operator.
fn check_source_filters(filters: &[Expr], governed: &Governed) -> Result<(), String> {
    let columns: Vec<&str> = filters.iter().flat_map(Expr::column_refs).map(|column| column.name.as_str()).collect();
    let Some(filter) = &governed.decision.row_filter else {
        return match columns.iter().find(|column| !governed.is_clear(column)) {
            Some(_) => Err(format!("a source's filter below the barrier of {} reads a treated column", governed.table)),
            None => Ok(()),
        };
    };
    let of_the_filter = columns.iter().all(|column| filter.reads.iter().any(|read| read == column));
    let given: usize = filters.iter().map(|filter| split_expr(filter).len()).sum();
    if !of_the_filter || given > conjuncts(filter) {
        return Err(format!("a source's filter below the barrier of {} is not its row filter", governed.table));
    }
    Ok(())
}

fn conjuncts(filter: &RowFilter) -> usize {
    fn count(filter: &Filter) -> usize {
        match filter {
            Filter::And(all) => all.iter().map(count).sum::<usize>().max(1),
            Filter::Compare(..) | Filter::In(..) | Filter::IsNull(..) | Filter::Or(_) | Filter::Not(_) => 1,
        }
    }
    count(&filter.filter)
}

/// A node's predicate, and whether rows that it does not keep are gone: a source of files may use its own only to leave
/// out what its statistics rule out.
fn predicate_of(node: &dyn ExecutionPlan) -> Option<(Arc<dyn PhysicalExpr>, bool)> {
    if let Some(filter) = node.downcast_ref::<FilterExec>() {
        return Some((Arc::clone(filter.predicate()), true));
    }
    let source = file_scan(node)?.file_source();
    let parquet = source.downcast_ref::<ParquetSource>();
    let is_enforced = parquet.is_some_and(|parquet| parquet.table_parquet_options().global.pushdown_filters);
    Some((source.filter()?, is_enforced))
}

fn file_scan(node: &dyn ExecutionPlan) -> Option<&FileScanConfig> {
    node.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref()
}

/// The operators that a treated scan is made of. Of a source's own scans only those of one table: a statement that evaluates
/// a subtree has operators of the asker's in it.
fn may_stand_below(node: &dyn ExecutionPlan) -> bool {
    node.is::<FilterExec>()
        || node.is::<ProjectionExec>()
        || node.is::<DataSourceExec>()
        || node.is::<TableReadExec>()
        || node.is::<EmptyExec>()
        || node.is::<RepartitionExec>()
        || node.is::<CoalescePartitionsExec>()
        || node.is::<InOrderExec>()
        || node.is::<CooperativeExec>()
        || node.is::<StepsExec>()
        || limits(node)
}

fn limits(node: &dyn ExecutionPlan) -> bool {
    let of_a_source = node.downcast_ref::<TableReadExec>().and_then(TableReadExec::limit);
    node.is::<LocalLimitExec>() || node.is::<GlobalLimitExec>() || node.fetch().is_some() || of_a_source.is_some()
}

/// No row, one row of nothing, VALUES, and the tables of `system`, which are made in memory for the request or, the record,
/// streamed from it; no connector reads a source through either.
fn holds_nothing_of_a_source(node: &dyn ExecutionPlan) -> bool {
    let in_memory = |scan: &DataSourceExec| scan.data_source().downcast_ref::<MemorySourceConfig>().is_some();
    node.is::<EmptyExec>()
        || node.is::<PlaceholderRowExec>()
        || node.is::<StreamingTableExec>()
        || node.downcast_ref::<DataSourceExec>().is_some_and(in_memory)
}

/// What may stand between a barrier with an aggregate-only column and its release; of the first three see [`carried`].
fn leads_to_release(node: &dyn ExecutionPlan) -> bool {
    node.is::<FilterExec>()
        || node.is::<ProjectionExec>()
        || node.is::<AggregateExec>()
        || node.is::<RepartitionExec>()
        || node.is::<CoalescePartitionsExec>()
        || node.is::<InOrderExec>()
        || node.is::<CooperativeExec>()
        || node.is::<StepsExec>()
}

/// A release directly over an aggregate: what it reads is groups, not rows.
fn releases(node: &dyn ExecutionPlan) -> bool {
    fn aggregates(node: &dyn ExecutionPlan) -> bool {
        let [input] = node.children()[..] else {
            return false;
        };
        node.is::<AggregateExec>() || (leads_to_release(node) && !node.is::<FilterExec>() && aggregates(input.as_ref()))
    }
    match node.children()[..] {
        [input] => node.is::<ReleaseExec>() && aggregates(input.as_ref()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap as Versions;

    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use datafusion::common::Statistics;
    use datafusion::datasource::physical_plan::FileScanConfigBuilder;
    use datafusion::execution::object_store::ObjectStoreUrl;
    use datafusion::functions_aggregate::min_max::max_udaf;
    use datafusion::functions_aggregate::sum::sum_udaf;
    use datafusion::logical_expr::{AggregateUDF, Operator, col as logical_col, lit as logical_lit};
    use datafusion::physical_expr::aggregate::AggregateExprBuilder;
    use datafusion::physical_expr::expressions::{binary, col, lit};
    use datafusion::physical_plan::aggregates::{AggregateMode, PhysicalGroupBy};
    use datafusion::physical_plan::sorts::sort::SortExec;

    use super::*;
    use crate::catalog::site_table::SiteId;
    use crate::exec::remote_scan::{Fragment, Reduction, RemoteScanExec};
    use crate::plan::barrier_fixture::{Rows, bounded, governed};

    type Plan = Arc<dyn ExecutionPlan>;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("cost", DataType::Int64, true),
            Field::new("region", DataType::Utf8, true),
        ]))
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
        let dynamic: Arc<dyn PhysicalExpr> = Arc::new(DynamicFilterPhysicalExpr::new(
            vec![col("region", &schema()).unwrap()],
            compare("region", lit("A")),
        ));
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
}
