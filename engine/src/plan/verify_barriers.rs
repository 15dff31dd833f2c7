//! The last gate before a statement runs at a site: the physical plan, node by node, whatever made it.
//!
//! Holds when every leaf lies under exactly one barrier that was registered for this request, or is of the few leaves that
//! hold nothing of a source; when below a barrier stand operators of a closed list only, with no predicate but the row
//! filter's (or, where every row is there, predicates over clear columns); and when a column that is aggregate-only meets
//! nothing above its barrier but what leads to its release. It rejects and changes nothing: what it refuses is a defect,
//! of ours or of a new DataFusion.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connectors::pushdown::TableReadExec;
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::split_conjunction as split_expr;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::streaming::StreamingTableExec;
use policy::barrier::{BarrierId, Governed};
use policy::decision::{RowFilter, Treatment};
use policy::predicate::Filter;

use crate::error::{EngineError, Result};
use crate::exec::in_order::InOrderExec;
use crate::exec::policy_barrier::PolicyBarrierExec;
use crate::exec::release::ReleaseExec;

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
        Ok(Carries::Released) => Ok(()),
        Ok(Carries::Unreleased) => Err(refusal("an aggregate-only column leaves without a release")),
        Err(reason) => Err(refusal(reason)),
    }
}

fn refusal(reason: impl Into<String>) -> EngineError {
    EngineError::internal(format!("the plan was refused by the verifier of barriers: {}", reason.into()))
}

/// Whether rows hold an aggregate-only column that was not aggregated and released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carries {
    Released,
    Unreleased,
}

/// A node of the asker's.
fn above(node: &Arc<dyn ExecutionPlan>, request: &RegisteredBarriers) -> Result<Carries, String> {
    if let Some(barrier) = node.downcast_ref::<PolicyBarrierExec>() {
        return at_barrier(barrier, request);
    }
    let children = node.children();
    if children.is_empty() && !holds_nothing_of_a_source(node.as_ref()) {
        return Err(format!("{} stands under no barrier", node.name()));
    }
    let mut carries = Carries::Released;
    for child in children {
        if above(child, request)? == Carries::Unreleased {
            carries = Carries::Unreleased;
        }
    }
    match carries {
        Carries::Unreleased if releases(node.as_ref()) => Ok(Carries::Released),
        Carries::Unreleased if !leads_to_release(node.as_ref()) => {
            Err(format!("{} reads an aggregate-only column", node.name()))
        }
        carries => Ok(carries),
    }
}

fn at_barrier(barrier: &PolicyBarrierExec, request: &RegisteredBarriers) -> Result<Carries, String> {
    let governed = barrier.governed();
    if !request.has(governed) {
        return Err(format!("the barrier of {} is not of this request", governed.table));
    }
    let mut predicates = 0;
    for child in barrier.children() {
        predicates += below(child, governed)?;
    }
    if predicates == 0 && governed.decision.row_filter.as_ref().is_some_and(|filter| !filter.reads.is_empty()) {
        return Err(format!("the row filter of {} is not below its barrier", governed.table));
    }
    columns_of(barrier)
}

/// What leaves through a barrier: no hidden column; and a column that the decision does not name, which is the entity that
/// groups are counted by, is as bounded as the columns beside it.
fn columns_of(barrier: &PolicyBarrierExec) -> Result<Carries, String> {
    let governed = barrier.governed();
    let mut carries = Carries::Released;
    for field in barrier.schema().fields() {
        let decided = governed.decision.columns.iter().find(|decided| decided.name == *field.name());
        match decided.map(|decided| &decided.treatment) {
            Some(Treatment::Hidden) => return Err(format!("a hidden column of {} leaves its barrier", governed.table)),
            Some(Treatment::Clear | Treatment::Masked(_)) => {}
            Some(Treatment::AggregateOnly { .. }) | None => carries = Carries::Unreleased,
        }
    }
    Ok(carries)
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
    if let Some(predicate) = predicate_of(node.as_ref()) {
        check_predicate(&predicate, governed)?;
        predicates += 1;
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

fn predicate_of(node: &dyn ExecutionPlan) -> Option<Arc<dyn PhysicalExpr>> {
    match node.downcast_ref::<FilterExec>() {
        Some(filter) => Some(Arc::clone(filter.predicate())),
        None => file_scan(node)?.file_source().filter(),
    }
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

/// What may stand between a barrier with an aggregate-only column and its release.
fn leads_to_release(node: &dyn ExecutionPlan) -> bool {
    node.is::<FilterExec>()
        || node.is::<ProjectionExec>()
        || node.is::<AggregateExec>()
        || node.is::<RepartitionExec>()
        || node.is::<CoalescePartitionsExec>()
        || node.is::<InOrderExec>()
        || node.is::<CooperativeExec>()
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
    use datafusion::logical_expr::{Operator, col as logical_col, lit as logical_lit};
    use datafusion::physical_expr::expressions::{binary, col, lit};
    use datafusion::physical_plan::sorts::sort::SortExec;

    use super::*;
    use crate::catalog::site_table::SiteId;
    use crate::exec::remote_scan::{Fragment, RemoteScanExec};
    use crate::plan::barrier_fixture::{Rows, governed};

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
