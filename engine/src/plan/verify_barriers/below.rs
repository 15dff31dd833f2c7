//! What may stand below a barrier: the operators of a treated scan, and no predicate but the row filter's.

use std::collections::BTreeSet;
use std::sync::Arc;

use connectors::pushdown::TableReadExec;
use datafusion::common::tree_node::TreeNode;
use datafusion::datasource::physical_plan::{FileScanConfig, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::split_conjunction as split_expr;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, split_conjunction};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::limit::{GlobalLimitExec, LocalLimitExec};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use policy::barrier::Governed;
use policy::decision::RowFilter;
use policy::predicate::Filter;

use crate::exec::in_order::InOrderExec;
use crate::exec::steps::StepsExec;

/// A node below a barrier; how many predicates there are from here down.
pub(super) fn below(node: &Arc<dyn ExecutionPlan>, governed: &Governed) -> Result<usize, String> {
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
